"""Do raw rows look like those that a model was trained on? A changed unit or a replaced sensor shows here first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ftl.data.column_readers import some
from ftl.data.scaling import Scaling

MOSTLY = 0.5
"""Share of the rows from which on a feature is named."""


def plausibility_notes(
    x: np.ndarray, measured: np.ndarray, scaling: Scaling, node: int, features: Sequence[str], known: np.ndarray
) -> list[str]:
    """What most of a node's rows show that no row before its test part did, in sentences.

    Args:
        x: Rows as the model reads them, shape (T, F).
        measured: The same before the scale, shape (T, F): transformed, and re-based where the node is.
        scaling: Of all nodes.
        node: The node's index.
        features: Names of the first features, those that stand in tables; indicators of missing values follow.
        known: Of these features, those that the node had in training, bool.
    """
    if not len(x):
        return []
    n, muted = len(features), scaling.muted[node]
    outside = ((x <= scaling.clip_low) | (x >= scaling.clip_high)).mean(axis=0)[:n] >= MOSTLY
    constant = scaling.offset[node]
    moved = ~np.isclose(measured, constant, rtol=1e-4, atol=1e-6)
    woken = (moved & muted).mean(axis=0)[:n] >= MOSTLY
    notes = []
    if found := _named(features, outside & known):
        notes.append(f"far outside the training range in most rows: {some(found)}; has a unit or a sensor changed?")
    if found := _named(features, woken & known):
        notes.append(f"constant in training, now another value, which the model does not see: {some(found)}")
    return notes


def _named(features: Sequence[str], wanted: np.ndarray) -> list[str]:
    return [name for name, is_wanted in zip(features, wanted, strict=True) if is_wanted]
