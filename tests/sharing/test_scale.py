"""What the nodes agree on is the median of what each would take for itself, whoever lacks what."""

import numpy as np
import pytest

from ftl.data.scaling import fit_scaling, measure_range
from ftl.sharing import QuantileReport, fleet_scale, quantile_report

NAN = np.nan


def nodes(sizes=(400, 37, 120), n_features=5, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(10 * k, 1 + k, (n, n_features)) for k, n in enumerate(sizes)]


def test_a_report_holds_the_quantiles_and_the_range_of_a_nodes_rows():
    (rows,) = nodes(sizes=(300,))
    report = quantile_report(rows)
    np.testing.assert_array_equal([report.low, report.high], np.quantile(rows, [0.005, 0.995], axis=0))
    np.testing.assert_array_equal([report.lowest, report.highest], [rows.min(axis=0), rows.max(axis=0)])
    assert report.n_rows == 300


def test_the_scale_is_the_median_over_nodes_however_many_rows_each_has():
    tables = nodes()
    low, high = np.median([np.quantile(rows, [0.005, 0.995], axis=0) for rows in tables], axis=0)
    scale = fleet_scale([quantile_report(rows) for rows in tables])
    np.testing.assert_allclose(scale.low, low, rtol=1e-14)
    np.testing.assert_allclose(scale.span, high - low, rtol=1e-14)
    np.testing.assert_allclose(scale(low[None]), 0.0, atol=1e-6)
    np.testing.assert_allclose(scale(high[None]), 1.0, rtol=1e-6)


def test_scaled_rows_are_clipped_float32_and_equal_to_those_brought_over_from_a_nodes_own_scale():
    tables = nodes()
    scale = fleet_scale([quantile_report(rows) for rows in tables], clip_low=-0.5, clip_high=1.25)
    scaled = scale(tables[2])
    assert scaled.dtype == np.float32
    assert (scale(tables[0]).min(), scaled.max()) == (-0.5, 1.25)
    offset, span = tables[2].min(axis=0), np.ptp(tables[2], axis=0)
    np.testing.assert_allclose(scale.rescale((tables[2] - offset) / span, offset, span), scaled, atol=1e-6)


def test_a_feature_constant_on_most_nodes_takes_the_widest_nodes_range():
    tables = nodes()
    tables[0][:, 1] = tables[1][:, 1] = 3.0
    scale = fleet_scale([quantile_report(rows) for rows in tables])
    assert scale.low[1] == 3.0
    assert scale.span[1] == pytest.approx(np.ptp(np.quantile(tables[2][:, 1], [0.005, 0.995])))


def test_a_feature_that_leaves_its_rest_too_rarely_for_a_quantile_takes_its_range():
    tables = nodes(sizes=(1000, 1000))
    for rows in tables:
        rows[:, 0] = 0.0
    tables[1][17, 0] = 250.0
    assert fleet_scale([quantile_report(rows) for rows in tables]).span[0] == 250.0


def test_a_feature_constant_on_all_nodes_or_that_nobody_has_gets_a_span_of_one():
    tables = nodes()
    for rows in tables:
        rows[:, 0], rows[:, 4] = 7.0, NAN
    scale = fleet_scale([quantile_report(rows) for rows in tables])
    assert (scale.low[0], scale.span[0]) == (7.0, 1.0)
    assert (scale.low[4], scale.span[4]) == (0.0, 1.0)


def test_a_node_that_lacks_a_feature_says_nothing_about_it():
    tables = nodes()
    with_all = [quantile_report(rows) for rows in tables[1:]]
    tables[0][:, 2] = NAN
    lacking = [quantile_report(rows) for rows in tables]
    assert np.isnan(lacking[0].low[2])
    assert fleet_scale(lacking).low[2] == fleet_scale(with_all).low[2]
    assert fleet_scale(lacking).span[2] == fleet_scale(with_all).span[2]


def test_one_node_with_one_row_is_a_fleet():
    row = np.array([[1.0, -2.0]])
    scale = fleet_scale([quantile_report(row)])
    np.testing.assert_array_equal(scale(row), [[0.0, 0.0]])


def test_a_node_without_rows_reports_nothing_and_no_node_is_no_fleet():
    empty = quantile_report(np.empty((0, 3)))
    assert empty.n_rows == 0
    assert np.isnan(empty.low).all()
    (rows,) = nodes(sizes=(50,), n_features=3)
    alone, together = fleet_scale([quantile_report(rows)]), fleet_scale([quantile_report(rows), empty])
    np.testing.assert_array_equal(together.span, alone.span)
    with pytest.raises(ValueError, match="at least one node"):
        fleet_scale([])


def test_bytes_are_those_of_the_arrays_that_are_sent():
    report = quantile_report(np.zeros((9, 5)))
    arrays = [value for value in vars(report).values() if isinstance(value, np.ndarray)]
    assert report.n_bytes == sum(array.nbytes for array in arrays) + np.int64(report.n_rows).nbytes
    scale = fleet_scale([report])
    assert scale.n_bytes == scale.low.nbytes + scale.span.nbytes


@pytest.mark.parametrize("absent", [False, True], ids=["all have all features", "one lacks one"])
def test_the_fleet_scaler_of_prepare_is_this_scale(absent):
    tables = [rows.astype(np.float32) for rows in nodes()]
    imputed = np.zeros((3, 5), bool)
    imputed[1, 3] = absent
    ranges = [
        measure_range(rows, np.arange(len(rows)), lacks, "fleet_quantile")
        for rows, lacks in zip(tables, imputed, strict=True)
    ]
    reports = []
    for rows, lacks in zip(tables, imputed, strict=True):
        known = rows.astype(np.float64)
        known[:, lacks] = NAN
        reports.append(quantile_report(known))
    prepared, shared = fit_scaling(ranges, "none", "fleet_quantile", -4.0, 5.0), fleet_scale(reports)
    for node, rows in enumerate(tables):
        has = ~imputed[node]
        np.testing.assert_allclose(prepared(rows, node)[:, has], shared(rows)[:, has], atol=2e-5)


def test_the_order_of_the_nodes_does_not_matter():
    reports: list[QuantileReport] = [quantile_report(rows) for rows in nodes()]
    np.testing.assert_array_equal(fleet_scale(reports).span, fleet_scale(reports[::-1]).span)
