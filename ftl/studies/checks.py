"""The sections of the studies, read once, so that a wrong value is refused before anything is computed."""

from collections.abc import Mapping
from typing import Any

from ftl.config import section
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.comparison.settings import MethodStudySettings, PolicyStudySettings
from ftl.studies.drift.settings import DriftStudySettings
from ftl.studies.labels.settings import LabelStudySettings

SECTIONS: dict[str, type] = {
    "coldstart": ColdStartSettings,
    "study_drift": DriftStudySettings,
    "study_policies": PolicyStudySettings,
    "study_methods": MethodStudySettings,
    "study_labels": LabelStudySettings,
}


def check_studies(params: Mapping[str, Any]) -> None:
    """Refuse unknown words, wrong types and values out of range; a section that is not there is not asked for.

    Raises:
        ConfigError: Naming the key.
    """
    for name, kind in SECTIONS.items():
        if name in params:
            section(params, name, kind)
