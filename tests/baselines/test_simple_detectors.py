import numpy as np
from scipy.stats import rankdata

from ftl.baselines.centroid import fit_centroid
from ftl.baselines.isolation_forest import MOST_TRAINING_ROWS, fit_isolation_forest
from ftl.baselines.random_scorer import fit_random
from ftl.detection import DetectionSettings, fit_mahalanobis


def auroc(score: np.ndarray, anomalous: np.ndarray) -> float:
    n_anomalous = anomalous.sum()
    above = rankdata(score)[anomalous].sum() - n_anomalous * (n_anomalous + 1) / 2
    return float(above / (n_anomalous * (~anomalous).sum()))


def test_the_random_scorer_knows_nothing_even_of_rows_that_are_all_alike():
    anomalous = np.arange(20_000) % 20 == 0
    for x in (np.where(anomalous, 9.0, 0.0)[:, None], np.zeros((20_000, 3))):
        assert abs(auroc(fit_random(x, 0, DetectionSettings())(x), anomalous) - 0.5) < 0.03


def test_the_random_scorer_draws_anew_for_other_rows():
    score = fit_random(np.zeros((1, 2)), 0, DetectionSettings())
    first, second = score(np.zeros((100, 2))), score(np.ones((100, 2)))
    assert not np.intersect1d(first, second).size


def test_the_centroid_distance_is_the_mahalanobis_score_of_the_inputs():
    x = np.random.default_rng(0).random((100, 4))
    np.testing.assert_array_equal(fit_centroid(x, 0, DetectionSettings())(x), fit_mahalanobis(x)(x))


def test_the_forest_is_the_same_for_the_same_seed_and_trains_on_so_many_rows_at_most():
    x = np.random.default_rng(0).random((MOST_TRAINING_ROWS + 500, 2)).astype(np.float32)
    scores = [fit_isolation_forest(x, seed, DetectionSettings())(x[:50]) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
