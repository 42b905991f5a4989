"""Candidates for the tests of selection policies."""

import numpy as np
from hypothesis import strategies as st

from ftl.federation.descriptions import similarity_of
from ftl.federation.selection import Candidates

NAN = float("nan")
scores = st.one_of(st.just(NAN), st.sampled_from([0.0, 0.5, 0.9]), st.floats(0, 1, allow_subnormal=False))


def candidates_of(f1, loss, seed=0, racks=None):
    """All that a policy may ask for; who is like whom is drawn at random."""
    random = np.random.default_rng(seed)
    n = len(f1)
    return Candidates(
        np.array(f1, float), np.array(loss, float), unlabelled_loss=random.uniform(0, 1, n),
        similarity=similarity_of(random.normal(size=(n, 6))), racks=racks, cost=random.uniform(1, 9, n),
    )  # fmt: skip


def without_ties(n, seed=0):
    """n nodes of which no two are alike or as good."""
    random = np.random.default_rng([seed, n])
    return candidates_of(random.permutation(n) / n, random.uniform(0, 1, n), seed)


def permuted(candidates, order):
    """The same nodes, the k-th of which was number order[k]."""
    racks = candidates.racks
    return Candidates(
        candidates.f1[order], candidates.loss[order], candidates.unlabelled_loss[order],
        candidates.similarity[np.ix_(order, order)], None if racks is None else tuple(racks[k] for k in order),
        candidates.cost[order],
    )  # fmt: skip


@st.composite
def candidates(draw):
    n = draw(st.integers(1, 12))
    f1, loss = (draw(st.lists(scores, min_size=n, max_size=n)) for _ in range(2))
    return candidates_of(f1, loss, draw(st.integers(0, 5))), draw(st.integers(1, n))
