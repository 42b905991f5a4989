"""The files of a detector: its card, its models and its nodes' arrays; JSON and safetensors, no pickle."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import SafetensorError

from ftl.data.column_readers import some
from ftl.data.fleet import move_into_place
from ftl.detection.card import CARD_FILE, Card, read_card, write_card
from ftl.detection.newcomer import ARRAYS as NEWCOMER_ARRAYS
from ftl.detection.newcomer import Newcomer
from ftl.errors import UserError
from ftl.models.network import build_network
from ftl.models.state import StackedState

_BELOW = ("*", "*/*", "detectors/*/*")
"""Where a folder of results, or what holds detectors, keeps them."""
STATE_FILE, NODES_FILE, NEWCOMER_FILE = "state.safetensors", "nodes.safetensors", "newcomer.safetensors"
FITTED: dict[str, tuple[str, ...]] = {
    "nres": ("variance",),
    "mahalanobis": ("mean", "spread", "cholesky"),
    "probability": ("usual",),
}
"""Arrays that a score needs of every node: what it was fitted to, or (of a classifier) the node's usual row."""


def write_model_folder(
    folder: Path,
    card: Card,
    state: StackedState,
    arrays: Mapping[str, np.ndarray],
    newcomer: Newcomer | None = None,
) -> None:
    """Write ``card.json``, ``state.safetensors`` and ``nodes.safetensors``, and ``newcomer.safetensors`` where there is
    such a part; the folder appears whole or not at all.

    Raises:
        UserError: If the folder holds something else than a detector, which would be lost.
    """
    if folder.exists() and not (folder / CARD_FILE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is no detector; name another folder or move it away")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        # As bytes: safetensors makes files that only their owner may read, and a detector is served by others.
        models = {name: value.contiguous() for name, value in state.items()}
        (partial / STATE_FILE).write_bytes(safetensors.torch.save(models))
        of_nodes = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        (partial / NODES_FILE).write_bytes(safetensors.numpy.save(of_nodes))
        if newcomer is not None:
            shared = {name: np.ascontiguousarray(array) for name, array in newcomer.arrays().items()}
            (partial / NEWCOMER_FILE).write_bytes(safetensors.numpy.save(shared))
        write_card(card, partial / CARD_FILE)
        move_into_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_model_folder(folder: Path) -> tuple[Card, StackedState, dict[str, np.ndarray]]:
    """Open a model folder: card, models, and the arrays that belong to the card's score, checked.

    Raises:
        UserError: If a file is missing or damaged, or does not fit the others; the message names it.
    """
    if not (folder / CARD_FILE).is_file():
        below = [str(path.parent) for depth in _BELOW for path in sorted(folder.glob(f"{depth}/{CARD_FILE}"))]
        where = f"; name one of {some(below, 4)}" if below else ""
        raise UserError(f"{folder}: no detector here ({CARD_FILE} is missing){where}")
    card = read_card(folder / CARD_FILE)
    name = STATE_FILE
    try:
        state = safetensors.torch.load_file(folder / STATE_FILE)
        name = NODES_FILE
        arrays = safetensors.numpy.load_file(folder / NODES_FILE)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder / name}: missing or damaged ({error}); copy the folder again, or export the detector again"
        ) from error
    try:
        check_arrays(card, state, arrays)
    except UserError as error:
        raise UserError(f"{folder}: {error}; export the detector again") from error
    return card, state, {name: arrays[name] for name in _array_names(card)}


def read_newcomer(folder: Path, card: Card) -> Newcomer | None:
    """The part for nodes that have just joined; None where the card has none.

    Raises:
        UserError: If its file is missing or damaged, or does not fit the card.
    """
    if card.newcomer is None:
        return None
    path = folder / NEWCOMER_FILE
    try:
        arrays = safetensors.numpy.load_file(path)
        newcomer = Newcomer(card.newcomer, **{name: arrays[name] for name in NEWCOMER_ARRAYS})
        if len(newcomer.low) != len(card.features):
            raise ValueError(f"it has {len(newcomer.low)} features, the card {len(card.features)}")
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: missing or damaged ({error}); copy the folder again, or export the detector again"
        ) from error
    return newcomer


def detector_digest(folder: Path) -> str:
    """A hash of all that a model folder holds: equal detectors have equal ones."""
    digest = hashlib.sha256()
    optional = [NEWCOMER_FILE] if (Path(folder) / NEWCOMER_FILE).exists() else []
    for name in (CARD_FILE, STATE_FILE, NODES_FILE, *optional):
        with (Path(folder) / name).open("rb") as stream:
            digest.update(f"{name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _array_names(card: Card) -> tuple[str, ...]:
    return ("offset", "scale", "muted", *FITTED.get(card.score.name, ()))


def check_arrays(card: Card, state: StackedState, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise UserError if arrays, models and card do not belong together, or hold values that are not finite."""
    n_nodes, n_features = len(card.nodes), len(card.features)
    network = build_network(card.network, n_nodes, n_features, card.model)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if wanted != found:
        odd = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise UserError(
            f"{STATE_FILE}: {odd[0]!r} has the shape {found.get(odd[0], 'nothing')}, {wanted.get(odd[0], 'nothing')} "
            f"follows from the card ({n_nodes} nodes, {n_features} features)"
        )
    lacking = [name for name in _array_names(card) if name not in arrays]
    if lacking:
        raise UserError(f"{NODES_FILE}: holds no {some(lacking)}")
    for name in _array_names(card):
        shape = (n_nodes, n_features, n_features) if name == "cholesky" else (n_nodes, n_features)
        if arrays[name].shape != shape:
            raise UserError(f"{NODES_FILE}: {name!r} has the shape {arrays[name].shape}, expected {shape}")
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"{NODES_FILE}: {name!r} holds values that are not finite")
    for name in ("scale", "variance", "spread"):
        if name in arrays and not (arrays[name] > 0).all():
            raise UserError(f"{NODES_FILE}: {name!r} must be positive everywhere")
    odd = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if odd:
        raise UserError(f"{STATE_FILE}: {odd[0]!r} holds values that are not finite")
    thresholds = [node.node_id for node in card.nodes if not np.isfinite(node.threshold) or not node.spacing > 0]
    if thresholds:
        raise UserError(f"{CARD_FILE}: node {thresholds[0]}: needs a finite threshold and a positive spacing")
