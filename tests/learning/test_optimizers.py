from itertools import pairwise

import pytest
import torch
from torch import nn

from ftl.errors import ConfigError
from ftl.learning.objectives import reconstruction_loss
from ftl.learning.optimizers import BACKENDS, OPTIMIZERS, OptimizerSettings, make_optimizer
from ftl.models.state import n_models
from tests.learning.toy_stack import assert_close, assert_same_bits, fit, toy_rows, unlike_models

EQUAL_LENGTHS = (20, 20, 20)
COMBINATIONS = [(name, backend) for name in OPTIMIZERS for backend in BACKENDS]
EACH = pytest.mark.parametrize(("name", "backend"), COMBINATIONS, ids=[f"{n}, {b}" for n, b in COMBINATIONS])
IDLE = pytest.mark.parametrize(
    ("name", "backend"),
    [("adam", "safe"), ("rmsprop", "safe"), ("rmsprop", "torch")],
    ids=["adam", "rmsprop", "rmsprop, torch"],
)


def stacked_parameters(n_nodes=3, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(n_nodes, 4, 5, generator=random).to(dtype)),
        nn.Parameter(torch.randn(n_nodes, 1, 5, generator=random).to(dtype)),
    ]


def step(optimizer, params, seed, n_active=None):
    """One step on random gradients; idle nodes have a gradient of zero, as they do after a backward pass."""
    random = torch.Generator().manual_seed(seed)
    n_active = len(params[0]) if n_active is None else n_active
    for param in params:
        param.grad = torch.randn(param.shape, generator=random).to(param.dtype)
        param.grad[n_active:] = 0
    optimizer.n_active = n_active
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"])
def test_the_safe_backend_gives_torchs_results(name, dtype, rtol):
    rows, start = toy_rows(EQUAL_LENGTHS, dtype), unlike_models(3, dtype=dtype)
    ends = []
    for backend in ("safe", "torch"):
        settings = OptimizerSettings(name, 1e-4, backend=backend)
        ends.append(fit(rows, start, 5, settings, reconstruction_loss).network)
    for name_, value in ends[0].items():
        difference = (value - ends[1][name_]).norm()
        assert difference <= rtol * ends[1][name_].norm(), name_
        assert (value - start[name_]).norm() > 100 * difference, name_


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_where_gradients_are_zero_the_safe_backend_moves_nothing_and_otherwise_steps_as_torch(name):
    """Second moments of zero are what dead units have, and where the backends take their roots in other ways."""
    ends = []
    for backend in BACKENDS:
        params = stacked_parameters(dtype=torch.float32)
        optimizer = make_optimizer(params, OptimizerSettings(name, 1e-3, backend=backend))
        for seed in range(4):
            gradient = torch.randn(params[0].shape, generator=torch.Generator().manual_seed(seed))
            gradient[:, 2:] = 0
            params[0].grad, params[1].grad = gradient, torch.zeros_like(params[1])
            optimizer.step()
        ends.append([param.detach() for param in params])
    before = stacked_parameters(dtype=torch.float32)
    (weight, bias), (of_torch, _) = ends
    assert torch.equal(bias, before[1])
    assert torch.equal(weight[:, 2:], before[0][:, 2:])
    assert (weight[:, :2] - before[0][:, :2]).abs().min() > 1e-4
    torch.testing.assert_close(weight, of_torch, rtol=1e-6, atol=1e-7)


@IDLE
@pytest.mark.parametrize("steps_before", [0, 2])
def test_an_idle_nodes_weights_and_optimizer_state_do_not_move(name, backend, steps_before):
    params = stacked_parameters()
    optimizer = make_optimizer(params, OptimizerSettings(name, 1e-2, backend=backend))
    for seed in range(steps_before):
        step(optimizer, params, seed)
    weights = [param.detach().clone() for param in params]
    state = {key: value for key, value in optimizer.take_state().items() if value.dim() > 0}
    step(optimizer, params, 9, n_active=2)
    after = optimizer.take_state()
    for before, param in zip(weights, params, strict=True):
        assert torch.equal(param[2:], before[2:])
        assert not torch.equal(param[:2], before[:2])
    for key, value in after.items():
        if value.dim() > 0:  # state that did not exist before counts as zero
            assert torch.equal(value[2:], state[key][2:] if state else torch.zeros_like(value[2:])), key


