"""What participants share: sums that equal those of their pooled rows, at the price of the arrays that are sent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ftl.baselines.pca import leading_components
from ftl.data.fleet import read_fleet
from ftl.detection.scores import VARIANCE_FLOOR
from ftl.federation.settings import FederationSettings
from ftl.studies.cohort import Shared, divergence_of, own_scale, share
from ftl.studies.stacks import Models
from ftl.studies.telemetry import FleetTelemetry, NodeTelemetry

N_ROUNDS = 3
FLOAT64, FLOAT32 = 8, 4


@pytest.fixture(scope="module")
def shared_by(recipe, begun, alarming):
    """What some participants share."""

    def made(participants: list[NodeTelemetry]) -> Shared:
        federate = FederationSettings(n_rounds=N_ROUNDS)
        return share(participants, recipe, federate, 10, alarming, begun(5), 3)

    return made


@pytest.fixture(scope="module")
def nodes(like_telemetry: FleetTelemetry) -> list[NodeTelemetry]:
    return like_telemetry.nodes(range(4))


@pytest.fixture(scope="module")
def shared(shared_by, nodes) -> Shared:
    return shared_by(nodes[:3])


def test_the_pca_of_sums_is_the_pca_of_the_pooled_rows(shared: Shared, nodes) -> None:
    pooled = np.concatenate([node.scaled(node.history, shared.scale) for node in nodes[:3]]).astype(np.float64)
    np.testing.assert_allclose(shared.components.mean, pooled.mean(axis=0), rtol=1e-12, atol=1e-12)
    direct = leading_components(np.cov(pooled.T, ddof=0))
    ours = shared.components.components
    assert ours.shape == direct.shape
    np.testing.assert_allclose(ours @ ours.T, direct @ direct.T, atol=1e-9)  # the same plane, whatever the signs


def test_no_later_row_and_no_test_row_of_anybody_is_shared(shared: Shared, shared_by, nodes) -> None:
    spoilt = [replace(node, test=node.test * 0 + 9, test_label=1 - node.test_label) for node in nodes[:3]]
    same = shared_by(spoilt)
    for name, value in shared.state.items():
        assert torch.equal(same.state[name], value)
    for one, other in ((same.reference, shared.reference), (same.components_reference, shared.components_reference)):
        np.testing.assert_array_equal(one.variance, other.variance)
        assert (one.threshold, one.newcomer) == (other.threshold, other.newcomer)


def test_every_message_weighs_what_its_arrays_weigh(shared: Shared) -> None:
    f = 5
    assert shared.scale_bytes == FLOAT64 * (1 + 4 * f)  # a count, two quantiles and the range
    assert shared.moment_bytes == FLOAT64 * (1 + f + f * f)
    components = shared.components
    assert shared.component_bytes == components.mean.nbytes + components.components.nbytes
    assert shared.weight_bytes == sum(value.numel() * FLOAT32 for value in shared.state.values())
    assert shared.layer_bytes == FLOAT64 * sum(1 + 2 * width for width in (6, 4))
    assert shared.reference.n_bytes == FLOAT64 * (1 + 2 * f + 3)  # sums of residuals, two thresholds, a divergence
    assert shared.scale.n_bytes == shared.scale.low.nbytes + shared.scale.span.nbytes
    assert shared.n_rounds == N_ROUNDS


def test_the_reference_is_the_median_over_participants(shared: Shared, recipe, alarming, nodes) -> None:
    model = Models(recipe, shared.state, 5)
    residuals = [model.residual(0, node.scaled(node.history, shared.scale)) for node in nodes[:3]]
    for node, residual in zip(nodes, residuals, strict=False):
        residual[:, node.muted] = 0
    variance = np.median([residual.astype(np.float64).var(axis=0) for residual in residuals], axis=0)
    np.testing.assert_allclose(shared.reference.variance, variance, rtol=1e-4, atol=1e-9)
    newcomers = [
        np.percentile(alarming.score(residual, shared.reference.variance, node.history_time), 98)
        for node, residual in zip(nodes, residuals, strict=False)
    ]
    assert shared.reference.newcomer == pytest.approx(np.median(newcomers), rel=1e-6)


def test_rows_of_a_model_that_knows_no_scale_are_each_in_their_own(shared: Shared, shared_by, nodes) -> None:
    """The weights that are shared without statistics do not depend on a node's units, the others do."""
    idle = nodes[0].muted
    moved = replace(nodes[0], history=np.where(idle, 0, nodes[0].history * 2 + 16).astype(np.float32))
    other = shared_by([moved, *nodes[1:3]])
    for name, value in shared.own_state.items():
        torch.testing.assert_close(other.own_state[name], value, rtol=0, atol=1e-4)
    assert any(not torch.allclose(other.state[name], value, rtol=0, atol=1e-3) for name, value in shared.state.items())


def test_one_participant_is_enough(shared_by, nodes) -> None:
    alone = shared_by(nodes[:1])
    assert np.isfinite(alone.reference.threshold)
    assert alone.reference.divergence.shape == (1,)
    assert np.isfinite(alone.components_reference.variance).all()
    np.testing.assert_array_equal(alone.layer_divergence, 0)


def test_divergence_is_about_1_on_a_like_node_and_large_on_another_scale(
    shared: Shared, recipe, nodes, unlike_fleet: Path
) -> None:
    model = Models(recipe, shared.state, 5)

    def divergence(node: NodeTelemetry, by: float = 1.0) -> float:
        rows = node.scaled((node.history * by).astype(np.float32), shared.scale)
        residual = model.residual(0, rows)
        residual[:, node.muted] = 0
        return divergence_of(residual, shared.reference.variance)

    assert 0.3 < divergence(nodes[3]) < 3
    assert divergence(nodes[3], by=30) > 30
    assert ((shared.reference.divergence > 0.3) & (shared.reference.divergence < 3)).all()
    strangers = FleetTelemetry(read_fleet(unlike_fleet)).nodes([2, 3])
    assert min(divergence(node) for node in strangers) > 30


def test_divergence_is_the_squared_residual_in_units_of_the_variance() -> None:
    residual = np.array([[2.0, 0.0], [0.0, 4.0]], np.float32)
    variance = np.array([1.0, 4.0]) - VARIANCE_FLOOR
    assert divergence_of(residual, variance) == pytest.approx((2.0 / 1 + 8.0 / 4) / 2)


def test_an_own_scale_is_the_range_of_the_known_rows(shared: Shared) -> None:
    history = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]], np.float32)
    fleet = replace(shared.scale, low=np.zeros(2), span=np.array([10.0, 20.0]))
    scale = own_scale(history, fleet)
    np.testing.assert_array_equal(scale.low, [1.0, 5.0])
    np.testing.assert_array_equal(scale.span, [2.0, 20.0])  # what is constant so far is measured in the fleet's span
    assert (scale.clip_low, scale.clip_high) == (fleet.clip_low, fleet.clip_high)
