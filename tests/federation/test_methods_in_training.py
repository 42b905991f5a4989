"""Federated methods in the stacked engine: client by client they are plain torch, and each solves a known problem."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from ftl.experiment.federation_fit import client_weights, global_states
from ftl.federation.methods import METHODS
from ftl.learning.batches import BatchSettings
from ftl.learning.fit import FitState
from ftl.learning.optimizers import OptimizerSettings
from ftl.models.network import ENCODER, ModelSettings, initial_state
from ftl.models.state import join, repeat, split_off, take
from tests.federation.plain_methods import (
    COHORTS,
    N_ROUNDS,
    N_ROWS,
    RATE,
    method_fit,
    plain_method,
    server_model,
    settings_of,
)
from tests.learning.toy_stack import (
    BATCHES,
    N_FEATURES,
    Interruption,
    assert_close,
    assert_same_bits,
    interrupt_after,
    toy_rows,
    without_gpu,
)

EACH = pytest.mark.parametrize("method", METHODS)
PRIVATE = ("fedper", "fedrep")
WITH_PRIVATE = pytest.mark.parametrize("method", PRIVATE)
ALL_FIVE = tuple(range(len(N_ROWS)))


def in_order(models):
    return join([models[client] for client in sorted(models)])


def with_a_nan_row(rows, client):
    x = rows.x.clone()
    x[rows.rows[rows.entries(client)][0]] = float("nan")
    return replace(rows, x=x)


@cache
def usual_fit(method):
    """Of the usual rows and settings; only to be read."""
    return method_fit(toy_rows(N_ROWS), settings_of(method))


def is_encoder(name):
    return name.startswith(ENCODER)


# every method


@EACH
def test_cohorts_in_one_stack_equal_a_plain_loop_over_clients(method):
    rows, federate = toy_rows(N_ROWS), settings_of(method)
    end = usual_fit(method).network
    for cohort in COHORTS:
        assert_close(take(end, cohort), in_order(plain_method(rows, cohort, federate)), rtol=1e-8, atol=1e-10)
        assert (end["encoder.0.weight"][cohort[0]] - server_model()["encoder.0.weight"]).abs().max() > 1e-3


@EACH
def test_methods_other_than_fedavg_and_dittos_global_part_train_other_models(method):
    end, fedavg = (usual_fit(name).network for name in (method, "fedavg"))
    if method in ("fedavg", "ditto"):
        assert_same_bits(end, fedavg)
    else:
        assert (end["encoder.0.weight"] - fedavg["encoder.0.weight"]).abs().max() > 1e-4


@EACH
@pytest.mark.parametrize(("epoch", "client_state"), [(2, "fresh"), (3, "kept")], ids=["after a round", "in a round"])
def test_an_interrupted_fit_goes_on_to_the_same_bits(method, epoch, client_state, tmp_path):
    """Also with a client that is left out every round."""
    rows = with_a_nan_row(toy_rows(N_ROWS, torch.float32), 3)
    federate = settings_of(method, client_state=client_state, n_rounds=2)
    checkpoint = tmp_path / "federated.checkpoint"
    with pytest.raises(Interruption):
        method_fit(rows, federate, checkpoint=checkpoint, report=interrupt_after(epoch + 1))
    reported = []
    resumed = method_fit(rows, federate, checkpoint=checkpoint, report=lambda *done: reported.append(done[0]))
    whole = method_fit(rows, federate)
    assert reported[0] == epoch + 1, "the fit must go on, not begin again"
    assert_same_bits(resumed.network, whole.network)
    assert_same_bits(resumed.memory, whole.memory)
    assert torch.equal(resumed.excluded, whole.excluded)
    assert resumed.anchor == whole.anchor == {}


@EACH
def test_a_client_that_diverges_is_left_out_and_goes_on_with_what_it_last_had(method):
    rows, federate = toy_rows(N_ROWS), settings_of(method)
    end = method_fit(with_a_nan_row(rows, 3), federate)
    assert end.excluded.tolist() == [[0, 1]] * N_ROUNDS
    expected = plain_method(rows, COHORTS[1], federate, left_out=[3])
    assert_close(take(end.network, COHORTS[1]), in_order(expected), rtol=1e-8, atol=1e-10)
    if method in PRIVATE:
        _, decoder = split_off(take(end.network, [3]), is_encoder)
        assert_same_bits(decoder, {name: value for name, value in server_model().items() if name in decoder})


@pytest.mark.parametrize("method", ["fedprox", "fedadam", "fedrep"])
def test_another_cohort_in_the_stack_does_not_change_a_cohorts_bits(method):
    federate = settings_of(method)
    rows, batches = toy_rows((70, 20, 130, 50), torch.float32), BatchSettings(32, None)
    together = method_fit(rows, federate, [[0, 2], [3, 1]], batches=batches)
    for number, cohort in enumerate([[0, 2], [3, 1]]):
        alone = method_fit(rows.reordered(cohort), federate, [[0, 1]], batches=batches)
        assert_same_bits(take(together.network, cohort), alone.network)
        assert_same_bits(take(together.memory, [number]), alone.memory)


@EACH
def test_a_target_receives_the_shared_parameters_and_the_mean_of_private_ones(method):
    result, federate = usual_fit(method), settings_of(method)
    weights = client_weights(N_ROWS, federate)
    received = global_states(result, COHORTS, weights, federate)
    for number, cohort in enumerate(COHORTS):
        clients, model = take(result.network, cohort), take(received, [number])
        share = torch.tensor([N_ROWS[client] for client in cohort], dtype=torch.float64)
        for name, value in model.items():
            if method in PRIVATE and not is_encoder(name):
                mean = sum(s * of for s, of in zip(share / share.sum(), clients[name], strict=True))
                torch.testing.assert_close(value[0], mean, rtol=1e-12, atol=1e-14)
                assert not torch.equal(clients[name][0], clients[name][1])
            else:
                assert torch.equal(value.expand_as(clients[name]), clients[name]), name


@EACH
def test_a_gpu_federates_to_the_same_weights_as_a_cpu(method, monkeypatch):
    on_gpu = usual_fit(method) if torch.cuda.is_available() else None
    without_gpu(monkeypatch)
    on_cpu = method_fit(toy_rows(N_ROWS), settings_of(method))
    assert_close(on_gpu.network, on_cpu.network, rtol=1e-8, atol=1e-10)
    assert_close(on_gpu.memory, on_cpu.memory, rtol=1e-6, atol=1e-10)


# A problem that can be solved by hand: all weights are zero and stay so, and what trains is the last bias b. A client's
# loss is |b - m_k|^2 / F plus a constant, m_k being the mean of its rows.

LINEAR = ModelSettings(hidden=(12, 8, 4), latent=4, output="linear")
BIAS = "decoder.2.bias"
WHOLE_EPOCH = BatchSettings(64, None)  # one step over all rows


def zeros(n):
    state = initial_state("autoencoder", N_FEATURES, LINEAR, 0)
    return FitState(repeat({name: torch.zeros_like(value).double() for name, value in state.items()}, n))


def gradient_descent(rate):
    """RMSprop with so large an eps that it divides by a constant."""
    return OptimizerSettings("rmsprop", rate * 1e8, eps=1e8)


def means(rows):
    """m_k, shape (K, F)."""
    return torch.stack([rows.x[rows.rows[rows.entries(k)]].mean(dim=0) for k in range(rows.n_models)])


def fit_bias(rows, federate, cohorts, rate):
    start = zeros(rows.n_models)
    end = method_fit(rows, federate, cohorts, None, start, gradient_descent(rate), LINEAR, WHOLE_EPOCH)
    return end.network[BIAS][:, 0]


@pytest.mark.parametrize("mu", [0.05, 1.0, 1e4])
def test_fedprox_takes_the_steps_that_follow_from_its_quadratic(mu):
    """A round's minimiser is (a m_k + mu b) / (a + mu) with a = 2 / F: a large mu stays at b, a small one goes to m."""
    rows, a = toy_rows((12, 30, 6)), 2 / N_FEATURES
    federate = settings_of("fedprox", n_rounds=2, n_local_epochs=30, proximal=mu)
    found = fit_bias(rows, federate, [[0, 1, 2]], rate=1 / (a + mu))
    pooled = (torch.tensor([12.0, 30, 6], dtype=torch.float64) / 48) @ means(rows)
    expected = pooled * (1 - (mu / (a + mu)) ** 2)
    torch.testing.assert_close(found, expected.expand(3, -1), rtol=1e-5, atol=0)


