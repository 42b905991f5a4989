"""A federated fit of stacked cohorts is FedAvg client by client in plain torch (float64, clients of unequal length)."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from ftl.federation.rounds import end_round
from ftl.learning.batches import BatchSettings, row_order
from ftl.learning.fit import FitState
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import FederatedTraining
from ftl.models.network import initial_state
from ftl.models.state import repeat, take
from tests.learning.plain_torch import PlainNetwork, train
from tests.learning.toy_stack import (
    BATCHES,
    MODEL,
    N_FEATURES,
    Interruption,
    assert_close,
    assert_same_bits,
    fit,
    interrupt_after,
    toy_rows,
    without_gpu,
)

N_ROWS = (23, 7, 40, 12, 31)
COHORTS = ((0, 1), (2, 3, 4))
RATE = 1e-2
N_ROUNDS = 4
OPTIMIZERS = {
    "adam": (OptimizerSettings("adam", RATE), partial(torch.optim.Adam, lr=RATE)),
    "rmsprop": (OptimizerSettings("rmsprop", RATE), partial(torch.optim.RMSprop, lr=RATE)),
    "rmsprop, torch's own": (
        OptimizerSettings("rmsprop", RATE, backend="torch"),
        partial(torch.optim.RMSprop, lr=RATE),
    ),
}
CLIENT_STATE = pytest.mark.parametrize("client_state", ["fresh", "kept"])
LOCAL_EPOCHS = pytest.mark.parametrize("n_local_epochs", [1, 2])


def server_model(dtype=torch.float64):
    return {name: value.to(dtype) for name, value in initial_state("autoencoder", N_FEATURES, MODEL, 11).items()}


def federated_fit(
    rows, cohorts=COHORTS, client_state="fresh", n_local_epochs=1, settings=None, n_rounds=N_ROUNDS, weights=None, **how
) -> FitState:
    """Federated training as ``ftl.experiment`` sets it up: ``cohorts`` in the caller's numbers of clients."""
    n_k = torch.tensor(rows.n_rows(), dtype=torch.float64) if weights is None else weights

    def arguments(order):
        at = {model: position for position, model in enumerate(order)}
        return {
            "cohorts": [[at[model] for model in cohort] for cohort in cohorts],
            "weights": n_k[order],
            "end_round": end_round,
            "n_local_epochs": n_local_epochs,
            "client_state": client_state,
        }

    start = repeat(server_model(rows.x.dtype), rows.n_models)
    settings = settings or OptimizerSettings(learning_rate=RATE)
    n_epochs = n_rounds * n_local_epochs
    return fit(rows, start, n_epochs, settings, training=FederatedTraining, arguments=arguments, **how)


def plain_fedavg(rows, cohort, plain_optimizer, client_state, n_local_epochs, weights=None):
    """FedAvg as the paper's algorithm has it: broadcast, each client's local epochs, mean weighted by rows."""
    n_k = rows.n_rows() if weights is None else weights.tolist()
    state = server_model()
    kept = {}
    for round_ in range(N_ROUNDS):
        epochs = range(round_ * n_local_epochs, (round_ + 1) * n_local_epochs)
        sent = []
        for client in cohort:
            network = PlainNetwork(state, 0)
            optimizer = plain_optimizer(network.parameters())
            if client_state == "kept" and client in kept:
                optimizer.load_state_dict(kept[client])
            train(network, optimizer, rows, client, epochs, BATCHES.batch_size)
            kept[client] = optimizer.state_dict()
            sent.append(network.stacked())
        total = sum(n_k[client] for client in cohort)
        state = {
            name: sum(n_k[client] / total * of_client[name] for client, of_client in zip(cohort, sent, strict=True))
            for name in state
        }
    return state


