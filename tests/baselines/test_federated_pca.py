import numpy as np
import pytest

from ftl.baselines.federated_pca import fit_federated_pca, fleet_quantile_scale, moments, pool_detector
from ftl.baselines.pca import fit_pca
from ftl.data.fleet import TEST, TRAIN
from ftl.detection import DetectionSettings


@pytest.fixture
def training_rows(fleet):
    return [fleet.rows(node, TRAIN)[: 240 - 50 * node] for node in range(3)]  # unequal numbers of rows


def raw_rows(fleet, node, rows):
    return fleet.x[rows].astype(np.float64) * fleet.scale[node] + fleet.offset[node]


def test_federated_pca_equals_pca_of_the_pooled_rows(fleet, training_rows):
    scale = fleet_quantile_scale(fleet, training_rows)
    in_fleet_scale = [
        np.clip((raw_rows(fleet, node, rows) - scale.low) / scale.span, -4, 5)
        for node, rows in enumerate(training_rows)
    ]
    pooled = fit_pca(np.concatenate(in_fleet_scale), 0, DetectionSettings())
    federated = fit_federated_pca(fleet, training_rows, DetectionSettings())
    for node, rows in enumerate(training_rows):
        np.testing.assert_allclose(federated[node](fleet.x[rows]), pooled(in_fleet_scale[node]), rtol=1e-6)


def test_the_fleet_scale_is_the_median_of_the_nodes_outer_quantiles(fleet, training_rows):
    ends = [np.quantile(raw_rows(fleet, node, rows), [0.005, 0.995], axis=0) for node, rows in enumerate(training_rows)]
    low, high = np.median(ends, axis=0)
    scale = fleet_quantile_scale(fleet, training_rows)
    np.testing.assert_allclose(scale.low, low, rtol=1e-5)
    np.testing.assert_allclose(scale.span[:5], (high - low)[:5], rtol=1e-5)


def test_a_feature_constant_on_every_node_has_a_span_of_one(fleet, training_rows):
    assert fleet_quantile_scale(fleet, training_rows).span[5] == 1.0


def test_a_feature_constant_on_most_nodes_takes_the_range_of_the_node_where_it_varies(fleet, training_rows):
    for node in (0, 1):
        fleet.x[fleet.start[node] : fleet.start[node + 1], 2] = 0.5
    own = np.quantile(raw_rows(fleet, 2, training_rows[2])[:, 2], [0.005, 0.995])
    assert fleet_quantile_scale(fleet, training_rows).span[2] == pytest.approx(own[1] - own[0], rel=1e-5)


def test_moments_add_up_in_any_order():
    first, second = np.random.default_rng(0).random((2, 30, 4))
    together, summed = moments(np.concatenate([first, second])), moments(second) + moments(first)
    assert summed.n_rows == together.n_rows == 60
    np.testing.assert_allclose(summed.mean, together.mean)
    np.testing.assert_allclose(summed.covariance, together.covariance, atol=1e-14)


def test_pooled_residual_variance_is_that_of_the_pooled_residuals():
    rows = np.random.default_rng(0).normal(size=(500, 6)) * [3, 2, 1, 0.5, 0.1, 0.0]
    detector = pool_detector(moments(rows), variance_floor=1e-4)
    residual = detector.principal.residual(rows)
    np.testing.assert_allclose(detector.score.variance, residual.var(axis=0) + 1e-4, rtol=1e-8, atol=1e-12)


def test_the_unit_that_a_node_is_scaled_by_does_not_matter(fleet, training_rows):
    expected = fit_federated_pca(fleet, training_rows, DetectionSettings())[1](fleet.x[fleet.rows(1, TEST)])
    own = slice(fleet.start[1], fleet.start[2])
    fleet.x[own] = (fleet.x[own] - 0.25) * 2  # the same raw rows under another offset and scale
    fleet.offset[1] += 0.25 * fleet.scale[1]
    fleet.scale[1] /= 2
    got = fit_federated_pca(fleet, training_rows, DetectionSettings())[1](fleet.x[fleet.rows(1, TEST)])
    np.testing.assert_allclose(got, expected, rtol=1e-3)
