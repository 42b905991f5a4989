"""What the owner of a fleet says about its files: fleet.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ftl.data.column_readers import TIME_UNITS, value_key
from ftl.data.node_table import ANOMALOUS, NORMAL, UNKNOWN
from ftl.data.table_files import first_line
from ftl.errors import ConfigError

DESCRIPTION_FILE = "fleet.yaml"
NODE_TABLES = "node_tables"


@dataclass(frozen=True)
class FleetDescription:
    """What fleet.yaml says; every key is optional, and the names are the file's."""

    name: str | None = None
    origin: str = "real"
    source: str = NODE_TABLES  # a key of ftl.data.sources.SOURCES
    settings: Mapping[str, Any] = field(default_factory=dict)  # of a source other than node_tables
    time: str | None = None
    time_unit: str | None = None
    node: str | None = None
    label: str | None = None
    label_codes: Mapping[float | str, int] = field(default_factory=lambda: {0.0: NORMAL, 1.0: ANOMALOUS})
    split: str | None = None
    ignore: frozenset[str] = frozenset()
    window_minutes: float | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    racks: Mapping[str, str] = field(default_factory=dict)


KEYS = tuple(key for key in FleetDescription.__dataclass_fields__ if key != "label_codes")


def read_description(path: Path) -> FleetDescription:
    """Read fleet.yaml; a folder without one has the default description.

    Raises:
        ConfigError: If a key is unknown or its value of the wrong kind; the message names the key.
    """
    if not path.exists():
        return FleetDescription()
    content = _read_keys(path)
    _check_values(content, path.name)
    given: dict[str, Any] = {
        **content,
        "settings": content.get("settings", {}),
        "ignore": frozenset(map(str, content.get("ignore", []))),
        "units": {str(column): str(unit) for column, unit in content.get("units", {}).items()},
        "racks": {str(node): str(rack) for node, rack in content.get("racks", {}).items()},
    }
    return FleetDescription(**{**given, **_read_label_description(content.get("label"), path.name)})


def _read_keys(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not valid YAML ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name}: must be a mapping with keys out of {', '.join(KEYS)}")
    for key in content:
        if key not in KEYS:
            raise ConfigError(f"{path.name}: unknown key {key!r}; known: {', '.join(KEYS)}")
    return {key: value for key, value in content.items() if value is not None}


def _check_values(content: Mapping[str, Any], file: str) -> None:
    def expect(key: str, holds: bool, what: str) -> None:
        if key in content and not holds:
            raise ConfigError(f"{file}: {key}: must be {what}; got {content[key]!r}")

    for key in ("name", "source", "time", "node", "split"):
        expect(key, isinstance(content.get(key), str), "a text")
    expect("origin", content.get("origin") in ("real", "simulated"), "real or simulated")
    expect("time_unit", content.get("time_unit") in TIME_UNITS, f"one of {', '.join(TIME_UNITS)}")
    minutes = content.get("window_minutes")
    expect("window_minutes", _is_positive(minutes), "a positive number")
    expect("ignore", isinstance(content.get("ignore"), list), "a list of column names")
    expect("units", _is_mapping_to_text(content.get("units")), "a mapping from column to unit, such as {p0_power: W}")
    expect("racks", isinstance(content.get("racks"), dict), "a mapping from node to rack")
    settings = content.get("settings")
    expect("settings", isinstance(settings, dict) and all(isinstance(key, str) for key in settings), "a mapping")
    if settings and content.get("source", NODE_TABLES) == NODE_TABLES:
        raise ConfigError(
            f"{file}: settings: are those of another source, and 'source' names none; "
            f"what {NODE_TABLES} needs are keys of their own: {', '.join(KEYS)}"
        )


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _is_mapping_to_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _read_label_description(label: Any, file: str) -> dict[str, Any]:
    if label is None:
        return {}
    if isinstance(label, str):
        return {"label": label}
    keys = {"normal": NORMAL, "anomalous": ANOMALOUS, "unknown": UNKNOWN}
    if not isinstance(label, dict) or "column" not in label or not set(label) <= {"column", *keys}:
        known = "{column, normal, anomalous, unknown}"
        raise ConfigError(f"{file}: label: must be a column name or {known}; got {label!r}")
    values = {"normal": [0], "anomalous": [1]} | {key: label[key] for key in keys if key in label}
    codes: dict[float | str, int] = {}
    for key, group in values.items():
        for value in group if isinstance(group, list) else [group]:
            if codes.setdefault(value_key(value), keys[key]) != keys[key]:
                raise ConfigError(f"{file}: label: the value {value!r} stands under {key} and under another key")
    return {"label": str(label["column"]), "label_codes": codes}
