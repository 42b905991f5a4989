"""The LightningModules: local, federated and fine-tuning training of a whole stack of node models."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from ftl.learning.batches import BatchSettings, EpochLoader, StackRows
from ftl.learning.objectives import Objective
from ftl.learning.optimizers import FleetOptimizer, OptimizerSettings, make_optimizer
from ftl.models.network import StackedNetwork
from ftl.models.state import StackedState

EndOfRound = Callable[[StackedState, Sequence[Tensor], Tensor], tuple[StackedState, list[int]]]
"""(client states, positions of each cohort's clients, n_k) -> (states to go on from, clients left out by cohort)."""


class LocalTraining(L.LightningModule):
    """Each of K nodes trains its own model on its own rows (paper, section 3.1).

    The loss is the sum over nodes of each node's own mean over its batch, so that gradients never mix and K stacked
    fits equal K separate ones. Models are sorted by number of steps per epoch, longest first.

    Attributes:
        losses: One (K,) tensor per epoch: each node's mean loss over its steps.
        first_epoch: Epochs already made before this fit (a resumed one).
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

    @property
    def epoch(self) -> int:
        return self.first_epoch + self.current_epoch

    def on_fit_start(self) -> None:
        self.rows = self.rows.to(self.device)
        self.loader.rows = self.rows

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

    def on_train_epoch_end(self) -> None:
        steps = torch.tensor(self.loader.steps, device=self.device, dtype=self._sum.dtype)
        self.losses.append((self._sum / steps).cpu())


class FederatedTraining(LocalTraining):
    """Clients of one or more cohorts train together by rounds (paper, sections 3.2 and 4.3.3).

    A round is ``n_local_epochs`` epochs; at its end the clients of each cohort are averaged, weighted by their rows,
    and all of them go on from the average. Cohorts that share a stack never meet.

    Attributes:
        cohorts: Positions in the stack of each cohort's clients.
        weights: n_k of each client, shape (K,).
        end_round: What the server does with the clients' states.
        excluded: One list per round: how many clients of each cohort sent a state that was not finite and were left out
            of the average.
    """

    def __init__(
        self,
        *args: Any,
        cohorts: Sequence[Sequence[int]],
        weights: Tensor,
        end_round: EndOfRound,
        n_local_epochs: int = 1,
        client_state: str = "fresh",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cohorts = [torch.as_tensor(cohort, dtype=torch.long) for cohort in cohorts]
        self.weights, self.end_round = weights, end_round
        self.n_local_epochs, self.client_state = n_local_epochs, client_state
        self.excluded: list[list[int]] = []

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        if (self.epoch + 1) % self.n_local_epochs:
            return
        state, excluded = self.end_round(self.network.state_dict(), self.cohorts, self.weights)
        self.network.load_state_dict(state)
        self.excluded.append(excluded)
        if self.client_state == "fresh":
            self.fleet_optimizer.forget()
        else:
            self.fleet_optimizer.forget_diverged()


class FineTuning(LocalTraining):
    """Targets adapt the global model to their own rows (paper, section 4.3.4): the decoder alone, or all of it.

    With ``frozen_encoder`` the encoder is a constant: its codes are computed once per row, and the decoder trains on
    them.
    """

    def __init__(self, *args: Any, frozen_encoder: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frozen_encoder = frozen_encoder
        self.network.encoder.requires_grad_(not frozen_encoder)

    def _output(self, x: Tensor, entries: Tensor) -> Tensor:
        if not self.frozen_encoder:
            return self.network(x)
        assert self.rows.codes is not None, "fit_fleet computes the codes of a frozen encoder"
        return self.network.decode(self.rows.codes.index_select(0, entries).view(*x.shape[:2], -1))
