"""What a node model is trained to do: the loss of each row, by level of supervision (paper, section 3.1)."""

from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(output (K, B, *), x (K, B, F), label (K, B) in {0, 1}) -> loss of each row (K, B)."""

REPULSION_MARGIN = 0.1
"""Reconstruction error (MSE of [0, 1] data) beyond which :func:`hinge_loss` pushes a labelled anomaly no further."""


def reconstruction_loss(output: Tensor, x: Tensor, label: Tensor) -> Tensor:
    """Mean squared error of each row over its features (paper, Table 1); a labelled anomaly counts like any row."""
    return torch.nn.functional.mse_loss(output, x, reduction="none").mean(dim=-1)


def hinge_loss(output: Tensor, x: Tensor, label: Tensor) -> Tensor:
    """Reconstruct normal rows; push labelled anomalies out to an error of ``REPULSION_MARGIN`` and no further.

    Note: the paper says that labelled anomalies "guide reconstruction" and prints MSE for all paradigms. Literally that
    is ``include_as_normal``, which teaches the model to reconstruct faults; the bounded push is our reading
    (supervision.semi_loss).
    """
    error = reconstruction_loss(output, x, label)
    return torch.where(label > 0, torch.relu(REPULSION_MARGIN - error), error)


def inverse_loss(output: Tensor, x: Tensor, label: Tensor) -> Tensor:
    """Reconstruct normal rows; labelled anomalies cost the inverse of their error (Deep SAD, Ruff et al., 2020)."""
    error = reconstruction_loss(output, x, label)
    return torch.where(label > 0, 1e-3 / (error + 1e-3), error)


def cross_entropy(output: Tensor, x: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy of the classification head's probability."""
    return torch.nn.functional.binary_cross_entropy(output[..., 0], label, reduction="none")


def squared_head_error(output: Tensor, x: Tensor, label: Tensor) -> Tensor:
    """Squared error of the head's probability against the label: the paper's "MSE for all paradigms" (Table 1)."""
    return (output[..., 0] - label).square()


SEMI_SUPERVISED_LOSSES: dict[str, Objective] = {
    "hinge": hinge_loss,
    "inverse": inverse_loss,
    "include_as_normal": reconstruction_loss,
}
SUPERVISED_LOSSES: dict[str, Objective] = {"bce": cross_entropy, "mse": squared_head_error}
