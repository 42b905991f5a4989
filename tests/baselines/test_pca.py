import numpy as np
import pytest

from ftl.baselines.pca import fit_pca, leading_components
from ftl.detection import DetectionSettings


def test_components_hold_just_the_asked_share_of_the_variance():
    covariance = np.diag([1.0, 60.0, 9.0, 30.0])
    assert leading_components(covariance, 0.90).shape == (4, 2)
    assert leading_components(covariance, 0.95).shape == (4, 3)
    np.testing.assert_allclose(np.abs(leading_components(covariance, 0.5)[:, 0]), [0, 1, 0, 0], atol=1e-12)


def test_rows_without_variance_have_no_components():
    assert leading_components(np.zeros((4, 4))).shape == (4, 0)


def test_the_score_equals_singular_value_decomposition_done_by_hand():
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(300, 5))).astype(np.float32)
    centred = train.astype(np.float64) - train.mean(axis=0, dtype=np.float64)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    n_components = int(np.argmax(np.cumsum(spread**2) / np.sum(spread**2) >= 0.95)) + 1
    residual = centred - centred @ directions[:n_components].T @ directions[:n_components]
    by_hand = np.mean(residual**2 / (residual.var(axis=0) + 1e-4), axis=1)
    np.testing.assert_allclose(fit_pca(train, 0, DetectionSettings())(train), by_hand, rtol=1e-8)


@pytest.mark.parametrize("n_rows", [1, 2, 10])
def test_fewer_rows_than_features_give_finite_scores(n_rows):
    train = np.random.default_rng(1).random((n_rows, 40)).astype(np.float32)
    score = fit_pca(train, 0, DetectionSettings())
    assert np.isfinite(score(train)).all()
    assert score(train + 1)[0] > score(train)[0]
