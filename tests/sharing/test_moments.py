"""The covariance from the nodes' sums is that of their pooled rows."""

import numpy as np
import pytest

from ftl.baselines.federated_pca import pool_detector
from ftl.baselines.pca import fit_pca
from ftl.detection import ScoringSettings
from ftl.sharing import Moments, moments


def tables(sizes, n_features=6, seed=0):
    random = np.random.default_rng(seed)
    mix = random.normal(size=(n_features, n_features))
    return [random.normal(k, 1, (n, n_features)) @ mix for k, n in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [(1,), (1, 1), (500, 3, 41), (10, 10, 10)])
def test_mean_and_covariance_are_those_of_the_pooled_rows(sizes):
    parts = tables(sizes)
    pooled = np.concatenate(parts)
    total = sum((moments(rows) for rows in parts), start=Moments.none(6))
    assert total.n_rows == sum(sizes)
    np.testing.assert_allclose(total.mean, pooled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(total.covariance, np.cov(pooled.T, ddof=0), atol=1e-10)


def test_principal_components_of_the_sums_score_as_those_of_the_pooled_rows():
    parts = tables((300, 20, 75))
    pooled = np.concatenate(parts)
    settings = ScoringSettings("nres", 1e-4)
    federated = pool_detector(sum((moments(rows) for rows in parts), start=Moments.none(6)), 1e-4)
    np.testing.assert_allclose(federated(pooled), fit_pca(pooled, 0, settings)(pooled), rtol=1e-8)


def test_rows_of_float32_are_summed_in_float64():
    rows = np.full((1000, 2), 16_777_217.0 / 3, np.float32)
    exact = rows.astype(np.float64)
    np.testing.assert_array_equal(moments(rows).total, exact.sum(axis=0))
    np.testing.assert_array_equal(moments(rows).cross, exact.T @ exact)


def test_bytes_are_those_of_the_arrays_that_are_sent():
    sent = moments(np.zeros((9, 5)))
    assert sent.n_bytes == np.int64(9).nbytes + sent.total.nbytes + sent.cross.nbytes
