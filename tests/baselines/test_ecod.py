import numpy as np

from ftl.baselines.ecod import MOST_TRAINING_ROWS, fit_ecod
from ftl.detection import DetectionSettings


def brute_force(train: np.ndarray, row: np.ndarray) -> float:
    left = right = skew_side = 0.0
    for training, value in zip(train.T, row, strict=True):
        n = len(training) + 1
        at_most = -np.log((1 + sum(other <= value for other in training)) / n)
        at_least = -np.log((1 + sum(other >= value for other in training)) / n)
        left, right = left + at_most, right + at_least
        skewed_left = np.ptp(training) > 0 and np.sum((training - training.mean()) ** 3) < 0
        skew_side += at_most if skewed_left else at_least
    return max(left, right, skew_side)


def test_ecod_equals_brute_force_also_with_ties_and_outside_the_training_range():
    rng = np.random.default_rng(0)
    train = rng.gamma(1.0, size=(80, 5)) * [1, -1, 1, -1, 1]
    train[:, 2] = np.round(train[:, 2], 1)
    train[:, 4] = 0.3  # constant
    test = np.concatenate([train[:20], rng.normal(size=(20, 5)) * 3])
    expected = [brute_force(train, row) for row in test]
    np.testing.assert_allclose(fit_ecod(train, 0, DetectionSettings())(test), expected, rtol=1e-12)


def test_the_largest_training_value_of_a_right_skewed_feature_scores_highest():
    train = np.random.default_rng(1).exponential(size=(500, 1))
    score = fit_ecod(train, 0, DetectionSettings())(train)
    assert score.argmax() == train[:, 0].argmax()


def test_only_so_many_evenly_spaced_training_rows_are_kept():
    train = np.arange(3.0 * MOST_TRAINING_ROWS)[:, None]
    kept = fit_ecod(train, 0, DetectionSettings()).ordered
    assert kept.shape == (1, MOST_TRAINING_ROWS)
    assert kept[0, 0] == 0
    assert kept[0, -1] == len(train) - 1
