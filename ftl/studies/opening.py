"""The fleet that a study reads: prepared as for an experiment, but nothing is clipped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftl.config import protocol_of, section
from ftl.data.fleet import CARD_FILE, Fleet, read_fleet
from ftl.data.node_table import TelemetrySource
from ftl.data.prepare import PrepareSettings, Progress, fleet_fingerprint, prepare_fleet
from ftl.errors import UserError
from ftl.experiment.results_folder import FLEETS_FILE, PARAMS_FILE, write_text

UNCLIPPED = 1e6
"""In units of a node's own range."""

FLEET_FOLDER = Path("stages") / "study_fleet"


def open_for_study(
    source: TelemetrySource | Path, params: Mapping[str, Any], out: Path, progress: Progress | None = None
) -> tuple[Path, dict[str, Any]]:
    """The folder of the prepared fleet, and the parameters with the section `prepare` that it was made by.

    Args:
        source: Telemetry, which is prepared into `out` unless that has been done, or the folder of a prepared fleet,
            which is used as it stands: values that its preparation clipped stay so.

    Raises:
        UserError: If `out` cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made: {error.strerror}") from error
    if isinstance(source, Path):
        return source, {**params, "prepare": read_fleet(source).report["settings"]}
    asked = {"clip_low": -UNCLIPPED, "clip_high": UNCLIPPED, "rebase": "none"}
    params = {**params, "prepare": {**params["prepare"], **asked}}
    settings, protocol, folder = section(params, "prepare", PrepareSettings), protocol_of(params), out / FLEET_FOLDER
    if (folder / CARD_FILE).exists() and read_fleet(folder).fingerprint == fleet_fingerprint(
        source, settings, protocol
    ):
        return folder, params
    prepare_fleet(source, settings, protocol, folder, progress)
    return folder, params


def describe_study(out: Path, fleet: Fleet, params: Mapping[str, Any]) -> None:
    """Write the fleet's card and the parameters beside the tables, unless a whole experiment's lie there."""
    if (out / "results.parquet").exists():
        return
    card = {
        "origin": fleet.origin,
        "protocol": fleet.protocol,
        "fingerprint": fleet.fingerprint,
        "node_ids": fleet.node_ids,
        "racks": fleet.racks,
        "n_features": len(fleet.features),
        "time_unit": fleet.time_unit,
        "window_seconds": fleet.window_seconds,
        "labels_borrowed": fleet.labels_borrowed,
        "report": fleet.report,
    }
    write_text(out / FLEETS_FILE, json.dumps({fleet.name: card}, indent=1) + "\n")
    write_text(out / PARAMS_FILE, json.dumps(dict(params), indent=1) + "\n")
