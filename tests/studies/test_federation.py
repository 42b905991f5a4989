"""Cohorts of a study that train in one stack are those that train alone."""

import numpy as np
import pytest
import torch

import ftl.studies.federation
from ftl.federation.settings import FederationSettings
from ftl.models.state import StackedState, take
from ftl.studies.federation import train_cohorts


def rows_of(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, 4)).astype(np.float32)


COHORTS = [[rows_of(0, 50), rows_of(1, 7)], [rows_of(2, 30)], [rows_of(3, 3), rows_of(4, 90), rows_of(5, 40)]]


@pytest.fixture(scope="module")
def trained(recipe, begun):
    def train(cohorts: list[list[np.ndarray]]) -> StackedState:
        return train_cohorts(recipe, begun(4), cohorts, FederationSettings(n_rounds=3), 5, 8).states

    return train


def close(one: StackedState, other: StackedState) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-6)


def test_cohorts_in_one_stack_never_meet(trained) -> None:
    together = trained(COHORTS)
    for number, cohort in enumerate(COHORTS):
        close(take(together, [number]), trained([cohort]))
    assert not torch.equal(together["decoder.0.weight"][0], together["decoder.0.weight"][1])


def test_stacks_that_are_cut_give_the_same_models(trained, monkeypatch) -> None:
    whole = trained(COHORTS)
    monkeypatch.setattr(ftl.studies.federation, "MAX_STACK", 3)
    close(trained(COHORTS), whole)


def test_a_participant_with_more_rows_weighs_more(trained) -> None:
    """Two participants of unlike length: changing the long one moves the global model further."""
    before = trained([[rows_of(0, 90), rows_of(1, 9)]])
    long, short = (trained([cohort]) for cohort in ([rows_of(7, 90), rows_of(1, 9)], [rows_of(0, 90), rows_of(7, 9)]))
    moved = [sum(float((of[name] - before[name]).square().sum()) for name in before) for of in (long, short)]
    assert moved[0] > 2 * moved[1] > 0
