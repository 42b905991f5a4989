"""What the methods are made of, on problems whose answer is known without any training engine."""

import math

import pytest
import torch

from ftl.federation.methods import METHODS, Method, method_of
from ftl.federation.methods.fedadam import moving_average
from ftl.federation.methods.fedyogi import signed_step
from ftl.federation.rounds import end_round, shared_bytes
from ftl.federation.settings import FederationSettings
from ftl.models.network import ModelSettings, initial_state

EACH = pytest.mark.parametrize("name", METHODS)
ADAPTIVE = pytest.mark.parametrize("name", ["fedadam", "fedyogi"])


def made(name, **settings):
    return method_of(FederationSettings(**{"method": name, "n_local_epochs": 4} | settings))


@EACH
def test_every_parameter_of_a_method_is_trained_in_a_round(name):
    method = made(name)
    for parameter in ("encoder.0.weight", "decoder.1.bias"):
        assert any(method.is_trained(epoch, parameter) for epoch in range(4))


@EACH
def test_only_a_personal_part_stays_at_home(name):
    method = made(name)
    assert method.is_shared("encoder.3.weight")
    assert method.is_shared("decoder.0.weight") == (name not in ("fedper", "fedrep"))


def test_dittos_global_part_and_a_method_without_arguments_are_fedavg():
    assert made("ditto") == made("fedavg") == Method()


@ADAPTIVE
def test_the_first_server_step_is_the_formula(name):
    """lr (1 - b1) d / (sqrt(v) + eps), v = eps^2 moved towards d^2."""
    method = made(name, server_learning_rate=0.5, server_beta1=0.6, server_beta2=0.75, server_eps=0.1)
    before = {"encoder.0.weight": torch.tensor([[1.0, -2.0, 0.0]], dtype=torch.float64)}
    delta = torch.tensor([[0.4, -0.02, 0.0]], dtype=torch.float64)
    after, memory = method.server_step(before, {"encoder.0.weight": before["encoder.0.weight"] + delta}, {})
    adam = [0.75 * 0.01 + 0.25 * 0.16, 0.75 * 0.01 + 0.25 * 0.0004, 0.75 * 0.01]
    yogi = [0.01 + 0.25 * 0.16, 0.01 - 0.25 * 0.0004, 0.01]
    v = adam if name == "fedadam" else yogi
    step = [0.5 * 0.4 * d / (math.sqrt(v_) + 0.1) for d, v_ in zip([0.4, -0.02, 0.0], v, strict=True)]
    assert memory["v.encoder.0.weight"][0].tolist() == pytest.approx(v)
    assert memory["m.encoder.0.weight"][0].tolist() == pytest.approx([0.16, -0.008, 0.0])
    assert (after["encoder.0.weight"] - before["encoder.0.weight"])[0].tolist() == pytest.approx(step)


def test_yogis_second_moment_moves_by_a_share_of_the_square_whatever_the_gap():
    v = torch.tensor([4.0, 1.0, 0.5, 9.0])
    squared = torch.tensor([1.0, 1.0, 2.0, 0.0])
    assert signed_step(v, squared, 0.9).tolist() == pytest.approx([4.0 - 0.1, 1.0, 0.5 + 0.2, 9.0])
    assert moving_average(v, squared, 0.9).tolist() == pytest.approx([3.7, 1.0, 0.65, 8.1])


@ADAPTIVE
def test_an_adaptive_server_solves_least_squares_over_clients_that_each_see_a_part(name):
    """No client's rows determine the answer; what the server reaches is the solution over all rows."""
    random = torch.Generator().manual_seed(1)
    a = torch.randn(4, 3, 6, generator=random, dtype=torch.float64)  # 4 clients, 3 rows each, 6 unknowns
    b = torch.randn(4, 3, 1, generator=random, dtype=torch.float64)
    method = made(name, server_learning_rate=0.05, server_eps=0.05, server_beta1=0.5)
    state = {"encoder.0.weight": torch.zeros(4, 6, 1, dtype=torch.float64)}
    memory: dict[str, torch.Tensor] = {}
    for _ in range(800):
        began, w = state, state["encoder.0.weight"]
        sent = {"encoder.0.weight": w - 0.1 * a.mT @ (a @ w - b)}
        state, memory, _ = end_round(sent, began, memory, [torch.arange(4)], torch.ones(4), method=method)
    pooled = torch.linalg.lstsq(a.reshape(12, 6), b.reshape(12, 1)).solution
    torch.testing.assert_close(state["encoder.0.weight"], pooled.expand(4, 6, 1), rtol=0, atol=1e-6)


