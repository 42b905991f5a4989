"""What is known of a fleet's nodes when participants are chosen: what the policies ask for, and no more."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ftl.experiment.handover import LOCAL_FILE, read_ranking
from ftl.experiment.task import Task
from ftl.federation.descriptions import node_statistics, similarity_of
from ftl.federation.selection import Candidates
from ftl.federation.settings import SelectionSettings
from ftl.models.network import ENCODER, build_network
from ftl.models.state import StackedState


def candidates_of(task: Task, local: Path, select: SelectionSettings) -> Candidates:
    """The nodes of a task, for the policies of these settings.

    Args:
        local: The task's unit of local training: its ranking and, where they are asked for, its models.
    """
    ranking = read_ranking(local)
    f1, loss = (ranking[name].to_numpy(np.float64) for name in ("f1", "loss"))
    racks = task.fleet.racks
    return Candidates(
        f1=np.full(len(f1), np.nan) if select.rank_by == "validation_loss" else f1,
        loss=loss,
        unlabelled_loss=_unlabelled_loss(task, local, select) if "label_free" in select.policies else None,
        similarity=_similarity(task, local, select) if select.compares_nodes else None,
        racks=racks if any(rack is not None for rack in racks) else None,
        cost=np.array([len(of_node.rows) for of_node in task.train], np.float64),
    )


def _similarity(task: Task, local: Path, select: SelectionSettings) -> np.ndarray:
    if select.similarity == "statistics":
        return similarity_of(node_statistics(task.fleet))
    return similarity_of(encoder_updates(load_file(local / LOCAL_FILE), task.initial_state()))


def encoder_updates(trained: StackedState, initial: StackedState) -> np.ndarray:
    """What local training changed in each node's encoder, shape (K, D): all began with the same model, and cosines of
    updates tell clients' distributions apart (Sattler et al., 2019)."""
    changes = [
        (value - initial[name]).flatten(1).double().numpy()
        for name, value in trained.items()
        if name.startswith(ENCODER)
    ]
    return np.concatenate(changes, axis=1)


def _unlabelled_loss(task: Task, local: Path, select: SelectionSettings) -> np.ndarray:
    """Mean loss of each local model on all rows that rank, whatever their label; NaN where there are none.

    The mean squared error of a reconstruction (of features that are not muted), or the mean squared probability of a
    classifier.
    """
    trained, fleet = load_file(local / LOCAL_FILE), task.fleet
    network = build_network(task.paradigm.network, task.n_nodes, fleet.x.shape[1], task.settings.model)
    network.load_state_dict(trained)
    loss = np.full(task.n_nodes, np.nan)
    for node, rows in enumerate(task.ranking_rows(select.ranking_of(fleet.protocol))):
        x = np.asarray(fleet.x[rows])
        error = network.output_rows(node, torch.from_numpy(x)).numpy()
        if task.paradigm.network == "autoencoder":
            error = x - error
            error[:, fleet.muted[node]] = 0.0
        if len(rows):
            loss[node] = float(np.square(error, dtype=np.float64).mean())
    return loss