@IDLE
def test_a_node_that_was_idle_steps_on_as_if_the_others_had_not_stepped(name, backend):
    settings = OptimizerSettings(name, 1e-2, backend=backend)
    params, alone = stacked_parameters(), stacked_parameters()
    optimizer, of_alone = make_optimizer(params, settings), make_optimizer(alone, settings)
    for seed in (0, 1):
        step(optimizer, params, seed)
        step(of_alone, alone, seed)
    for seed in (7, 8, 9):
        step(optimizer, params, seed, n_active=1)
    step(optimizer, params, 2)
    step(of_alone, alone, 2)
    for param, expected in zip(params, alone, strict=True):
        torch.testing.assert_close(param[1:], expected[1:], rtol=1e-14, atol=0)
        assert not torch.allclose(param[:1], expected[:1])


def test_torchs_own_adam_refuses_nodes_of_unequal_length():
    """It counts one number of steps for the whole stack."""
    with pytest.raises(ConfigError, match="backend: safe"):
        fit(toy_rows(), unlike_models(3), 1, OptimizerSettings("adam", 1e-2, backend="torch"))


@EACH
def test_an_optimizer_that_forgets_steps_as_a_new_one(name, backend):
    settings = OptimizerSettings(name, 1e-2, backend=backend)
    params = stacked_parameters()
    optimizer = make_optimizer(params, settings)
    for seed in range(3):
        step(optimizer, params, seed)
    new = [nn.Parameter(param.detach().clone()) for param in params]
    optimizer.forget()
    step(optimizer, params, 5)
    step(make_optimizer(new, settings), new, 5)
    for param, expected in zip(params, new, strict=True):
        assert torch.equal(param, expected)


@EACH
def test_a_node_whose_moments_are_not_finite_can_start_anew_by_itself(name, backend):
    settings = OptimizerSettings(name, 1e-2, backend=backend)
    params = stacked_parameters()
    optimizer = make_optimizer(params, settings)
    step(optimizer, params, 0)
    before = optimizer.take_state()
    optimizer.forget_diverged()
    assert_same_bits(optimizer.take_state(), before)
    for key, value in optimizer.state[params[0]].items():
        if key in ("exp_avg", "exp_avg_sq", "square_avg"):
            value[1, 0, 0] = float("nan")
    optimizer.forget_diverged()
    for key, value in optimizer.take_state().items():
        if value.dim() > 0:
            assert (value[1] == 0).all(), key
            assert torch.equal(value[[0, 2]], before[key][[0, 2]]), key


@EACH
def test_a_state_taken_out_and_put_back_goes_on_to_the_same_bits(name, backend):
    settings = OptimizerSettings(name, 1e-2, backend=backend)
    params = stacked_parameters()
    optimizer = make_optimizer(params, settings)
    for seed in range(3):
        step(optimizer, params, seed)
    copies = [nn.Parameter(param.detach().clone()) for param in params]
    other = make_optimizer(copies, settings)
    other.put_state(optimizer.take_state())
    for seed in (3, 4):
        step(optimizer, params, seed)
        step(other, copies, seed)
    for param, copy in zip(params, copies, strict=True):
        assert torch.equal(param, copy)
    assert_same_bits(optimizer.take_state(), other.take_state())


def test_a_state_taken_out_is_a_copy():
    params = stacked_parameters()
    optimizer = make_optimizer(params, OptimizerSettings("rmsprop", 1e-2))
    step(optimizer, params, 0)
    taken = optimizer.take_state()
    before = {key: value.clone() for key, value in taken.items()}
    step(optimizer, params, 1)
    assert_same_bits(taken, before)


def test_a_new_optimizer_has_no_state_to_take_out():
    assert make_optimizer(stacked_parameters(), OptimizerSettings()).take_state() == {}


