from collections.abc import Callable

import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet

N_NODES, N_ROWS, N_FEATURES = 3, 400, 6
PLANTED = np.array([310, 333, 350, 351, 352, 377])  # test rows of every node that hold an anomaly


def _node_rows(rng: np.random.Generator, node: int) -> np.ndarray:
    """Raw rows (400, 6): two driving signals, a level and a range of the node's own, feature 5 constant."""
    signals = rng.normal(size=(N_ROWS, 2))
    raw = signals @ rng.normal(size=(2, N_FEATURES)) + 0.1 * rng.normal(size=(N_ROWS, N_FEATURES))
    raw[PLANTED] += rng.choice([-8.0, 8.0], (len(PLANTED), N_FEATURES))
    raw = 10.0 * node + (1.0 + node) * raw
    raw[:, 5] = 7.0
    return raw


@pytest.fixture
def make_fleet() -> Callable[..., Fleet]:
    """Builds a small prepared fleet as prepare does: own min-max of the train rows, constant features muted."""

    def build(seed: int = 0) -> Fleet:
        rng = np.random.default_rng(seed)
        raw = np.stack([_node_rows(rng, node) for node in range(N_NODES)])  # (K, T, F)
        part = np.repeat([TRAIN, VALIDATION, GAP, TEST], [240, 40, 5, 115]).astype(np.int8)
        label = np.zeros((N_NODES, N_ROWS), np.int8)
        label[:, PLANTED] = 1
        train = raw[:, part == TRAIN]
        muted = np.ptp(train, axis=1) == 0
        offset = train.min(axis=1)
        scale = np.where(muted, 1.0, np.ptp(train, axis=1))
        x = np.where(muted[:, None], 0.0, np.clip((raw - offset[:, None]) / scale[:, None], -4.0, 5.0))
        return Fleet(
            name="toy",
            origin="simulated",
            protocol="rigorous",
            node_ids=("a", "b", "c"),
            racks=(None,) * N_NODES,
            features=tuple(f"f{feature}" for feature in range(N_FEATURES)),
            time_unit="steps",
            window_seconds=None,
            labels_borrowed=False,
            x=x.reshape(-1, N_FEATURES).astype(np.float32),
            label=label.ravel(),
            time=np.tile(np.arange(N_ROWS), N_NODES),
            part=np.tile(part, N_NODES),
            lent=np.zeros(N_NODES * N_ROWS, bool),
            start=np.arange(N_NODES + 1) * N_ROWS,
            offset=offset.astype(np.float32),
            scale=scale.astype(np.float32),
            muted=muted,
            report={},
            fingerprint="toy",
        )

    return build


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet()
