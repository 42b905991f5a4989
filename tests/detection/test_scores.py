import numpy as np
import pytest

from ftl.detection import ANOMALY_SCORES, NormalisedResidual, fit_mahalanobis, residual_variance
from ftl.detection.scores import shrunk_nres
from ftl.errors import UserError
from ftl.sharing import residual_sums

SCORES = pytest.mark.parametrize("fit", ANOMALY_SCORES.values(), ids=ANOMALY_SCORES)


@pytest.fixture
def residual() -> np.ndarray:
    """Rows (200, 8) float32: unlike variances, one constant and one muted (all-zero) feature."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, np.linspace(0.01, 0.2, 8), (200, 8))
    rows[:, 3], rows[:, 5] = 0.1, 0.0
    return rows.astype(np.float32)


@SCORES
def test_a_score_is_one_finite_float64_per_row(fit, residual):
    score = fit(residual)(residual[:50])
    assert score.shape == (50,)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    assert (score >= 0).all()


@SCORES
def test_a_score_is_deterministic_and_leaves_its_input_alone(fit, residual):
    before = residual.copy()
    first, second = fit(residual)(residual), fit(residual)(residual)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(residual, before)


@SCORES
def test_a_planted_anomaly_scores_above_every_training_row(fit, residual):
    planted = residual[:1] + np.float32(1.0)
    score = fit(residual)
    assert score(planted)[0] > score(residual).max()


@SCORES
def test_a_row_scores_the_same_alone_as_among_others(fit, residual):
    score = fit(residual)
    alone = [score(residual[row : row + 1])[0] for row in range(5)]
    np.testing.assert_allclose(alone, score(residual)[:5], rtol=1e-10)


@SCORES
def test_one_training_row_is_enough(fit, residual):
    assert np.isfinite(fit(residual[:1])(residual)).all()


@SCORES
def test_training_residuals_that_are_all_zero_still_rank_larger_residuals_higher(fit):
    score = fit(np.zeros((20, 4), np.float32))(np.array([[0.0] * 4, [0.1] * 4, [0.2] * 4], np.float32))
    assert np.isfinite(score).all()
    assert (np.diff(score) > 0).all()


@SCORES
def test_no_rows_to_score_give_no_scores(fit, residual):
    assert fit(residual)(residual[:0]).shape == (0,)


@SCORES
def test_no_training_row_is_a_user_error(fit, residual):
    with pytest.raises(UserError, match="at least one normal training row"):
        fit(residual[:0])


@SCORES
def test_rows_of_another_width_are_refused(fit, residual):
    with pytest.raises(ValueError, match="shape"):
        fit(residual)(residual[:, :3])


def test_scores_equal_their_definitions():
    train = np.array([[0.1, 1.0], [0.3, 3.0]])
    residual = np.array([[0.3, -0.4]])
    expected = {
        "nres": (0.09 / (0.01 + 1e-4) + 0.16 / (1.0 + 1e-4)) / 2,
        "mse": 0.125,
        "sse": 0.25,
        "rmse": 0.125**0.5,
        "mae": 0.35,
        "max": 0.4,
    }
    for name, value in expected.items():
        assert ANOMALY_SCORES[name](train)(residual)[0] == pytest.approx(value, rel=1e-12), name


def test_the_variance_floor_caps_what_a_constant_feature_can_add():
    score = ANOMALY_SCORES["nres"](np.zeros((5, 1)), variance_floor=0.25)
    assert score(np.array([[1.0]]))[0] == 4.0


def test_a_score_can_be_made_from_a_variance_that_came_by_message(residual):
    carried = NormalisedResidual(residual_variance(residual) + 1e-4)
    np.testing.assert_array_equal(carried(residual), ANOMALY_SCORES["nres"](residual)(residual))


def test_mahalanobis_finds_a_row_that_breaks_a_correlation():
    rng = np.random.default_rng(1)
    common = rng.normal(size=(500, 1))
    train = common + 0.1 * rng.normal(size=(500, 2))
    score = fit_mahalanobis(train)
    against, along = score(np.array([[1.0, -1.0], [1.0, 1.0]]))
    assert against > 20 * along


def test_mahalanobis_with_many_rows_is_the_textbook_distance():
    rng = np.random.default_rng(2)
    train = rng.normal(size=(20_000, 3)) @ [[1.0, 0.5, 0.0], [0.0, 2.0, -1.0], [0.3, 0.0, 1.0]]
    centred = train - train.mean(axis=0)
    textbook = np.einsum("tf,fg,tg->t", centred, np.linalg.inv(np.cov(train.T, ddof=0)), centred) / 3
    np.testing.assert_allclose(fit_mahalanobis(train)(train[:100]), textbook[:100], rtol=0.02)


def test_mahalanobis_shrinks_like_ledoit_and_wolf():
    sklearn_covariance = pytest.importorskip("sklearn.covariance")
    rng = np.random.default_rng(3)
    train = rng.normal(size=(40, 60)) @ rng.normal(size=(60, 60))
    score = fit_mahalanobis(train, variance_floor=1e-12)
    standardised = (train - train.mean(axis=0)) / train.std(axis=0)
    shrunk, _ = sklearn_covariance.ledoit_wolf(standardised, assume_centered=True)
    np.testing.assert_allclose(score.cholesky @ score.cholesky.T, shrunk, atol=1e-8)


def test_mahalanobis_stays_finite_with_copies_of_a_feature_and_fewer_rows_than_features():
    rng = np.random.default_rng(4)
    few = rng.normal(size=(10, 50))
    copied = np.repeat(rng.normal(size=(1000, 1)), 6, axis=1) * 1e3
    for train in (few, copied):
        assert np.isfinite(fit_mahalanobis(train)(train)).all()


def test_few_rows_score_by_the_variance_of_the_fleet_and_many_by_their_own(residual):
    fleet = np.full(8, 0.5)
    own = ANOMALY_SCORES["nres"](residual)
    by_fleet = NormalisedResidual(fleet + 1e-4)
    few, many = shrunk_nres(residual_sums(residual[:1]), fleet, 1e6), shrunk_nres(residual_sums(residual), fleet, 1e-6)
    np.testing.assert_allclose(few(residual), by_fleet(residual), rtol=1e-4)
    np.testing.assert_allclose(many(residual), own(residual), rtol=1e-4)
