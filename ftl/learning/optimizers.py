"""RMSprop and Adam for stacks of node models.

They give torch's results and differ from torch's own in three ways:

* A node that has run out of rows in an epoch is left alone: neither its weights nor its optimizer state move. (A zero
  gradient would still let the second moment decay.) Active nodes stand first in the stack; ``n_active`` counts them and
  is set before each step.
* ``backend="safe"`` avoids ``torch.sqrt`` on exact zeros, which is 50 times slower on a CPU than on other values and
  hits every ReLU network with dead units: 1e-30 under the root is far below one unit in the last place of the
  denominator. For Adam ``safe`` takes torch's fused kernel where it exists, which uses the hardware's root and one pass
  over memory. ``backend="torch"`` is the reference: torch's own optimizer, with idle nodes put back as they were.
* RMSprop can add eps inside the root, as Keras does: with the paper's learning rate the two hardly resemble each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from ftl.errors import ConfigError

TINY = 1e-30


@dataclass(frozen=True)
class OptimizerSettings:
    """What clients and nodes step with (paper, Table 1: RMSprop, learning rate 1e-6).

    ``alpha``, ``eps_inside_root`` concern RMSprop, ``beta1`` and ``beta2`` Adam.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    eps: float = 1e-8
    alpha: float = 0.99
    eps_inside_root: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    backend: str = "safe"

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ConfigError(f"optimizer.name: unknown {self.name!r}; known: {', '.join(OPTIMIZERS)}")
        if self.backend not in BACKENDS:
            raise ConfigError(f"optimizer.backend: unknown {self.backend!r}; known: {', '.join(BACKENDS)}")
        if not self.learning_rate > 0:
            raise ConfigError(f"optimizer.learning_rate must be > 0; got {self.learning_rate!r}")
        if not self.eps > 0:
            raise ConfigError(f"optimizer.eps must be > 0; got {self.eps!r}")
        for key in ("alpha", "beta1", "beta2"):
            if not 0 <= getattr(self, key) < 1:
                raise ConfigError(f"optimizer.{key} must be in [0, 1); got {getattr(self, key)!r}")
        if self.backend == "torch" and self.name == "rmsprop" and self.eps_inside_root:
            raise ConfigError(
                "optimizer: torch's RMSprop adds eps outside the root; use backend: safe with eps_inside_root: true"
            )


