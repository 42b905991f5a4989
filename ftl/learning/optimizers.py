"""RMSprop and Adam for stacks of node models.

They give torch's results and differ from torch's own in three ways:

* A node that has run out of rows in an epoch is left alone: neither its weights nor its optimizer state move. (A zero
  gradient would still let the second moment decay.) Active nodes stand first in the stack; ``n_active`` counts them and
  is set before each step.
* ``backend="safe"`` avoids ``torch.sqrt`` on exact zeros, which is 10 to 50 times slower on a CPU than on other values
  and hits every ReLU network with dead units or constant inputs. It takes torch's fused Adam kernel where that exists,
  which uses the hardware's root and one pass over memory; elsewhere it adds 1e-30 under the root, far below one unit in
  the last place of the denominator. ``backend="torch"`` is the reference: torch's own optimizer, with idle nodes put
  back as they were.
* RMSprop can add eps inside the root, as Keras does: with the paper's learning rate the two hardly resemble each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ftl.errors import ConfigError

TINY = 1e-30
WIDEST_VECTOR = 16
"""Numbers that a processor of today takes at once (AVX-512, float32)."""


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


def _loss_of(closure: Callable[[], Any] | None) -> Any:
    """What Lightning hands to a step: forward and backward pass in one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


class FleetOptimizer(torch.optim.Optimizer):
    """Common ground: per-node step counts, the active prefix, a state that can be taken out, put back and forgotten."""

    moments: tuple[str, ...] = ()

    def __init__(self, params: Any, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.n_active: int | None = None  # None: all
        super().__init__(params, {"lr": settings.learning_rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = _loss_of(closure)
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                if not self.state[param]:
                    self.state[param].update(self._empty(param))
            if params:
                self._update(params, group["lr"])
        return loss

    def _empty(self, param: Tensor) -> dict[str, Tensor]:
        state = {name: torch.zeros_like(param) for name in self.moments}
        state["steps"] = torch.zeros(param.shape[0], dtype=torch.long)  # per node, on the host
        return state

    def _update(self, params: list[Tensor], lr: float) -> None:
        """One step of the parameters that have a gradient, for the active nodes."""
        raise NotImplementedError(f"{type(self).__name__} must define _update, or a step of its own")

    def forget(self) -> None:
        """Start anew, as a client with fresh optimizer state does in every round."""
        self.state.clear()

    @torch.no_grad()
    def forget_diverged(self) -> None:
        """Nodes whose moments are not finite start anew; otherwise one bad step would spoil all that follow."""
        stacked = [value for state in self.state.values() for value in state.values() if value.dim() > 0]
        moments = [value for value in stacked if value.is_floating_point()]
        if moments:
            finite = torch.stack([value.isfinite().flatten(1).all(dim=1) for value in moments]).all(dim=0)
            for value in stacked:
                value[~finite.to(value.device)] = 0

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

    def _count_step(self, params: list[Tensor]) -> Tensor:
        """One step more for every active node; gives their counts, shape (A,)."""
        n_active = params[0].shape[0] if self.n_active is None else self.n_active
        for param in params:
            self.state[param]["steps"][:n_active] += 1
        return self.state[params[0]]["steps"][:n_active]


class FleetRMSprop(FleetOptimizer):
    """v <- alpha v + (1 - alpha) g^2;  w <- w - lr g / (sqrt(v) + eps); ``eps_inside_root``: lr g / sqrt(v + eps).

    With eps outside the root it is Adam without momentum (the first moment is the gradient) whose bias is long gone,
    and so takes Adam's fused kernel.
    """

    moments = ("square_avg",)

    def _update(self, params: list[Tensor], lr: float) -> None:
        s = self.settings
        steps = self._count_step(params)
        weights = [param.detach()[: len(steps)] for param in params]
        gradients = [param.grad[: len(steps)] for param in params]  # type: ignore[index]
        v = [self.state[param]["square_avg"][: len(steps)] for param in params]
        if _has_fused_kernel(params[0]) and not s.eps_inside_root:
            _fused_adam(weights, gradients, gradients, v, torch.full(steps.shape, torch.inf), lr, 0.0, s.alpha, s.eps)
            return
        for weight, gradient, v_ in zip(weights, gradients, v, strict=True):
            v_.mul_(s.alpha).addcmul_(gradient, gradient, value=1 - s.alpha)
            root = torch.add(v_, s.eps).sqrt_() if s.eps_inside_root else torch.add(v_, TINY).sqrt_().add_(s.eps)
            weight.addcdiv_(gradient, root, value=-lr)


class FleetAdam(FleetOptimizer):
    """Adam with bias correction by each node's own number of steps."""

    moments = ("exp_avg", "exp_avg_sq")

    def _update(self, params: list[Tensor], lr: float) -> None:
        s = self.settings
        steps = self._count_step(params)
        weights = [param.detach()[: len(steps)] for param in params]
        gradients = [param.grad[: len(steps)] for param in params]  # type: ignore[index]
        m = [self.state[param]["exp_avg"][: len(steps)] for param in params]
        v = [self.state[param]["exp_avg_sq"][: len(steps)] for param in params]
        if _has_fused_kernel(params[0]):
            _fused_adam(weights, gradients, m, v, steps, lr, s.beta1, s.beta2, s.eps)
            return
        done = steps.view(-1, 1, 1).double()
        step_size, correction = (lr / (1 - s.beta1**done)).to(params[0]), (1 - s.beta2**done).sqrt().to(params[0])
        for weight, gradient, m_, v_ in zip(weights, gradients, m, v, strict=True):
            m_.lerp_(gradient, 1 - s.beta1)
            v_.mul_(s.beta2).addcmul_(gradient, gradient, value=1 - s.beta2)
            root = torch.add(v_, TINY).sqrt_().div_(correction).add_(s.eps)
            weight.sub_(m_ / root * step_size)


def _has_fused_kernel(param: Tensor) -> bool:
    return param.device.type in ("cpu", "cuda") and param.dtype in (torch.float32, torch.float64)


def _fused_adam(
    weights: list[Tensor],
    gradients: list[Tensor],
    m: list[Tensor],
    v: list[Tensor],
    steps: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """One pass over memory with the hardware's root, which is as fast on zeros as elsewhere; ``steps``: shape (A,).

    The kernel rounds the last few numbers of a tensor, which do not fill a vector, otherwise than the others; a node's
    bits must not depend on who else is in the stack. So it gets whole stacks only where there is no such rest, and else
    each node's tensors by themselves, as also where nodes have made unequal numbers of steps.
    """
    alike = bool((steps == steps[0]).all())
    whole = [alike and weight[0].numel() % WIDEST_VECTOR == 0 for weight in weights]

    def parts(stacked: list[Tensor]) -> list[Tensor]:
        both = zip(stacked, whole, strict=True)
        return [part for value, is_whole in both for part in ((value,) if is_whole else value.unbind())]

    count = steps.to(weights[0].device, torch.float32).unbind()
    counts = [each for is_whole in whole for each in (count[:1] if is_whole else count)]
    of_gradients = parts(gradients)
    of_m = of_gradients if m is gradients else parts(m)
    torch._fused_adam_(
        parts(weights), of_gradients, of_m, parts(v), [], counts,
        lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0, amsgrad=False, maximize=False,
    )  # fmt: skip


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
        loss = _loss_of(closure)
        params = [param for param in self.param_groups[0]["params"] if param.grad is not None]
        n_active = params[0].shape[0] if self.n_active is None else self.n_active
        if n_active < params[0].shape[0] and self.settings.name == "adam":
            raise ConfigError("optimizer: backend torch with adam needs nodes of equal length; use backend: safe")
        idle = [self._idle_tensors(param, n_active) for param in params]
        kept = [[tensor.clone() for tensor in tensors] for tensors in idle]
        self.inner.step()
        for param, values in zip(params, kept, strict=True):  # moments that this step made are zero there
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