def test_fedprox_without_pull_is_fedavg_to_the_bit():
    rows = toy_rows(N_ROWS, torch.float32)
    prox, fedavg = (method_fit(rows, settings_of(name, proximal=0.0)) for name in ("fedprox", "fedavg"))
    assert_same_bits(prox.network, fedavg.network)
    assert torch.equal(prox.losses, fedavg.losses)


def test_a_very_strong_pull_keeps_an_adaptive_client_within_steps_of_its_start():
    rows, start = toy_rows((40,)), server_model()
    drift = {
        mu: (method_fit(rows, settings_of("fedprox", n_rounds=1, n_local_epochs=10, proximal=mu), [[0]])
             .network["encoder.0.weight"] - start["encoder.0.weight"]).abs().max()
        for mu in (0.0, 1e6)
    }  # fmt: skip
    assert drift[1e6] < 3 * RATE < 10 * RATE < drift[0.0]


@pytest.mark.parametrize("method", ["fedadam", "fedyogi"])
def test_an_adaptive_server_finds_the_pooled_mean_that_no_client_has(method):
    rows = toy_rows((12, 30, 6))
    server = {"server_learning_rate": 0.5, "server_eps": 0.3, "server_beta1": 0.5}
    federate = settings_of(method, n_rounds=40, n_local_epochs=1, **server)
    found = fit_bias(rows, federate, [[0, 1, 2]], rate=3.0)
    pooled = (torch.tensor([12.0, 30, 6], dtype=torch.float64) / 48) @ means(rows)
    torch.testing.assert_close(found, pooled.expand(3, -1), rtol=0, atol=1e-3)
    assert ((means(rows) - pooled).abs().max(dim=1).values > 0.02).all()