def linear_clients(name, together=True):
    """Clients see y = C_k B x with one B (2 x 12) and read-outs C_k of their own, from 8 rows each; models W_d W_e x.

    Gives how far the encoder of the first client is from B's row space (sine of the largest angle), and the clients'
    mean loss in their last local epoch.
    """
    random = torch.Generator().manual_seed(3)
    k, f, r = 20, 12, 2
    common = torch.linalg.qr(torch.randn(f, r, generator=random, dtype=torch.float64)).Q
    x = torch.randn(k, 8, f, generator=random, dtype=torch.float64)
    y = x @ common @ torch.randn(k, r, 3, generator=random, dtype=torch.float64)
    method, epochs = made(name, head_epochs=3), 4
    start = {
        "encoder.0.weight": 0.3 * torch.randn(1, f, r, generator=random, dtype=torch.float64),
        "decoder.0.weight": 0.3 * torch.randn(1, r, 3, generator=random, dtype=torch.float64),
    }
    state = {part: value.repeat(k, 1, 1) for part, value in start.items()}
    memory: dict[str, torch.Tensor] = {}
    for _ in range(200):
        began = state
        for epoch in range(epochs):
            now = {part: value.clone().requires_grad_(True) for part, value in state.items()}
            loss = (x @ now["encoder.0.weight"] @ now["decoder.0.weight"] - y).square().mean(dim=(1, 2)).sum()
            gradients = dict(zip(now, torch.autograd.grad(loss, list(now.values())), strict=True))
            rate = {part: 0.1 * method.is_trained(epoch, part) for part in now}
            state = {part: value.detach() - rate[part] * gradients[part] for part, value in now.items()}
        if together:
            state, memory, _ = end_round(state, began, memory, [torch.arange(k)], torch.ones(k), method=method)
    span = torch.linalg.qr(state["encoder.0.weight"][0]).Q
    left = span - common @ (common.T @ span)
    return float(torch.linalg.matrix_norm(left, 2)), float(loss.detach()) / k


@pytest.mark.parametrize("name", ["fedper", "fedrep"])
def test_clients_with_read_outs_of_their_own_find_their_common_subspace(name):
    together, loss = linear_clients(name)
    alone, _ = linear_clients(name, together=False)
    assert together < 1e-3
    assert loss < 1e-5
    assert alone > 0.3, "8 rows of one client do not determine 12 dimensions; otherwise the test shows nothing"


def test_one_common_read_out_cannot_fit_clients_that_need_their_own():
    _, loss = linear_clients("fedavg")
    assert loss > 0.02


@pytest.mark.parametrize(("name", "kind", "numbers"), [
    ("fedavg", "autoencoder", 2 * 9 * 12 + 2 * 12 * 8 + 2 * 8 * 4 + (12 + 8 + 4) + (8 + 12 + 9)),
    ("fedper", "autoencoder", 9 * 12 + 12 * 8 + 8 * 4 + (12 + 8 + 4)),
    ("fedrep", "classifier", 9 * 12 + 12 * 8 + 8 * 4 + (12 + 8 + 4)),
    ("ditto", "classifier", 9 * 12 + 12 * 8 + 8 * 4 + (12 + 8 + 4) + 4 + 1),
])  # fmt: skip
def test_shared_bytes_count_the_numbers_that_a_client_sends(name, kind, numbers):
    state = initial_state(kind, 9, ModelSettings(hidden=(12, 8, 4), latent=4), 0)
    assert shared_bytes(made(name), state) == 4 * numbers
