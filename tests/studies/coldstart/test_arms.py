"""What an arm of the cold start sends and receives: the arrays that it names, and no others."""

import pytest

from ftl.federation.settings import FederationSettings
from ftl.studies.cohort import Shared, share
from ftl.studies.coldstart.arms import ALL_ARMS, ARMS, POLICY, REHEARSED, bytes_of

F, N_ROUNDS = 5, 3


@pytest.fixture(scope="module")
def shared(like_telemetry, recipe, alarming, begun) -> Shared:
    nodes = like_telemetry.nodes([0, 2])
    return share(nodes, recipe, FederationSettings(n_rounds=N_ROUNDS), 3, alarming, begun(F), 1)


@pytest.fixture(scope="module")
def parts(shared: Shared) -> dict[str, tuple[int, int]]:
    """Bytes of each array: sent by a participant, received by a target."""
    weights = sum(value.numel() * 4 for value in shared.state.values())
    reference = shared.reference.variance.nbytes + 2 * 8  # and two thresholds
    components = shared.components.mean.nbytes + shared.components.components.nbytes
    layers = sum(8 + layer.total.nbytes + layer.squares.nbytes for layer in shared.layers.layers)
    return {
        "scale": (8 * (1 + 4 * F), shared.scale.low.nbytes + shared.scale.span.nbytes),
        "calibration": (8 * (1 + 2 * F + 3), reference),
        "weights": (N_ROUNDS * weights, weights),
        "moments": (8 * (1 + F + F * F), components),
        "layers": (layers, layers),
        "levels": (8 * (1 + len(REHEARSED)), 8 * (1 + len(REHEARSED))),
    }


STATISTICS = ["scale", "calibration"]
SENT = {
    "local": [],
    "pca": [],
    "local_fleet": STATISTICS,
    "local_rehearsed": [*STATISTICS, "levels"],
    "pca_fleet": STATISTICS,
    "weights_only": ["weights"],
    "zero_shot": ["weights", *STATISTICS],
    "few_steps": ["weights", *STATISTICS],
    "transfer": ["weights", *STATISTICS],
    "selective": ["weights", "layers", *STATISTICS],
    "full_fine_tune": ["weights", *STATISTICS],
    "federated_pca": ["moments", *STATISTICS],
    POLICY: ["scale", "weights", "moments", "layers", "levels", "calibration", "calibration"],
}
"""The policy needs the calibration of two models: the autoencoder's and the PCA's."""


def test_the_bytes_of_every_arm_are_known() -> None:
    assert set(SENT) == set(ALL_ARMS)


@pytest.mark.parametrize("arm", ALL_ARMS)
def test_bytes_are_what_the_arrays_weigh(shared: Shared, parts, arm: str) -> None:
    sent, received = bytes_of(arm, shared)
    assert sent == sum(parts[part][0] for part in SENT[arm])
    assert received == sum(parts[part][1] for part in SENT[arm])


def test_who_shares_nothing_is_calibrated_by_itself() -> None:
    assert {name for name, arm in ARMS.items() if not arm.shares} == {"local", "pca"}
    for arm in ARMS.values():
        assert (arm.calibration == "own") == ("calibration" not in arm.shares)
