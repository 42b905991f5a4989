"""Bytes are sums that can be done by hand."""

from dataclasses import replace

import numpy as np
import pytest

from ftl.detection import NEEDS_FLEET
from ftl.evaluation.cost import (
    ARM_TRAFFIC,
    THRESHOLD_TRAFFIC,
    SharedStatistics,
    Sizes,
    Traffic,
    arm_traffic,
    federated_pca_traffic,
    scale_traffic,
    state_bytes,
    statistics_traffic,
    variance_traffic,
)
from ftl.evaluation.results import BASELINES
from ftl.sharing import fleet_scale, median_variance, moments, quantile_report, residual_sums

SIZES = Sizes(state=1000, n_rounds=5, n_features=10, n_rows=70, n_components=3)


def test_a_states_bytes_are_those_of_one_model_of_the_stack() -> None:
    state = {"weight": np.zeros((7, 4, 3), np.float32), "bias": np.zeros((7, 1, 3), np.float32)}
    assert state_bytes(state) == 4 * (4 * 3 + 3)


def test_a_participant_sends_every_round_and_receives_once_more() -> None:
    assert arm_traffic("zero_shot", "participant", "random_n", SIZES) == Traffic(sent=5000, received=6000)


@pytest.mark.parametrize("arm", ["zero_shot", "transfer", "full_fine_tune"])
def test_a_target_receives_the_state_once(arm: str) -> None:
    assert arm_traffic(arm, "target", "random_n", SIZES) == Traffic(0, 1000)


def test_to_be_ranked_every_node_sends_one_number() -> None:
    assert arm_traffic("transfer", "target", "top_n", SIZES) == Traffic(8, 1000)
    assert arm_traffic("zero_shot", "participant", "top_n", SIZES) == Traffic(5008, 6000)


def test_to_be_compared_every_node_describes_itself() -> None:
    described = replace(SIZES, description=300)
    assert arm_traffic("transfer", "target", "facility_location", described) == Traffic(308, 1000)
    assert arm_traffic("transfer", "target", "label_free", described) == Traffic(8, 1000)
    assert arm_traffic("transfer", "target", "all", described) == Traffic(0, 1000)


def test_a_central_pool_receives_raw_rows() -> None:
    assert arm_traffic("centralised", None, None, SIZES) == Traffic(sent=4 * 70 * 10, received=1000)
    assert arm_traffic("single_source", None, None, SIZES) == Traffic(0, 1000)


def test_federated_pca_sends_its_quantiles_and_moments() -> None:
    low, high, n_rows, total, cross = np.zeros(10), np.zeros(10), np.int64(3), np.zeros(10), np.zeros((10, 10))
    sent = sum(part.nbytes for part in (low, high, n_rows, total, cross))
    back = (low, high, np.zeros(10), np.zeros((10, 3)), np.zeros(10))  # scale, mean, components, variance
    assert federated_pca_traffic(10, 3) == Traffic(sent, sum(part.nbytes for part in back))
    assert moments(np.zeros((2, 10))).n_bytes == n_rows.nbytes + total.nbytes + cross.nbytes
    assert arm_traffic("federated_pca", None, None, SIZES) == federated_pca_traffic(10, 3)
    assert arm_traffic("federated_pca", None, None, Sizes(1, 1, 1, 1)) is None, "not known without its components"


def test_nodes_on_their_own_move_nothing() -> None:
    alone = {"local", "local_long", *BASELINES} - {"federated_pca"}
    assert all(arm_traffic(arm, None, None, SIZES) == Traffic(0, 0) for arm in alone)
    assert alone < set(ARM_TRAFFIC)


def test_the_traffic_of_an_unknown_arm_is_not_known() -> None:
    assert arm_traffic("by_post", "target", "top_n", SIZES) is None


def test_statistics_move_as_many_bytes_as_their_messages_have() -> None:
    rows = np.zeros((7, 10))
    report, sums = quantile_report(rows), residual_sums(rows)
    assert scale_traffic(10) == Traffic(report.n_bytes, fleet_scale([report]).n_bytes)
    assert variance_traffic(10, tells=True) == Traffic(sums.n_bytes, median_variance([sums]).nbytes)
    assert variance_traffic(10, tells=False) == Traffic(0, median_variance([sums]).nbytes)


@pytest.mark.parametrize("arm", ARM_TRAFFIC)
def test_statistics_that_are_switched_off_move_nothing(arm: str) -> None:
    for role in (None, "target", "participant"):
        assert statistics_traffic(arm, role, 10, SharedStatistics(threshold="percentile")) == Traffic(0, 0)


def test_of_a_cohort_its_participants_tell_and_its_targets_listen() -> None:
    shared = SharedStatistics(variance=True, threshold="fleet_percentile")
    assert statistics_traffic("zero_shot", "participant", 10, shared) == Traffic(8 * 21 + 8, 80 + 8)
    assert statistics_traffic("transfer", "target", 10, shared) == Traffic(0, 80 + 8)
    assert statistics_traffic("local", None, 10, shared) == Traffic(8 * 21 + 8, 80 + 8)
    assert statistics_traffic("single_source", None, 10, SharedStatistics(variance=True)) == Traffic(0, 80)


@pytest.mark.parametrize("arm", ["random", "pca", "federated_pca", "isolation_forest"])
def test_classical_baselines_have_no_residual_variance_to_share(arm: str) -> None:
    assert statistics_traffic(arm, None, 10, SharedStatistics(variance=True)) == Traffic(0, 0)
    assert statistics_traffic(arm, None, 10, SharedStatistics(scale=True)) == scale_traffic(10)


def test_every_rule_that_needs_the_fleet_has_its_bytes() -> None:
    assert set(THRESHOLD_TRAFFIC) == NEEDS_FLEET
