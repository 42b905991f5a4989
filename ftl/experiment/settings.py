"""What an experiment is made of, beyond the settings that live beside the parts they steer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftl.config import section, words
from ftl.errors import ConfigError
from ftl.learning.batches import BatchSettings
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.paradigms import PARADIGMS, SupervisionSettings
from ftl.models.network import ModelSettings

TRANSFER_ARMS = ("zero_shot", "transfer", "full_fine_tune", "single_source", "centralised")
DECODER_INITS = ("keep", "reinitialise")


@dataclass(frozen=True)
class LocalSettings:
    """Training of a node on its own (paper, Table 1: 10 epochs).

    ``local_long`` goes on from there to as many epochs as federated training and fine-tuning have together.
    """

    n_epochs: int = 3

    def __post_init__(self) -> None:
        if self.n_epochs < 1:
            raise ConfigError(f"local.n_epochs must be >= 1; got {self.n_epochs!r}")


@dataclass(frozen=True)
class TransferSettings:
    """What a target does with the global model (paper, sections 4.3.4 and 4.3.5).

    Note: section 4.3.4 re-initialises the decoder, section 3.3 says that retraining from scratch is not needed;
    ``decoder_init`` is ``keep`` or ``reinitialise``.

    ``proximal`` is Ditto's lambda: lambda/2 |v - w*|^2 is added to a target's loss, w* being the received model.
    """

    n_epochs: int = 1
    decoder_init: str = "keep"
    arms: tuple[str, ...] = TRANSFER_ARMS
    proximal: float = 0.0

    def __post_init__(self) -> None:
        if self.n_epochs < 1:
            raise ConfigError(f"transfer.n_epochs must be >= 1; got {self.n_epochs!r}")
        if self.decoder_init not in DECODER_INITS:
            raise ConfigError(
                f"transfer.decoder_init: unknown {self.decoder_init!r}; known: {', '.join(DECODER_INITS)}"
            )
        if not 0 <= self.proximal < math.inf:
            raise ConfigError(f"transfer.proximal must be a finite number >= 0; got {self.proximal!r}")
        if self.proximal and self.decoder_init == "reinitialise":
            raise ConfigError(
                "transfer.proximal holds a model near the received one, whose decoder decoder_init: reinitialise "
                f"throws away; set transfer.decoder_init: keep, or transfer.proximal: 0; got {self.proximal!r}"
            )
        for arm in self.arms:
            if arm not in TRANSFER_ARMS:
                raise ConfigError(f"transfer.arms: unknown {arm!r}; known: {', '.join(TRANSFER_ARMS)}")
        if "zero_shot" not in self.arms:
            raise ConfigError(
                "transfer.arms must include zero_shot, whose rows name the participants of every cohort; "
                f"got {list(self.arms)}"
            )


@dataclass(frozen=True)
class TrainingSettings:
    """All that decides what a trained model is: what the local, federated and fine-tuning stages share."""

    model: ModelSettings
    training: BatchSettings
    optimizer: OptimizerSettings
    supervision: SupervisionSettings


def training_settings(params: Mapping[str, Any]) -> TrainingSettings:
    """The sections that every training stage reads."""
    return TrainingSettings(
        section(params, "model", ModelSettings),
        section(params, "training", BatchSettings),
        section(params, "optimizer", OptimizerSettings),
        section(params, "supervision", SupervisionSettings),
    )


def paradigms_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The ``paradigms``, each of them known."""
    paradigms = words(params, "paradigms")
    for paradigm in paradigms:
        if paradigm not in PARADIGMS:
            raise ConfigError(f"paradigms: unknown {paradigm!r}; known: {', '.join(PARADIGMS)}")
    if not paradigms:
        raise ConfigError(f"paradigms must name at least one of: {', '.join(PARADIGMS)}")
    return paradigms