@CLIENT_STATE
@LOCAL_EPOCHS
@pytest.mark.parametrize(("settings", "plain"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_cohorts_in_one_stack_equal_a_plain_loop_over_clients(settings, plain, client_state, n_local_epochs):
    rows = toy_rows(N_ROWS)
    end = federated_fit(rows, COHORTS, client_state, n_local_epochs, settings)
    start = server_model()
    for cohort in COHORTS:
        expected = plain_fedavg(rows, cohort, plain, client_state, n_local_epochs)
        assert_close(take(end.network, cohort), repeat(expected, len(cohort)))
        assert (expected["encoder.0.weight"] - start["encoder.0.weight"]).abs().max() > 1e-2


def test_weights_other_than_numbers_of_rows_are_what_clients_are_averaged_by():
    rows, uniform = toy_rows(N_ROWS), torch.ones(len(N_ROWS))
    end = federated_fit(rows, weights=uniform)
    plain = partial(torch.optim.Adam, lr=RATE)
    for cohort in COHORTS:
        expected = plain_fedavg(rows, cohort, plain, "fresh", 1, uniform)
        assert_close(take(end.network, cohort), repeat(expected, len(cohort)))
    assert not torch.allclose(end.network["encoder.0.weight"], federated_fit(rows).network["encoder.0.weight"])


def test_fresh_and_kept_optimizer_state_are_not_the_same_training():
    rows = toy_rows(N_ROWS)
    fresh, kept = (federated_fit(rows, client_state=state) for state in ("fresh", "kept"))
    assert not torch.allclose(fresh.network["decoder.0.weight"], kept.network["decoder.0.weight"])
    assert fresh.optimizer == {}
    assert kept.optimizer["0.steps"].tolist() == [N_ROUNDS * BATCHES.n_steps(n) for n in N_ROWS]


def test_clients_of_a_cohort_end_with_one_model_and_cohorts_with_their_own():
    end = federated_fit(toy_rows(N_ROWS)).network
    for cohort in COHORTS:
        assert_same_bits(take(end, cohort), repeat(take(end, [cohort[0]]), len(cohort)))
    for name, value in end.items():
        assert not torch.equal(value[COHORTS[0][0]], value[COHORTS[1][0]]), name


def test_a_cohort_of_one_is_local_training_where_its_optimizer_state_is_kept():
    rows = toy_rows((23,), torch.float32)
    alone = federated_fit(rows, [[0]], "kept", n_rounds=3)
    local = fit(rows, server_model(torch.float32), 3, OptimizerSettings(learning_rate=RATE))
    assert_same_bits(alone.network, local.network)


@CLIENT_STATE
@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_another_cohort_in_the_stack_does_not_change_a_cohorts_bits(name, client_state):
    """A node that takes part in both cohorts is two clients, as in a fleet where all cohorts share stacks."""
    lengths = (70, 20, 130, 50)
    both_cohorts = toy_rows(lengths, torch.float32).reordered([0, 1, 3, 2, 1])
    federate = partial(
        federated_fit,
        client_state=client_state,
        n_local_epochs=2,
        settings=OptimizerSettings(name, RATE),
        batches=BatchSettings(32, None),  # a multiple of 32: see tests/learning/test_fit.py
    )
    together = federate(both_cohorts, [[0, 1, 2], [3, 4]])
    first = federate(both_cohorts.reordered([0, 1, 2]), [[0, 1, 2]])
    second = federate(both_cohorts.reordered([3, 4]), [[0, 1]])
    assert_same_bits(take(together.network, [0, 1, 2]), first.network)
    assert_same_bits(take(together.network, [3, 4]), second.network)
    assert torch.equal(together.losses[:, :3], first.losses)


def with_a_nan_row(rows, *clients):
    x = rows.x.clone()
    for client in clients:
        x[rows.rows[rows.entries(client)][0]] = float("nan")
    return replace(rows, x=x)


def test_a_client_that_diverges_is_counted_every_round_and_its_cohort_goes_on_without_it():
    rows = toy_rows(N_ROWS)
    end = federated_fit(with_a_nan_row(rows, 3))
    assert end.excluded.tolist() == [[0, 1]] * N_ROUNDS
    expected = plain_fedavg(rows, (2, 4), partial(torch.optim.Adam, lr=RATE), "fresh", 1)
    assert_close(take(end.network, COHORTS[1]), repeat(expected, 3))
    whole = federated_fit(rows)
    assert_same_bits(take(end.network, COHORTS[0]), take(whole.network, COHORTS[0]))
    assert whole.excluded.tolist() == [[0, 0]] * N_ROUNDS


@CLIENT_STATE
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_client_that_diverged_takes_part_again_in_rounds_that_do_not_meet_its_bad_row(name, client_state):
    """Its optimizer state must not carry the accident on."""
    rows = toy_rows(N_ROWS)
    capped = BatchSettings(5, 1)  # 5 of the client's 12 rows a round
    drawn = [0 in row_order(12, rows.seeds[3], epoch)[:5] for epoch in range(8)]
    assert 0 < sum(drawn[:-1]) < 7, "the toy's seed must give rounds of both kinds"
    settings = replace(OPTIMIZERS[name][0], learning_rate=1e-4)
    end = federated_fit(
        with_a_nan_row(rows, 3), client_state=client_state, settings=settings, n_rounds=8, batches=capped
    )
    assert end.excluded[:, 1].tolist() == [int(met) for met in drawn]


@CLIENT_STATE
def test_a_cohort_in_which_every_client_diverges_ends_the_fit(client_state):
    with pytest.raises(FloatingPointError, match="diverged"):
        federated_fit(with_a_nan_row(toy_rows(N_ROWS), 0, 1), client_state=client_state)


@CLIENT_STATE
@pytest.mark.parametrize(("n_local_epochs", "epoch"), [(1, 2), (1, 4), (2, 2), (2, 3), (2, 4)])
def test_an_interrupted_federated_fit_goes_on_to_the_same_bits(client_state, n_local_epochs, epoch, tmp_path):
    """Also in the middle of a round, and also with clients left out."""
    rows = with_a_nan_row(toy_rows(N_ROWS, torch.float32), 3)
    federate = partial(federated_fit, rows, COHORTS, client_state, n_local_epochs)
    checkpoint = tmp_path / "federated.checkpoint"
    with pytest.raises(Interruption):
        federate(checkpoint=checkpoint, report=interrupt_after(epoch))
    reported = []
    resumed = federate(checkpoint=checkpoint, report=lambda *done: reported.append(done[0]))
    whole = federate()
    assert reported[0] == epoch, "the fit must go on, not begin again"
    assert_same_bits(resumed.network, whole.network)
    assert torch.equal(resumed.losses[:, [0, 1, 2, 4]], whole.losses[:, [0, 1, 2, 4]])
    assert torch.equal(resumed.excluded, whole.excluded)
    assert resumed.optimizer.keys() == whole.optimizer.keys()
    for name, value in resumed.optimizer.items():
        torch.testing.assert_close(value, whole.optimizer[name], rtol=0, atol=0, equal_nan=True)


@CLIENT_STATE
def test_a_gpu_federates_to_the_same_weights_as_a_cpu(client_state, monkeypatch):
    rows = toy_rows(N_ROWS)
    on_gpu = federated_fit(rows, client_state=client_state)
    without_gpu(monkeypatch)
    assert_close(on_gpu.network, federated_fit(rows, client_state=client_state).network, rtol=1e-8, atol=1e-10)
