"""What every selection policy must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.evaluation.cost import COMPARING_POLICIES, RANKED_POLICIES
from ftl.evaluation.results import CROSS_FITTED_POLICIES
from ftl.federation.selection import (
    DRAWN_POLICIES,
    SELECTION_POLICIES,
    SIMILARITY_POLICIES,
    UNSIZED_POLICIES,
    Candidates,
    federations_of,
)
from ftl.randomness import generator
from tests.federation.selection.scenes import NAN, candidates, candidates_of, permuted, without_ties

EACH = pytest.mark.parametrize("name", SELECTION_POLICIES)
SIZED = pytest.mark.parametrize("name", sorted(SELECTION_POLICIES.keys() - UNSIZED_POLICIES))


@SIZED
@settings(max_examples=40)
@given(given_=candidates(), seed=st.integers(0, 100))
def test_a_policy_returns_n_distinct_known_nodes_in_ascending_order(name, given_, seed):
    known, n = given_
    chosen = SELECTION_POLICIES[name](known, n, generator(seed))
    assert chosen.shape == (n,)
    assert np.issubdtype(chosen.dtype, np.integer)
    assert (np.diff(chosen) > 0).all()
    assert chosen.min() >= 0
    assert chosen.max() < len(known.f1)


@pytest.mark.parametrize("name", sorted(UNSIZED_POLICIES))
def test_a_policy_that_asks_for_no_number_takes_every_node(name):
    assert SELECTION_POLICIES[name](without_ties(5), 2, generator(0)).tolist() == [0, 1, 2, 3, 4]


@EACH
@settings(max_examples=20)
@given(given_=candidates(), seed=st.integers(0, 100))
def test_a_policys_choice_is_determined_by_its_candidates_and_its_generator(name, given_, seed):
    known, n = given_
    policy = SELECTION_POLICIES[name]
    before = (known.f1.copy(), known.loss.copy(), known.similarity.copy())
    np.testing.assert_array_equal(policy(known, n, generator(seed)), policy(known, n, generator(seed)))
    for was, now in zip(before, (known.f1, known.loss, known.similarity), strict=True):
        np.testing.assert_array_equal(was, now)


@EACH
def test_all_nodes_are_chosen_where_all_are_asked_for(name):
    known = candidates_of([0.3, NAN, 0.1, 0.3], [1.0, 2.0, NAN, 4.0])
    assert SELECTION_POLICIES[name](known, 4, generator(0)).tolist() == [0, 1, 2, 3]


@EACH
def test_a_policy_is_drawn_exactly_if_its_choice_depends_on_the_generator(name):
    choices = {tuple(SELECTION_POLICIES[name](without_ties(20), 3, generator(seed))) for seed in range(5)}
    assert (len(choices) > 1) == (name in DRAWN_POLICIES)


@pytest.mark.parametrize("name", sorted(SELECTION_POLICIES.keys() - DRAWN_POLICIES))
@settings(max_examples=20)
@given(n_nodes=st.integers(3, 12), seed=st.integers(0, 1000))
def test_nodes_in_another_order_are_chosen_all_the_same(name, n_nodes, seed):
    """Where no two nodes are as good or as alike, so that no tie is broken by their order."""
    known, order = without_ties(n_nodes, seed), np.random.default_rng(seed).permutation(n_nodes)
    policy, n = SELECTION_POLICIES[name], 1 + seed % (n_nodes - 1)
    chosen = policy(permuted(known, order), n, generator(0))
    assert sorted(order[chosen]) == policy(known, n, generator(0)).tolist()


@EACH
@settings(max_examples=40)
@given(n_nodes=st.integers(2, 12), seed=st.integers(0, 1000))
def test_every_other_node_is_served_once_and_by_a_model_that_it_did_not_train(name, n_nodes, seed):
    known, n = without_ties(n_nodes, seed), 1 + seed % (n_nodes - 1)
    federations = federations_of(SELECTION_POLICIES[name], known, n, generator(seed))
    everyone, served, trained = set(range(n_nodes)), [], []
    for one in federations:
        receives = everyone - set(one.participants) if one.served is None else set(one.served)
        assert len(one.participants) > 0
        assert not receives & set(one.participants)
        served += receives
        trained += list(one.participants)
    assert sorted(trained) == SELECTION_POLICIES[name](known, n, generator(seed)).tolist()
    assert sorted(served) == sorted(everyone if name in UNSIZED_POLICIES else everyone - set(trained))


@EACH
def test_a_policy_says_what_it_lacks(name):
    bare = Candidates(np.array([0.1, 0.2, 0.3]), np.zeros(3))
    if name in SIMILARITY_POLICIES:
        with pytest.raises(ValueError, match=rf"{name} needs Candidates\.similarity"):
            SELECTION_POLICIES[name](bare, 2, generator(0))
    elif name == "label_free":
        with pytest.raises(ValueError, match=r"needs Candidates\.unlabelled_loss"):
            SELECTION_POLICIES[name](bare, 2, generator(0))
    else:
        assert len(SELECTION_POLICIES[name](bare, 2, generator(0))) >= 2


def test_evaluation_names_the_policies_as_selection_does():
    """The two know nothing of each other, so the names stand twice."""
    assert COMPARING_POLICIES == SIMILARITY_POLICIES
    assert CROSS_FITTED_POLICIES == UNSIZED_POLICIES
    assert SELECTION_POLICIES.keys() - DRAWN_POLICIES - UNSIZED_POLICIES == RANKED_POLICIES