def test_adam_without_a_fused_kernel_follows_the_same_formula():
    """bfloat16 has no fused path here and keeps 8 bits of a number."""
    params, exact = stacked_parameters(dtype=torch.bfloat16), stacked_parameters(dtype=torch.float64)
    for param, of_exact in zip(params, exact, strict=True):
        of_exact.data.copy_(param)
    optimizer, reference = (make_optimizer(p, OptimizerSettings("adam", 0.1)) for p in (params, exact))
    start = [param.detach().clone() for param in exact]
    for seed in range(6):
        for o, p in ((optimizer, params), (reference, exact)):
            step(o, p, seed, n_active=3 if seed % 2 else 2)
    for param, of_exact, began in zip(params, exact, start, strict=True):
        moved = of_exact - began
        assert (param - of_exact).norm() < 0.03 * moved.norm()


def test_rmsprop_steps_are_counted_node_by_node():
    params = stacked_parameters()
    optimizer = make_optimizer(params, OptimizerSettings("rmsprop", 1e-2))
    for seed, n_active in enumerate((3, 2, 2, 1)):
        step(optimizer, params, seed, n_active)
    assert optimizer.take_state()["0.steps"].tolist() == [4, 3, 1]


def test_a_fits_optimizer_state_comes_back_in_the_callers_order():
    """Nodes are sorted by length for training; each must get back its own moments and count of steps."""
    end = fit(toy_rows((7, 23, 40)), unlike_models(3), 2)
    assert end.optimizer["0.steps"].tolist() == [2 * 2, 2 * 5, 2 * 8]
    assert n_models(end.network) == 3


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": "sgd"}, "optimizer.name"),
        ({"backend": "native"}, "optimizer.backend"),
        ({"learning_rate": 0.0}, "optimizer.learning_rate"),
        ({"learning_rate": -1.0}, "optimizer.learning_rate"),
        ({"learning_rate": float("nan")}, "optimizer.learning_rate"),
        ({"eps": 0.0}, "optimizer.eps"),
        ({"alpha": 1.0}, "optimizer.alpha"),
        ({"alpha": -0.1}, "optimizer.alpha"),
        ({"beta1": 1.0}, "optimizer.beta1"),
        ({"beta2": 1.5}, "optimizer.beta2"),
        ({"name": "rmsprop", "backend": "torch", "eps_inside_root": True}, "eps_inside_root"),
    ],
    ids=lambda value: str(value),
)
def test_wrong_optimizer_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError, match=named):
        OptimizerSettings(**wrong)


def test_eps_inside_the_root_makes_another_step_than_outside():
    """With the paper's learning rate and small gradients the two hardly resemble each other."""
    steps = []
    for inside in (False, True):
        params = stacked_parameters()
        before = params[0].detach().clone()
        optimizer = make_optimizer(params, OptimizerSettings("rmsprop", 1e-6, 1e-7, alpha=0.9, eps_inside_root=inside))
        for param in params:
            param.grad = torch.full_like(param, 1e-7)
        optimizer.step()
        steps.append((before - params[0]).abs().mean().item())
    outside, inside = steps
    assert outside == pytest.approx(1e-6 * 1e-7 / ((0.1 * 1e-14) ** 0.5 + 1e-7), rel=1e-6)
    assert inside == pytest.approx(1e-6 * 1e-7 / (0.1 * 1e-14 + 1e-7) ** 0.5, rel=1e-6)


def test_every_backend_takes_a_closure_as_lightning_hands_it_over():
    for name, backend in COMBINATIONS:
        params = stacked_parameters()
        optimizer = make_optimizer(params, OptimizerSettings(name, 1e-2, backend=backend))
        losses = []

        def closure(params=params, optimizer=optimizer, losses=losses):
            optimizer.zero_grad()
            loss = sum(param.square().sum() for param in params)
            loss.backward()
            losses.append(loss.item())
            return loss

        for _ in range(5):
            assert optimizer.step(closure) is not None
        assert all(later < earlier for earlier, later in pairwise(losses))


def test_closeness_helper_sees_a_difference():
    one = {"w": torch.ones(2, dtype=torch.float64)}
    with pytest.raises(AssertionError, match="w"):
        assert_close(one, {"w": one["w"] + 1e-8})
