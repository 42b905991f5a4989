import numpy as np
import pytest

from ftl.detection.contributions import CONTRIBUTIONS, top_sensors
from ftl.detection.scores import ANOMALY_SCORES

SUM_OF = {"nres": 4.0, "mse": 4.0, "sse": 1.0, "mae": 4.0}  # the sum of the contributions in scores, F = 4


def residuals(n_rows: int = 60) -> np.ndarray:
    return np.random.default_rng(1).normal(0, [0.1, 0.2, 0.5, 1.0], (n_rows, 4))


def test_every_score_says_what_contributed() -> None:
    assert {*CONTRIBUTIONS} == {*ANOMALY_SCORES}


@pytest.mark.parametrize("name", CONTRIBUTIONS)
def test_contributions_are_not_negative_and_find_the_feature_that_left(name: str) -> None:
    score = ANOMALY_SCORES[name](residuals())
    odd = np.zeros((1, 4))
    odd[0, 2] = 3.0
    parts = CONTRIBUTIONS[name](score, odd)
    assert parts.shape == (1, 4)
    assert (parts >= 0).all()
    assert parts[0].argmax() == 2


@pytest.mark.parametrize("name", SUM_OF)
def test_contributions_add_up_to_the_score(name: str) -> None:
    score, rows = ANOMALY_SCORES[name](residuals()), residuals(7)
    np.testing.assert_allclose(CONTRIBUTIONS[name](score, rows).sum(axis=1), SUM_OF[name] * score(rows), rtol=1e-9)


def test_terms_of_the_distance_add_up_where_none_is_negative() -> None:
    score = ANOMALY_SCORES["mahalanobis"](residuals())
    rows = 10 * np.eye(4)
    np.testing.assert_allclose(CONTRIBUTIONS["mahalanobis"](score, rows).sum(axis=1), 4 * score(rows), rtol=0.05)


def test_top_sensors_are_sorted_and_shares_are_of_the_whole() -> None:
    (row,) = top_sensors(np.array([[1.0, 6.0, 0.0, 3.0]]), ("a", "b", "c", "d"))
    assert row == [{"sensor": "b", "share": 0.6}, {"sensor": "d", "share": 0.3}, {"sensor": "a", "share": 0.1}]


def test_what_contributed_nothing_is_not_named() -> None:
    assert top_sensors(np.array([[0.0, 2.0], [0.0, 0.0]]), ("a", "b")) == [[{"sensor": "b", "share": 1.0}], []]
