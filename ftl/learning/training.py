"""The LightningModules: local, federated and fine-tuning training of a whole stack of node models."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from ftl.learning.batches import BatchSettings, EpochLoader, StackRows
from ftl.learning.objectives import Objective
from ftl.learning.optimizers import FleetOptimizer, OptimizerSettings, make_optimizer
from ftl.learning.proximal import pull
from ftl.models.network import StackedNetwork
from ftl.models.state import StackedState

EndOfRound = Callable[
    [StackedState, StackedState, StackedState, Sequence[Tensor], Tensor], tuple[StackedState, StackedState, list[int]]
]
"""(client states, the same when the round began, servers' memory by cohort, positions of each cohort's clients, n_k) ->
(states to go on from, servers' memory, clients left out by cohort)."""

IsTrained = Callable[[int, str], bool]
"""(epoch within a round, name of a parameter) -> whether it moves in that epoch."""


class LocalTraining(L.LightningModule):
    """Each of K nodes trains its own model on its own rows (paper, section 3.1).

    The loss is the sum over nodes of each node's own mean over its batch, so that gradients never mix and K stacked
    fits equal K separate ones. Models are sorted by number of steps per epoch, longest first.

    Attributes:
        losses: One (K,) tensor per epoch: each node's mean loss over its steps, without a proximal term.
        first_epoch: Epochs already made before this fit (a resumed one).
        proximal: Strength of the pull towards ``anchor``, K models as they are stacked; 0 is none.
    """

    def __init__(
        self,
        network: StackedNetwork,
        rows: StackRows,
        objective: Objective,
        optimizer: OptimizerSettings,
        batches: BatchSettings,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.network, self.rows, self.objective = network, rows, objective
        self.optimizer_settings, self.batches, self.first_epoch = optimizer, batches, first_epoch
        self.optimizer_state: dict[str, Tensor] = {}
        self.losses: list[Tensor] = []
        self.loader = EpochLoader(rows, batches, lambda: self.epoch)
        self._sum = torch.zeros(rows.n_models)
        self.proximal = 0.0
        self.anchor: StackedState = {}

    @property
    def epoch(self) -> int:
        return self.first_epoch + self.current_epoch

    def on_fit_start(self) -> None:
        self.rows = self.rows.to(self.device)
        self.loader.rows = self.rows
        self.anchor = {name: value.to(self.device) for name, value in self.anchor.items()}

    def train_dataloader(self) -> EpochLoader:
        return self.loader

    def configure_optimizers(self) -> FleetOptimizer:
        trained = [param for param in self.network.parameters() if param.requires_grad]
        self.fleet_optimizer = make_optimizer(trained, self.optimizer_settings)
        if self.optimizer_state:
            self.fleet_optimizer.put_state(self.optimizer_state)
        return self.fleet_optimizer

    def on_train_epoch_start(self) -> None:
        self._sum = torch.zeros(self.rows.n_models, device=self.device, dtype=self.rows.x.dtype)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        entry, share = batch  # (A, B), (A, B)
        n_active, size = entry.shape
        flat = entry.view(-1)
        x = self.rows.x.index_select(0, self.rows.rows.index_select(0, flat)).view(n_active, size, -1)  # (A, B, F)
        label = self.rows.label.index_select(0, flat).view(n_active, size)
        weight = self.rows.weight.index_select(0, flat).view(n_active, size) * share
        of_node = (self.objective(self._output(x, flat), x, label) * weight).sum(dim=1)  # (A,)
        self.fleet_optimizer.n_active = n_active
        self._sum[:n_active] += of_node.detach()
        return of_node.sum()

    def _output(self, x: Tensor, entries: Tensor) -> Tensor:
        return self.network(x)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.proximal:
            pull(self.network, self.anchor, self.proximal, self.fleet_optimizer.n_active)

    def on_train_epoch_end(self) -> None:
        steps = torch.tensor(self.loader.steps, device=self.device, dtype=self._sum.dtype)
        self.losses.append((self._sum / steps).cpu())


class FederatedTraining(LocalTraining):
    """Clients of one or more cohorts train together by rounds (paper, sections 3.2 and 4.3.3).

    A round is ``n_local_epochs`` epochs; at its end the server makes of what a cohort's clients send the model that all
    of them go on from. Cohorts that share a stack never meet. What a method does otherwise than FedAvg comes as values
    (``ftl.federation.methods``).

    Attributes:
        cohorts: Positions in the stack of each cohort's clients.
        weights: n_k of each client, shape (K,).
        end_round: What the servers do with the clients' states.
        proximal: mu of the pull towards what the clients began the round with, which is the ``anchor``; the anchor is
            empty between rounds.
        is_trained: Which parameters move in which epoch of a round; None: all of them in every one.
        memory: What each cohort's server remembers, dim 0 = cohort.
        excluded: One list per round: how many clients of each cohort had a state that was not finite and were left out.
    """

    def __init__(
        self,
        *args: Any,
        cohorts: Sequence[Sequence[int]],
        weights: Tensor,
        end_round: EndOfRound,
        n_local_epochs: int = 1,
        client_state: str = "fresh",
        proximal: float = 0.0,
        is_trained: IsTrained | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cohorts = [torch.as_tensor(cohort, dtype=torch.long) for cohort in cohorts]
        self.weights, self.end_round = weights, end_round
        self.n_local_epochs, self.client_state = n_local_epochs, client_state
        self.proximal, self.is_trained = proximal, is_trained
        self.memory: StackedState = {}
        self.excluded: list[list[int]] = []

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.memory = {name: value.to(self.device) for name, value in self.memory.items()}

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        of_round = self.epoch % self.n_local_epochs
        if of_round == 0:
            self.anchor = {name: value.clone() for name, value in self.network.state_dict().items()}
        if self.is_trained is not None:
            for name, param in self.network.named_parameters():
                param.requires_grad_(self.is_trained(of_round, name))

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        if (self.epoch + 1) % self.n_local_epochs:
            return
        state, self.memory, excluded = self.end_round(
            self.network.state_dict(), self.anchor, self.memory, self.cohorts, self.weights
        )
        self.network.load_state_dict(state)
        self.anchor = {}
        self.excluded.append(excluded)
        if self.client_state == "fresh":
            self.fleet_optimizer.forget()
        else:
            self.fleet_optimizer.forget_diverged()


class FineTuning(LocalTraining):
    """Targets adapt the global model to their own rows (paper, section 4.3.4): the decoder alone, or all of it.

    With ``frozen_encoder`` the encoder is a constant: its codes are computed once per row, and the decoder trains on
    them. With ``proximal`` a target is held near the model that it received (Ditto, Li et al., 2021).

    Args:
        proximal: lambda >= 0; lambda/2 |v - w*|^2 is added to each node's loss. 0: none.
        received: w* of each node, stacked as the network is; only with ``proximal``.
    """

    def __init__(
        self,
        *args: Any,
        frozen_encoder: bool,
        proximal: float = 0.0,
        received: StackedState | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if proximal and received is None:
            raise ValueError(f"fine-tuning with proximal {proximal!r} needs the received models to be held near to")
        self.frozen_encoder, self.proximal, self.anchor = frozen_encoder, proximal, received or {}
        self.network.encoder.requires_grad_(not frozen_encoder)

    def _output(self, x: Tensor, entries: Tensor) -> Tensor:
        if not self.frozen_encoder:
            return self.network(x)
        assert self.rows.codes is not None, "fit_fleet computes the codes of a frozen encoder"
        return self.network.decode(self.rows.codes.index_select(0, entries).view(*x.shape[:2], -1))
