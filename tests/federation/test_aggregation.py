import pytest
import torch

from ftl.federation.aggregation import AGGREGATORS
from ftl.federation.rounds import end_round, finite_models
from ftl.models.state import repeat, take, weighted_mean
from tests.learning.toy_stack import assert_close, assert_same_bits, unlike_models

NAN = float("nan")
FIRST, SECOND = torch.tensor([0, 3, 1]), torch.tensor([4, 2])
WEIGHTS = torch.tensor([10.0, 30, 20, 60, 5])
EACH = pytest.mark.parametrize("aggregator", AGGREGATORS.values(), ids=AGGREGATORS)


def aggregate_cohorts(clients, cohorts, weights, aggregator):
    """FedAvg's end of a round, which needs nothing of its beginning."""
    new, memory, excluded = end_round(clients, clients, {}, cohorts, weights, aggregator)
    assert memory == {}
    return new, excluded


def spoilt(states, *clients, value=NAN):
    states = {name: tensor.clone() for name, tensor in states.items()}
    for client in clients:
        states["decoder.0.bias"][client, 0, 0] = value
    return states


@EACH
def test_every_client_of_a_cohort_goes_on_from_its_cohorts_aggregate(aggregator):
    clients = unlike_models(5)
    new, excluded = aggregate_cohorts(clients, [FIRST, SECOND], WEIGHTS, aggregator)
    assert excluded == [0, 0]
    for cohort in (FIRST, SECOND):
        expected = aggregator(take(clients, cohort), WEIGHTS[cohort])
        assert_same_bits(take(new, cohort), repeat(expected, len(cohort)))


@EACH
def test_a_model_of_no_cohort_stays_as_it_was(aggregator):
    clients = unlike_models(5)
    new, _ = aggregate_cohorts(clients, [torch.tensor([0, 2])], WEIGHTS, aggregator)
    assert_same_bits(take(new, [1, 3, 4]), take(clients, [1, 3, 4]))


@EACH
def test_an_aggregators_result_is_one_model_that_its_clients_agree_on(aggregator):
    model = take(unlike_models(2), [1])
    assert_close(aggregator(repeat(model, 4), torch.tensor([1.0, 2, 3, 4])), model, rtol=1e-14)


def test_aggregating_leaves_the_clients_states_alone():
    clients = unlike_models(5)
    kept = {name: value.clone() for name, value in clients.items()}
    aggregate_cohorts(clients, [FIRST, SECOND], WEIGHTS, weighted_mean)
    assert_same_bits(clients, kept)


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_a_client_whose_weights_are_not_finite_is_left_out_counted_and_given_the_aggregate(value):
    clients = unlike_models(5)
    new, excluded = aggregate_cohorts(spoilt(clients, 3, 2, value=value), [FIRST, SECOND], WEIGHTS, weighted_mean)
    assert excluded == [1, 1]
    sound = take(clients, [0, 1])
    by_hand = {name: (10 * v[:1] + 30 * v[1:]) / 40 for name, v in sound.items()}
    assert_close(take(new, FIRST), repeat(by_hand, 3), rtol=1e-12)
    assert_same_bits(take(new, SECOND), take(clients, [4, 4]))


def test_a_cohort_in_which_every_client_has_diverged_ends_the_training():
    with pytest.raises(FloatingPointError, match=r"lower optimizer\.learning_rate"):
        aggregate_cohorts(spoilt(unlike_models(5), 2, 4), [FIRST, SECOND], WEIGHTS, weighted_mean)


def test_a_model_is_finite_if_each_of_its_numbers_is():
    assert finite_models(unlike_models(3)).tolist() == [True] * 3
    assert finite_models(spoilt(unlike_models(3), 1)).tolist() == [True, False, True]