class FleetOptimizer(torch.optim.Optimizer):
    """Common ground: per-node step counts, the active prefix, a state that can be taken out, put back and forgotten."""

    moments: tuple[str, ...] = ()

    def __init__(self, params: Any, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.n_active: int | None = None  # None: all
        super().__init__(params, {"lr": settings.learning_rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                if not self.state[param]:
                    self.state[param].update(self._empty(param))
            self._update(params, group["lr"])
        return loss

    def _empty(self, param: Tensor) -> dict[str, Tensor]:
        state = {name: torch.zeros_like(param) for name in self.moments}
        state["steps"] = torch.zeros(param.shape[0], dtype=torch.long)  # per node, on the host
        return state

    def _update(self, params: list[Tensor], lr: float) -> None:
        raise NotImplementedError

    def forget(self) -> None:
        """Start anew, as a client with fresh optimizer state does in every round."""
        self.state.clear()

    def take_state(self) -> dict[str, Tensor]:
        """Moments and step counts of all models by flat name, dim 0 = model; empty before the first step."""
        taken = {}
        for number, param in enumerate(self.param_groups[0]["params"]):
            for name, value in self.state.get(param, {}).items():
                taken[f"{number}.{name}"] = value.detach().clone()
        return taken

    def put_state(self, taken: dict[str, Tensor]) -> None:
        for number, param in enumerate(self.param_groups[0]["params"]):
            prefix = f"{number}."
            self.state[param] = {
                name.removeprefix(prefix): value.clone().to("cpu" if name.endswith(".steps") else param.device)
                for name, value in taken.items()
                if name.startswith(prefix)
            }

    def _active_runs(self, steps: Tensor, n_models: int) -> list[tuple[int, int, int]]:
        """Runs (first, last, steps) of active nodes that have made equally many steps, this one included."""
        n_active = n_models if self.n_active is None else self.n_active
        steps[:n_active] += 1
        done = steps[:n_active].tolist()
        runs: list[tuple[int, int, int]] = []
        for model, count in enumerate(done):
            if runs and runs[-1][2] == count:
                runs[-1] = (runs[-1][0], model + 1, count)
            else:
                runs.append((model, model + 1, count))
        return runs


class FleetRMSprop(FleetOptimizer):
    """v <- alpha v + (1 - alpha) g^2;  w <- w - lr g / (sqrt(v) + eps); ``eps_inside_root``: lr g / sqrt(v + eps)."""

    moments = ("square_avg",)

    def _update(self, params: list[Tensor], lr: float) -> None:
        s = self.settings
        for param in params:
            n_active = param.shape[0] if self.n_active is None else self.n_active
            state = self.state[param]
            state["steps"][:n_active] += 1
            weight, gradient, v = param[:n_active], param.grad[:n_active], state["square_avg"][:n_active]  # type: ignore[index]
            v.mul_(s.alpha).addcmul_(gradient, gradient, value=1 - s.alpha)
            if s.eps_inside_root:
                root = torch.add(v, s.eps).sqrt_()
            else:
                root = torch.add(v, TINY).sqrt_().add_(s.eps)
            weight.addcdiv_(gradient, root, value=-lr)


class FleetAdam(FleetOptimizer):
    """Adam with bias correction by each node's own number of steps."""

    moments = ("exp_avg", "exp_avg_sq")

    def _update(self, params: list[Tensor], lr: float) -> None:
        if not params:
            return
        s = self.settings
        runs = self._active_runs(self.state[params[0]]["steps"], params[0].shape[0])
        for param in params[1:]:
            self.state[param]["steps"].copy_(self.state[params[0]]["steps"])
        fused = params[0].device.type in ("cpu", "cuda") and params[0].dtype in (torch.float32, torch.float64)
        for first, last, count in runs:
            weights = [param.detach()[first:last] for param in params]
            gradients = [param.grad[first:last] for param in params]  # type: ignore[index]
            m = [self.state[param]["exp_avg"][first:last] for param in params]
            v = [self.state[param]["exp_avg_sq"][first:last] for param in params]
            if fused:
                before = [torch.tensor(float(count - 1), device=params[0].device) for _ in params]
                torch_adam(
                    weights, gradients, m, v, [], before, foreach=False, fused=True, amsgrad=False, capturable=False,
                    beta1=s.beta1, beta2=s.beta2, lr=lr, weight_decay=0.0, eps=s.eps, maximize=False,
                )  # fmt: skip
                continue
            for weight, gradient, m_, v_ in zip(weights, gradients, m, v, strict=True):
                m_.lerp_(gradient, 1 - s.beta1)
                v_.mul_(s.beta2).addcmul_(gradient, gradient, value=1 - s.beta2)
                root = torch.add(v_, TINY).sqrt_().div_((1 - s.beta2**count) ** 0.5).add_(s.eps)
                weight.addcdiv_(m_, root, value=-lr / (1 - s.beta1**count))


class TorchReference(FleetOptimizer):
    """torch's own RMSprop or Adam; nodes that are idle in a step are put back as they were.

    Adam's bias correction counts one number of steps for the whole stack, so that nodes of unequal length need
    ``backend: safe``.
    """

    def __init__(self, params: Any, settings: OptimizerSettings) -> None:
        super().__init__(params, settings)
        made = self.param_groups[0]["params"]
        if settings.name == "adam":
            betas = (settings.beta1, settings.beta2)
            self.inner: torch.optim.Optimizer = torch.optim.Adam(
                made, settings.learning_rate, betas=betas, eps=settings.eps
            )
        else:
            self.inner = torch.optim.RMSprop(made, settings.learning_rate, alpha=settings.alpha, eps=settings.eps)
        self.state = self.inner.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params = [param for param in self.param_groups[0]["params"] if param.grad is not None]
        n_active = params[0].shape[0] if self.n_active is None else self.n_active
        if n_active < params[0].shape[0] and self.settings.name == "adam":
            raise ConfigError("optimizer: backend torch with adam needs nodes of equal length; use backend: safe")
        idle = [self._idle_tensors(param, n_active) for param in params]
        kept = [[tensor.clone() for tensor in tensors] for tensors in idle]
        fresh = [not self.state[param] for param in params]
        self.inner.step()
        for param, was_fresh, values in zip(params, fresh, kept, strict=True):
            if was_fresh:  # state made by this very step: what an idle node got is to be forgotten
                for value in self.state[param].values():
                    if value.dim() > 0:
                        value[n_active:] = 0
            for tensor, value in zip(self._idle_tensors(param, n_active), values, strict=False):
                tensor.copy_(value)
        return loss

    def _idle_tensors(self, param: Tensor, n_active: int) -> list[Tensor]:
        state = [value[n_active:] for value in self.state.get(param, {}).values() if value.dim() > 0]
        return [param[n_active:], *state]

    def forget(self) -> None:
        self.inner.state.clear()

    def put_state(self, taken: dict[str, Tensor]) -> None:
        super().put_state(taken)
        for param in self.param_groups[0]["params"]:  # torch counts steps as one float per parameter
            self.inner.state[param] = self.state[param]


OPTIMIZERS: dict[str, type[FleetOptimizer]] = {"adam": FleetAdam, "rmsprop": FleetRMSprop}
BACKENDS = ("safe", "torch")


def make_optimizer(params: Any, settings: OptimizerSettings) -> FleetOptimizer:
    """The optimizer of this name and backend over stacked parameters."""
    return (
        TorchReference(params, settings) if settings.backend == "torch" else OPTIMIZERS[settings.name](params, settings)
    )