@WITH_PRIVATE
def test_a_private_read_out_is_each_clients_own_optimum(method):
    """The bias is part of the decoder: nothing is averaged here, so each client must reach its own mean."""
    rows = toy_rows((12, 30, 6))
    federate = settings_of(method, n_rounds=5, n_local_epochs=8, head_epochs=7)
    torch.testing.assert_close(fit_bias(rows, federate, [[0, 1, 2]], rate=3.0), means(rows), rtol=1e-8, atol=0)


@WITH_PRIVATE
def test_after_every_round_encoders_are_equal_and_decoders_are_not(method):
    rows = toy_rows(N_ROWS)
    for n_rounds in (1, 2):
        encoder, decoder = split_off(method_fit(rows, settings_of(method, n_rounds=n_rounds)).network, is_encoder)
        for cohort in COHORTS:
            assert_same_bits(take(encoder, cohort), repeat(take(encoder, cohort[:1]), len(cohort)))
            assert all(value.flatten(1).unique(dim=0).shape[0] == len(N_ROWS) for value in decoder.values())


def test_fedrep_leaves_the_encoder_while_the_head_trains_and_the_head_while_the_encoder_does():
    rows, federate = toy_rows(N_ROWS), settings_of("fedrep", n_local_epochs=3, head_epochs=2)
    start = repeat(server_model(), len(N_ROWS))
    (encoder, decoder), (later_encoder, later_decoder) = (
        split_off(method_fit(rows, federate, n_epochs=n).network, is_encoder) for n in (2, 3)
    )
    assert_same_bits(encoder, {name: start[name] for name in encoder})
    assert all(not torch.equal(value, start[name]) for name, value in decoder.items())
    assert_same_bits(later_decoder, decoder)
    assert all(not torch.equal(value, encoder[name]) for name, value in later_encoder.items())


@WITH_PRIVATE
def test_a_private_decoders_optimizer_state_is_its_clients_where_it_is_kept(method):
    end = method_fit(toy_rows(N_ROWS), settings_of(method, client_state="kept"))
    steps = end.optimizer["6.steps"].tolist()  # of the decoder's first weight
    epochs = N_ROUNDS if method == "fedrep" else 2 * N_ROUNDS
    assert steps == [epochs * BATCHES.n_steps(n) for n in N_ROWS]
