"""All parameters read once, so that a wrong value is refused before anything is computed."""

from collections.abc import Mapping
from typing import Any

from ftl.baselines.run import BASELINES
from ftl.config import dataset_names, dataset_spec, protocol_of, section, words
from ftl.data.prepare import PrepareSettings
from ftl.data.sources import check_source
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import LocalSettings, TransferSettings, paradigms_of, training_settings
from ftl.federation.settings import FederationSettings, SelectionSettings

SECTIONS = {
    "prepare": PrepareSettings,
    "detection": DetectionSettings,
    "local": LocalSettings,
    "select": SelectionSettings,
    "federate": FederationSettings,
    "transfer": TransferSettings,
}


def check_params(params: Mapping[str, Any]) -> None:
    """Refuse unknown words, wrong types and values out of range.

    Raises:
        ConfigError: Naming the key.
    """
    for dataset in dataset_names(params) if "datasets" in params else ():
        check_source(dataset, dataset_spec(params, dataset))
    protocol_of(params)
    paradigms_of(params)
    seeds_of(params)
    training_settings(params)
    for name, kind in SECTIONS.items():
        section(params, name, kind)
    is_ditto = section(params, "federate", FederationSettings).method == "ditto"
    if is_ditto and not section(params, "transfer", TransferSettings).proximal:
        raise ConfigError(
            "federate.method: ditto needs transfer.proximal > 0, which holds personal models near the global one (set "
            "for example transfer.proximal=0.01); without it, this is federate.method: fedavg"
        )
    for name in words(params, "baselines"):
        if name not in BASELINES:
            raise ConfigError(f"baselines: unknown {name!r}; known: {', '.join(BASELINES)}")
