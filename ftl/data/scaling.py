"""From raw telemetry to the units a model reads: transform, scaler and clipping, all fitted on train rows alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WIDE_RANGE = 1e3  # a median train range above this is transformed by `auto` (raw units such as bytes or revolutions)


def signed_log1p(values: np.ndarray) -> np.ndarray:
    """sign(x) log(1 + |x|): monotone, so a node's minimum stays its minimum."""
    transformed: np.ndarray = np.sign(values) * np.log1p(np.abs(values))
    return transformed


# Which features are transformed, from the range of each node's train rows: (K, F) -> (F,) bool. One decision per fleet,
# since nodes that exchange models must mean the same by a feature.
TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda train_range: np.zeros(train_range.shape[1], bool),
    "signed_log1p": lambda train_range: np.ones(train_range.shape[1], bool),
    "auto": lambda train_range: np.median(train_range, axis=0) > WIDE_RANGE,
}


@dataclass(frozen=True)
class Scaler:
    """How the values that shall become 0 and 1 are found on a node, and whether the fleet shares their medians."""

    ends: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # (T, F) -> low (F,), high (F,)
    shared: bool


def minimum_and_maximum(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the [0, 1] scale of the paper (section 4.3)."""
    return train.min(axis=0), train.max(axis=0)


def outer_quantiles(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 0.5 % and 99.5 % quantiles: two vectors per node are all that a fleet needs to share."""
    low, high = np.quantile(train, [0.005, 0.995], axis=0)
    return low, high


SCALERS: dict[str, Scaler] = {
    "node_minmax": Scaler(minimum_and_maximum, shared=False),
    "fleet_quantile": Scaler(outer_quantiles, shared=True),
}


CONSTANTS = ("fleet_range", "mute")


@dataclass(frozen=True)
class Scaling:
    """The fitted map from raw telemetry to scaled telemetry, for K nodes and F features."""

    offset: np.ndarray  # (K, F) float32
    scale: np.ndarray  # (K, F) float32, > 0
    muted: np.ndarray  # (K, F) bool
    signed_log: np.ndarray  # (F,) bool
    clip_low: float
    clip_high: float

    def transformed(self, raw: np.ndarray) -> np.ndarray:
        """Raw rows, shape (T, F), after the signed logarithm of the features that have it, as a float32 copy."""
        values = np.array(raw, np.float32)
        values[:, self.signed_log] = signed_log1p(values[:, self.signed_log])
        return values

    def unclipped(self, raw: np.ndarray, node: int) -> np.ndarray:
        """Rows of node index `node` in scaled units, shape (T, F) float32; a muted feature is 0 in every row."""
        scaled = self.transformed(raw)
        scaled -= self.offset[node]
        scaled /= self.scale[node]
        scaled[:, self.muted[node]] = 0.0
        return scaled

    def clipped(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled rows with every value in [clip_low, clip_high], in place."""
        return np.clip(scaled, np.float32(self.clip_low), np.float32(self.clip_high), out=scaled)

    def __call__(self, raw: np.ndarray, node: int) -> np.ndarray:
        """Raw rows of node index `node`, shape (T, F), as a model reads them."""
        return self.clipped(self.unclipped(raw, node))


def fit_scaling(
    train_rows: Callable[[int], np.ndarray],
    n_nodes: int,
    transform: str,
    scaler: str,
    clip_low: float,
    clip_high: float,
    constant: str = "fleet_range",
) -> Scaling:
    """Fit transform and scaler on train rows; what the other rows hold has no influence.

    Args:
        train_rows: Gives the raw train rows of a node index, shape (T, F); called twice per node, so that only one
            node's rows need to be in memory.
        n_nodes: K.
        transform: A key of TRANSFORMS.
        scaler: A key of SCALERS.
        clip_low: Lowest scaled value.
        clip_high: Highest scaled value.
        constant: What becomes of a feature that is constant on a node's train rows. ``fleet_range`` measures its later
            changes in the median range of the nodes where it varies; ``mute`` leaves it 0 in every row.

    Returns:
        The map of all K nodes. A feature that has no range to be measured in is muted there: offset its lowest train
        value, scale 1, and 0 in every row.
    """
    lowest_highest = [minimum_and_maximum(train_rows(node)) for node in range(n_nodes)]
    lowest, highest = (np.stack(ends).astype(np.float64) for ends in zip(*lowest_highest, strict=True))
    fitted = Scaling(
        offset=np.zeros(lowest.shape, np.float32),
        scale=np.ones(lowest.shape, np.float32),
        muted=np.zeros(lowest.shape, bool),
        signed_log=TRANSFORMS[transform](highest - lowest),
        clip_low=clip_low,
        clip_high=clip_high,
    )
    ends = [SCALERS[scaler].ends(fitted.transformed(train_rows(node))) for node in range(n_nodes)]
    low, high = (np.stack(end).astype(np.float64) for end in zip(*ends, strict=True))
    if SCALERS[scaler].shared:
        low, high = (np.broadcast_to(np.median(end, axis=0), end.shape) for end in (low, high))
    scale = (high - low).astype(np.float32)
    if constant == "fleet_range":
        varying = np.where(scale > 0, scale, np.nan)
        known = np.isfinite(varying).any(axis=0)
        usual = np.zeros(scale.shape[1], np.float32)
        usual[known] = np.nanmedian(varying[:, known], axis=0)
        scale = np.where(highest == lowest, usual, scale)
        muted = ~(scale > 0)
    else:
        muted = (highest == lowest) | ~(scale > 0)
    offset = np.where(muted, fitted.transformed(lowest), low).astype(np.float32)
    return Scaling(offset, np.where(muted, 1, scale).astype(np.float32), muted, fitted.signed_log, clip_low, clip_high)
