"""Encoder layers are unfrozen on nodes whose rows drive them to where no participant's do."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from ftl.models.state import StackedState
from ftl.sharing import ResidualSums
from ftl.sharing.sizes import NUMBER_BYTES
from ftl.studies.layers import LayerProfile, layer_divergence, layer_profile, layers_to_freeze, pooled_profile
from ftl.studies.stacks import Models, Recipe

LIMIT = 3.0


@pytest.fixture(scope="module")
def models(recipe: Recipe, begun) -> Models:
    return Models(recipe, begun(4), 4)


def rows_of(seed: int, shift: float | Sequence[float] = 0.0, n: int = 2000) -> np.ndarray:
    """Rows of a node; all nodes draw from the same distribution, up to a shift."""
    return (np.random.default_rng(seed).uniform(0, 1, (n, 4)) + np.asarray(shift)).astype(np.float32)


@pytest.fixture(scope="module")
def cohort(models: Models) -> tuple:
    profiles = [layer_profile(models, 0, rows_of(seed)) for seed in range(6)]
    pooled = pooled_profile(profiles)
    return pooled, np.stack([layer_divergence(profile, pooled) for profile in profiles])


def test_the_sum_of_profiles_is_the_profile_of_all_rows(models: Models, cohort: tuple) -> None:
    of_all = layer_profile(models, 0, np.concatenate([rows_of(seed) for seed in range(6)]))
    for one, other in zip(cohort[0].layers, of_all.layers, strict=True):
        assert one.n_rows == other.n_rows == 12000
        np.testing.assert_allclose(one.total, other.total, rtol=1e-5)
        np.testing.assert_allclose(one.squares, other.squares, rtol=1e-5)


def test_a_profile_weighs_a_count_and_two_numbers_per_unit(cohort: tuple) -> None:
    assert cohort[0].n_bytes == NUMBER_BYTES * ((1 + 2 * 6) + (1 + 2 * 4))  # widths 6 and 4


def test_activations_are_those_of_the_network(models: Models) -> None:
    x = rows_of(1)
    with torch.no_grad():
        first = torch.relu(models.network.encoder.stacked()[0](torch.from_numpy(x)[None]))[0].numpy()
        code = models.network.encode(torch.from_numpy(x)[None])[0].numpy()
    profile = layer_profile(models, 0, x)
    for layer, activation in zip(profile.layers, (first, code), strict=True):
        np.testing.assert_allclose(layer.total / len(x), activation.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_a_node_like_the_others_keeps_every_layer_frozen(models: Models, cohort: tuple) -> None:
    pooled, of_participants = cohort
    frozen = [
        layers_to_freeze(layer_divergence(layer_profile(models, 0, rows_of(seed)), pooled), of_participants, 30.0)
        for seed in range(20, 30)
    ]
    assert frozen == [(0, 1)] * 10


def test_a_node_that_is_shifted_unfreezes(models: Models, cohort: tuple) -> None:
    pooled, of_participants = cohort
    divergence = layer_divergence(layer_profile(models, 0, rows_of(40, shift=[1.5, 0, 0, -1.0])), pooled)
    assert layers_to_freeze(divergence, of_participants, LIMIT) == ()
    assert (divergence > 100 * np.median(of_participants, axis=0)).all()


def test_the_distance_is_in_the_cohorts_standard_deviations(models: Models, cohort: tuple) -> None:
    pooled, _ = cohort
    np.testing.assert_array_equal(layer_divergence(pooled, pooled), 0)
    of_cohort = LayerProfile((ResidualSums(10, np.array([0.0, 0.0]), np.array([40.0, 90.0])),))  # deviations 2 and 3
    node = LayerProfile((ResidualSums(5, np.array([20.0, 30.0]), np.array([0.0, 0.0])),))  # means 4 and 6
    np.testing.assert_allclose(layer_divergence(node, of_cohort), [4.0], rtol=1e-5)


def test_each_layer_is_judged_by_what_is_usual_in_it() -> None:
    usual = np.array([[1.0, 10.0, 0.0], [1.0, 10.0, 0.0], [99.0, 99.0, 0.0]])
    assert layers_to_freeze(np.array([2.9, 29.0, 0.0]), usual, LIMIT) == (0, 1, 2)
    assert layers_to_freeze(np.array([3.1, 29.0, 0.1]), usual, LIMIT) == (1,)
    assert layers_to_freeze(np.array([2.9, 31.0, 0.1]), usual, LIMIT) == (0,)


def test_silent_units_are_not_divided_by_zero(recipe: Recipe, begun) -> None:
    dead: StackedState = {name: torch.zeros_like(value) for name, value in begun(4).items()}
    models = Models(recipe, dead, 4)
    profile = layer_profile(models, 0, rows_of(1))
    np.testing.assert_array_equal(layer_divergence(profile, profile), 0)
