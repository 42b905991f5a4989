import numpy as np
import pytest

from ftl.sharing import ThresholdReport, fleet_threshold


def test_the_fleets_threshold_is_the_median_whatever_the_nodes_sizes():
    assert fleet_threshold([ThresholdReport(10_000, 1.0), ThresholdReport(3, 5.0), ThresholdReport(40, 2.0)]) == 2.0
    assert fleet_threshold([ThresholdReport(1, 1.0), ThresholdReport(1, 2.0)]) == 1.5


def test_nodes_without_scores_have_no_say():
    assert fleet_threshold([ThresholdReport(0, 9.0), ThresholdReport(7, np.nan), ThresholdReport(7, 2.0)]) == 2.0


def test_nobody_with_a_threshold_is_refused():
    with pytest.raises(ValueError, match="at least one node that has scores"):
        fleet_threshold([ThresholdReport(0, 9.0)])


def test_two_numbers_are_sent():
    assert ThresholdReport(7, 2.0).n_bytes == np.int64(7).nbytes + np.float64(2.0).nbytes
