"""Bytes are sums that can be done by hand."""

import numpy as np
import pytest

from ftl.evaluation.cost import (
    ARM_TRAFFIC,
    Sizes,
    Traffic,
    arm_traffic,
    federated_pca_traffic,
    state_bytes,
)
from ftl.evaluation.results import BASELINES

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


def test_a_central_pool_receives_raw_rows() -> None:
    assert arm_traffic("centralised", None, None, SIZES) == Traffic(sent=4 * 70 * 10, received=1000)
    assert arm_traffic("single_source", None, None, SIZES) == Traffic(0, 1000)


def test_federated_pca_sends_its_quantiles_and_moments() -> None:
    low, high, n_rows, total, cross = np.zeros(10), np.zeros(10), np.int64(3), np.zeros(10), np.zeros((10, 10))
    sent = sum(part.nbytes for part in (low, high, n_rows, total, cross))
    back = (low, high, np.zeros(10), np.zeros((10, 3)), np.zeros(10))  # scale, mean, components, variance
    assert federated_pca_traffic(10, 3) == Traffic(sent, sum(part.nbytes for part in back))
    assert arm_traffic("federated_pca", None, None, SIZES) == federated_pca_traffic(10, 3)
    assert arm_traffic("federated_pca", None, None, Sizes(1, 1, 1, 1)) is None, "not known without its components"


def test_nodes_on_their_own_move_nothing() -> None:
    alone = {"local", "local_long", *BASELINES} - {"federated_pca"}
    assert all(arm_traffic(arm, None, None, SIZES) == Traffic(0, 0) for arm in alone)
    assert alone < set(ARM_TRAFFIC)


def test_the_traffic_of_an_unknown_arm_is_not_known() -> None:
    assert arm_traffic("by_post", "target", "top_n", SIZES) is None
