"""From raw telemetry to the units a model reads: transform, scaler and clipping, all fitted on train rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.sharing.scale import HIGH_QUANTILE, LOW_QUANTILE, median_over_nodes

COLUMNS_AT_ONCE = 32
WIDE_RANGE = 1e3  # a median train range above this is transformed by `auto` (raw units such as bytes or revolutions)


def signed_log1p(values: np.ndarray) -> np.ndarray:
    """sign(x) log(1 + |x|): monotone, so a node's minimum stays its minimum."""
    transformed: np.ndarray = np.sign(values) * np.log1p(np.abs(values))
    return transformed


# Which features are transformed, from the range of each node's train rows, NaN where a node lacks the feature:
# (K, F) -> (F,) bool. One decision per fleet, since nodes that exchange models must mean the same by a feature.
TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda train_range: np.zeros(train_range.shape[1], bool),
    "signed_log1p": lambda train_range: np.ones(train_range.shape[1], bool),
    "auto": lambda train_range: median_over_nodes(train_range) > WIDE_RANGE,
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
    low, high = np.quantile(train, [LOW_QUANTILE, HIGH_QUANTILE], axis=0)
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

    def of_node(self, node: int) -> Scaling:
        """The map of one node, which then has the index 0."""
        one = slice(node, node + 1)
        return Scaling(
            self.offset[one], self.scale[one], self.muted[one], self.signed_log, self.clip_low, self.clip_high
        )

    def transformed(self, raw: np.ndarray) -> np.ndarray:
        """Raw rows, shape (T, F), after the signed logarithm of the features that have it, as a float32 copy."""
        values = np.array(raw, np.float32)
        values[:, self.signed_log] = signed_log1p(values[:, self.signed_log])
        return values

    def unclipped(self, raw: np.ndarray, node: int) -> np.ndarray:
        """Rows of node index `node` in scaled units, shape (T, F) float32; a muted feature is 0 in every row."""
        return self.placed(self.transformed(raw), node)

    def placed(self, values: np.ndarray, node: int) -> np.ndarray:
        """Transformed rows of node index `node`, shape (T, F) float32, in scaled units, in place."""
        values -= self.offset[node]
        values /= self.scale[node]
        values[:, self.muted[node]] = 0.0
        return values

    def clipped(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled rows with every value in [clip_low, clip_high], in place."""
        return np.clip(scaled, np.float32(self.clip_low), np.float32(self.clip_high), out=scaled)

    def __call__(self, raw: np.ndarray, node: int) -> np.ndarray:
        """Raw rows of node index `node`, shape (T, F), as a model reads them."""
        return self.clipped(self.unclipped(raw, node))


@dataclass(frozen=True)
class NodeRange:
    """All that scaling needs to know of a node's train rows; (F,) float64, NaN where the node lacks the feature."""

    lowest: np.ndarray
    highest: np.ndarray
    low: np.ndarray  # the scaler's ends of the raw values
    high: np.ndarray
    log_low: np.ndarray  # and of their signed logarithm
    log_high: np.ndarray


def measure_range(raw: np.ndarray, train: np.ndarray, imputed: np.ndarray, scaler: str) -> NodeRange:
    """Measure a node's train rows, a few columns at a time; what the other rows hold has no influence.

    Args:
        raw: The node's rows, shape (T, F).
        train: Numbers of its train rows.
        imputed: Features that the node lacks, bool, shape (F,).
        scaler: A key of SCALERS.
    """
    found = []
    for first in range(0, raw.shape[1], COLUMNS_AT_ONCE):
        values = np.asarray(raw[:, first : first + COLUMNS_AT_ONCE][train], np.float32)
        ends = (minimum_and_maximum(values), SCALERS[scaler].ends(values), SCALERS[scaler].ends(signed_log1p(values)))
        found.append(np.stack([end for pair in ends for end in pair]).astype(np.float64))
    measured = np.concatenate(found, axis=1)
    measured[:, imputed] = np.nan
    return NodeRange(*measured)


def fit_scaling(
    ranges: Sequence[NodeRange],
    transform: str,
    scaler: str,
    clip_low: float,
    clip_high: float,
    constant: str = "fleet_range",
    signed_log: np.ndarray | None = None,
    rebased: np.ndarray | None = None,
) -> Scaling:
    """Fit transform and scaler on what :func:`measure_range` found in the train rows of each node.

    Args:
        ranges: Per node.
        transform: A key of TRANSFORMS.
        scaler: The key of SCALERS that the ranges were measured for.
        clip_low: Lowest scaled value.
        clip_high: Highest scaled value.
        constant: What becomes of a feature that is constant on a node's train rows. ``fleet_range`` measures its later
            changes in the median range of the nodes where it varies; ``mute`` leaves it 0 in every row.
        signed_log: The features that are transformed, bool (F,), where `transform` has decided already.
        rebased: The nodes whose ranges are those of re-based rows (ftl.data.rebasing), bool (K,). What nodes share of
            their ranges is shared among nodes of the same kind, since re-based rows lie around 0.

    Returns:
        The map of all K nodes. A feature that has no range to be measured in is muted there: offset its lowest train
        value, scale 1, and 0 in every row. So is one that the node lacks, with offset 0; it says nothing about the
        fleet's ranges.
    """
    lowest, highest = (np.stack([getattr(of, end) for of in ranges]) for end in ("lowest", "highest"))
    low, high = (np.stack([getattr(of, end) for of in ranges]) for end in ("low", "high"))
    log_low, log_high = (np.stack([getattr(of, end) for of in ranges]) for end in ("log_low", "log_high"))
    imputed = np.isnan(lowest)
    if signed_log is None:
        signed_log = TRANSFORMS[transform](highest - lowest)
    low, high = np.where(signed_log, log_low, low), np.where(signed_log, log_high, high)
    if SCALERS[scaler].shared:
        low, high = (_shared(end, np.zeros(len(ranges), bool) if rebased is None else rebased) for end in (low, high))
    scale = (high - low).astype(np.float32)
    if constant == "fleet_range":
        usual = median_over_nodes(np.where(scale > 0, scale, np.nan).astype(np.float32))
        scale = np.where(highest == lowest, np.nan_to_num(usual), scale)
        muted = imputed | ~(scale > 0)
    else:
        muted = imputed | (highest == lowest) | ~(scale > 0)
    at_rest = lowest.astype(np.float32)
    at_rest[:, signed_log] = signed_log1p(at_rest[:, signed_log])
    offset = np.where(imputed, 0, np.where(muted, at_rest, low)).astype(np.float32)
    return Scaling(offset, np.where(muted, 1, scale).astype(np.float32), muted, signed_log, clip_low, clip_high)


def _shared(ends: np.ndarray, rebased: np.ndarray) -> np.ndarray:
    """The median over nodes in the place of each node's own, (K, F); of re-based nodes and of the others by itself."""
    shared = ends.copy()
    for of_kind in (rebased, ~rebased):
        if of_kind.any():
            shared[of_kind] = median_over_nodes(ends[of_kind])
    return shared
