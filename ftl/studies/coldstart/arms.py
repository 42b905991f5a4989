"""The arms of the cold start: which detector, and how its threshold is set."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ftl.sharing.sizes import NUMBER_BYTES

if TYPE_CHECKING:
    from ftl.studies.cohort import Shared

LINEAR = frozenset({"pca", "pca_fleet", "federated_pca"})


@dataclass(frozen=True)
class Arm:
    """What a joining node can do.

    Attributes:
        kind: Of detector (:meth:`ftl.studies.coldstart.components.JoiningModels.scored`).
        calibration: Its threshold is the percentile of the node's `own` known scores; or no less than what the
            `fleet`'s participants have; or no less than what they found when they `rehearsed` to be newcomers.
        means: One line for people.
        shares: What the cohort shares for it.
    """

    kind: str
    calibration: str
    means: str
    shares: tuple[str, ...] = ()

    @property
    def is_linear(self) -> bool:
        return self.kind in LINEAR


_STATISTICS = ("scale", "calibration")
ARMS = MappingProxyType(
    {
        "local": Arm("local", "own", "own autoencoder, own scale, own threshold: nothing is shared"),
        "pca": Arm("pca", "own", "own PCA, own scale, own threshold: nothing is shared"),
        "local_fleet": Arm("local_fleet", "fleet", "own autoencoder, shared scale and calibration", _STATISTICS),
        "local_rehearsed": Arm(
            "local_fleet", "rehearsed", "own autoencoder, shared scale, rehearsed threshold", _STATISTICS
        ),
        "pca_fleet": Arm("pca_fleet", "fleet", "own PCA, shared scale and calibration", _STATISTICS),
        "weights_only": Arm("weights_only", "own", "global autoencoder, own scale and threshold", ("weights",)),
        "zero_shot": Arm("zero_shot", "fleet", "global autoencoder as it is", ("weights", *_STATISTICS)),
        "few_steps": Arm("few_steps", "fleet", "global autoencoder, a few gentle steps", ("weights", *_STATISTICS)),
        "transfer": Arm("transfer", "fleet", "global autoencoder, decoder fine-tuned", ("weights", *_STATISTICS)),
        "selective": Arm(
            "selective", "fleet", "global autoencoder, decoder and diverging encoder layers fine-tuned",
            ("weights", "layers", *_STATISTICS),
        ),
        "full_fine_tune": Arm(
            "full_fine_tune", "fleet", "global autoencoder, all of it fine-tuned", ("weights", *_STATISTICS)
        ),
        "federated_pca": Arm("federated_pca", "fleet", "global PCA from sums, in one round", ("moments", *_STATISTICS)),
    }
)  # fmt: skip
POLICY = "transfer_policy"
ALL_ARMS = (*ARMS, POLICY)
KINDS = ("local", "local_fleet", "weights_only", "zero_shot", "few_steps", "transfer", "full_fine_tune", "selective")
REHEARSED = ("local", "local_fleet", "zero_shot", "selective", "full_fine_tune", "pca", "pca_fleet", "federated_pca")
"""Detectors that participants rehearse: those that the policy puts together, and the control that shares no weights."""


_OF_POLICY = {"weights", "moments", "layers", "rehearsal", "calibration of components", *_STATISTICS}


def bytes_of(arm: str, shared: "Shared") -> tuple[int, int]:
    """What a participant sends for an arm, and what a target receives."""
    shares = set(ARMS[arm].shares) if arm in ARMS else _OF_POLICY
    f = len(shared.scale.low)
    calibration = shared.reference.n_bytes
    parts = {
        "scale": (shared.scale_bytes, shared.scale.n_bytes),
        "calibration": (calibration, NUMBER_BYTES * (f + 2)),
        "calibration of components": (shared.components_reference.n_bytes, NUMBER_BYTES * (f + 2)),
        "weights": (shared.n_rounds * shared.weight_bytes, shared.weight_bytes),
        "moments": (shared.moment_bytes, shared.component_bytes),
        "layers": (shared.layer_bytes, shared.layer_bytes),
        "rehearsal": (NUMBER_BYTES * (len(REHEARSED) + 1), NUMBER_BYTES * (len(REHEARSED) + 1)),
    }
    if arm == "local_rehearsed":
        shares = shares | {"rehearsal"}
    return sum(parts[part][0] for part in shares), sum(parts[part][1] for part in shares)
