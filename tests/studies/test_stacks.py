"""Stacked fits of a study equal separate ones, make the steps that are asked for, and leave frozen layers alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import ftl.studies.stacks
from ftl.learning.training import LocalTraining
from ftl.models.state import StackedState, join, repeat, take
from ftl.studies.stacks import Models, Recipe, fit_models

Begun = Callable[[int], StackedState]
N_FEATURES = 4


def rows_of(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, N_FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def rows() -> list[np.ndarray]:
    """Of four models: fewer than a batch, some batches, and more than all steps together take."""
    return [rows_of(0, 3), rows_of(1, 40), rows_of(2, 300), rows_of(3, 17)]


SEEDS = [11, 12, 13, 14]
N_STEPS = 7


def close(one: StackedState, other: StackedState) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frozen", [(), (0,), (0, 1)])
def test_stacked_fits_equal_separate_ones(recipe: Recipe, begun: Begun, rows, frozen) -> None:
    start = join([begun(N_FEATURES), begun(N_FEATURES), *(repeat(begun(N_FEATURES), 2),)])
    stacked = fit_models(recipe, start, rows, SEEDS, N_STEPS, frozen=frozen).state
    separate = [
        fit_models(recipe, take(start, [k]), [rows[k]], [SEEDS[k]], N_STEPS, frozen=frozen).state for k in range(4)
    ]
    close(stacked, join(separate))
    assert not torch.equal(stacked["decoder.0.weight"][0], stacked["decoder.0.weight"][1])


def test_stacks_that_are_cut_equal_one_stack(recipe: Recipe, begun: Begun, rows, monkeypatch) -> None:
    start = repeat(begun(N_FEATURES), 4)
    whole = fit_models(recipe, start, rows, SEEDS, N_STEPS).state
    monkeypatch.setattr(ftl.studies.stacks, "MAX_STACK", 3)
    close(fit_models(recipe, start, rows, SEEDS, N_STEPS).state, whole)


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (0, 1)])
def test_frozen_layers_stay_as_they_are_to_the_bit_and_the_others_move(recipe, begun, rows, frozen) -> None:
    start = repeat(begun(N_FEATURES), 4)
    state = fit_models(recipe, start, rows, SEEDS, N_STEPS, frozen=frozen).state
    for name, value in state.items():
        part, layer, _ = name.split(".")
        is_frozen = part == "encoder" and int(layer) in frozen
        for k in range(4):
            assert torch.equal(value[k], start[name][k]) == is_frozen, (name, k)


def test_a_learning_rate_of_its_own_moves_less(recipe: Recipe, begun: Begun, rows) -> None:
    start = repeat(begun(N_FEATURES), 4)
    moved = []
    for rate in (None, recipe.optimizer.learning_rate / 100):
        state = fit_models(recipe, start, rows, SEEDS, N_STEPS, rate).state
        moved.append(max(float((state[name] - start[name]).abs().max()) for name in start))
    assert 0 < moved[1] < moved[0] / 10


@pytest.mark.parametrize("n_steps", [1, 5, 100])
def test_every_model_makes_exactly_the_steps_that_it_is_asked_for(recipe, begun, rows, n_steps, monkeypatch) -> None:
    made: list[tuple[int, ...]] = []
    step = LocalTraining.training_step

    def counted(self, batch, number):
        made.append(tuple(batch[0].shape))
        return step(self, batch, number)

    monkeypatch.setattr(LocalTraining, "training_step", counted)
    fit_models(recipe, repeat(begun(N_FEATURES), 4), rows, SEEDS, n_steps)
    assert made == [(4, recipe.batch_size)] * n_steps  # all four models, full batches, each time


def test_three_rows_and_a_hundred_steps_learn_these_rows(recipe: Recipe, begun: Begun) -> None:
    few = rows_of(5, 3)
    start = begun(N_FEATURES)
    before = Models(recipe, start, N_FEATURES).residual(0, few)
    fit = fit_models(recipe, start, [few], [1], 100)
    after = Models(recipe, fit.state, N_FEATURES).residual(0, few)
    assert np.isfinite(after).all()
    assert np.square(after).mean() < 0.8 * np.square(before).mean()
    assert fit.seconds > 0


def test_nobody_to_train_is_no_error(recipe: Recipe, begun: Begun) -> None:
    assert fit_models(recipe, begun(N_FEATURES), [], [], 3).seconds == 0.0


def test_the_residual_is_what_a_model_does_not_give_back(recipe: Recipe, begun: Begun, rows) -> None:
    state = fit_models(recipe, repeat(begun(N_FEATURES), 4), rows, SEEDS, N_STEPS).state
    models = Models(recipe, state, N_FEATURES)
    with torch.no_grad():
        batch = torch.from_numpy(np.stack([rows_of(9, 6)] * 4))
        given_back = models.network(batch).numpy()
    for k in range(4):
        np.testing.assert_allclose(models.residual(k, rows_of(9, 6)), rows_of(9, 6) - given_back[k], atol=1e-6)
