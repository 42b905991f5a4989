"""How alike the local models of a fleet are before any federation (paper, section 4.5.8 and Fig. 5b)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from ftl.data.fleet import TRAIN, VALIDATION, Fleet
from ftl.evaluation.similarity import cosine_matrix, linear_cka
from ftl.experiment.handover import LOCAL_FILE, unit_name
from ftl.learning.paradigms import PARADIGMS
from ftl.models.network import ENCODER, ModelSettings, StackedNetwork, build_network
from ftl.models.state import StackedState
from ftl.randomness import generator

SIMILARITY_COLUMNS = ("dataset", "paradigm", "seed", "node_a", "node_b", "cosine", "cka")
MOST_PROBES = 2000


def similarity_table(
    fleet: Fleet, local: Path, paradigms: Iterable[str], seed: int, model: ModelSettings
) -> pd.DataFrame:
    """Every pair of a fleet's local models, each pair once, ``node_a`` before ``node_b`` in the fleet's order.

    Args:
        local: The finished stage of local training; paradigms whose unit lies not there are left out.
        seed: Whose models are compared.
        model: Of the training settings: where the encoder ends.

    Returns:
        SIMILARITY_COLUMNS: cosine of the encoders' parameters (weights and biases), and linear CKA of their codes of a
        probe set that all share: equally many rows of every node, from before the test part. NaN where not defined.
    """
    probes = torch.from_numpy(np.asarray(fleet.x[probe_rows(fleet, seed)]))
    units = ((paradigm, local / unit_name(paradigm, seed) / LOCAL_FILE) for paradigm in paradigms)
    tables = [_pairs(fleet, paradigm, seed, path, probes, model) for paradigm, path in units if path.is_file()]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SIMILARITY_COLUMNS))


def probe_rows(fleet: Fleet, seed: int) -> np.ndarray:
    """Row numbers: as many of every node's train and validation rows, drawn by the seed; at most MOST_PROBES in all."""
    earlier = [fleet.rows(node, TRAIN, VALIDATION) for node in range(len(fleet.node_ids))]
    n_each = min(max(1, MOST_PROBES // len(earlier)), *map(len, earlier))
    drawn = [
        generator(seed, "probe", node_id).choice(rows, n_each, replace=False)
        for node_id, rows in zip(fleet.node_ids, earlier, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def _pairs(
    fleet: Fleet, paradigm: str, seed: int, path: Path, probes: torch.Tensor, model: ModelSettings
) -> pd.DataFrame:
    encoders = _read_encoders(path)
    flat = torch.cat([value.flatten(1) for value in encoders.values()], dim=1).numpy()  # (K, P)
    network = build_network(PARADIGMS[paradigm].network, len(flat), len(fleet.features), model)
    network.load_state_dict(encoders, strict=False)
    first, second = np.triu_indices(len(flat), k=1)
    node_ids = np.array(fleet.node_ids, dtype=object)
    return pd.DataFrame(
        {
            "dataset": fleet.name,
            "paradigm": paradigm,
            "seed": seed,
            "node_a": node_ids[first],
            "node_b": node_ids[second],
            "cosine": cosine_matrix(flat)[first, second],
            "cka": linear_cka(_codes(network, probes))[first, second],
        },
        columns=list(SIMILARITY_COLUMNS),
    )


def _read_encoders(path: Path) -> StackedState:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in sorted(file.keys()) if name.startswith(ENCODER)}


def _codes(network: StackedNetwork, probes: torch.Tensor) -> np.ndarray:
    """Codes of the probes by every encoder, shape (K, M, L)."""
    return np.stack([network.encode_rows(k, probes).numpy() for k in range(network.n_nodes)])
