"""The cohorts of a fleet: every policy, number of participants and draw (paper, section 4.3.1)."""

import numpy as np

from ftl.errors import ConfigError
from ftl.experiment.handover import Cohort
from ftl.federation.selection import UNSIZED_POLICIES, Candidates, Federation, federations_of
from ftl.federation.settings import SelectionSettings
from ftl.randomness import generator


def choose_cohorts(candidates: Candidates, select: SelectionSettings, seed: int) -> list[Cohort]:
    """Every policy, number of participants and draw; one cohort for each global model.

    A policy that finds fewer participants than it was asked for (a quota or a budget allows no more) has the number
    that it found; where two numbers asked for come to the same, the cohort stands once.

    Raises:
        ConfigError: If a quota or a budget leaves no participant.
    """
    cohorts: list[Cohort] = []
    places: set[tuple[str, int, int]] = set()
    for policy in select.policies:
        for n in select.sizes(policy):
            for draw in select.draws(policy):
                purpose = (policy,) if policy in UNSIZED_POLICIES else (policy, n, draw)
                found = federations_of(select.policy(policy), candidates, n, generator(seed, *purpose))
                formed = _unsized(policy, found) if policy in UNSIZED_POLICIES else _sized(policy, n, draw, found)
                if formed[0].place not in places:
                    places |= {cohort.place for cohort in formed}
                    cohorts += formed
    return cohorts


def _sized(policy: str, n: int, draw: int, found: list[Federation]) -> list[Cohort]:
    """The federations of one choice of participants; together they have one place in the results table."""
    n_found = sum(len(one.participants) for one in found)
    if n_found == 0:
        raise ConfigError(
            f"select.policies: {policy}: no node may take part; raise select.cost_budget, which is below the training "
            "rows of every single node"
        )
    if n_found < n:
        print(
            f"select.policies: {policy}: {n_found} instead of {n} participants, more are not allowed by "
            "select.max_per_rack and select.cost_budget",
            flush=True,
        )
    return [Cohort(policy, n_found, draw, _plain(one.participants), _served(one)) for one in found]


def _unsized(policy: str, found: list[Federation]) -> list[Cohort]:
    """Federations that serve each other: the draws of one place, so that no node is participant and target there."""
    n = min(len(one.participants) for one in found)
    return [Cohort(policy, n, draw, _plain(one.participants), _served(one)) for draw, one in enumerate(found)]


def _served(one: Federation) -> tuple[int, ...] | None:
    return None if one.served is None else _plain(one.served)


def _plain(nodes: np.ndarray) -> tuple[int, ...]:
    return tuple(int(node) for node in nodes)
