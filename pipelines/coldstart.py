"""Stage coldstart: the first hours of every node of every dataset, if `coldstart.enabled` says so."""

import json
from pathlib import Path

import pandas as pd

from ftl.config import Params, dataset_names, section
from ftl.studies.coldstart.settings import ColdStartSettings
from pipelines.stage import WORK, run


def main(params: Params, fleets: str, out: str) -> None:
    at, folder = Path(fleets), Path(out)
    settings = section(params, "coldstart", ColdStartSettings)
    folder.mkdir(parents=True, exist_ok=True)
    if settings.enabled:
        _replay(params, settings, at, folder)
    else:
        print("coldstart.enabled is false: no cold start")
    (folder / "enabled.json").write_text(json.dumps(settings.enabled) + "\n")  # DVC loses an empty folder


def _replay(params: Params, settings: ColdStartSettings, fleets: Path, out: Path) -> None:
    from ftl.data.fleet import read_fleet
    from ftl.studies.coldstart.experiment import coldstart_stage
    from ftl.studies.coldstart.tables import tables_of, write_tables
    from ftl.studies.coldstart.words import sentences
    from ftl.studies.telemetry import racks_of

    rows, racks = [], {}
    for dataset in dataset_names(params):
        rows.append(coldstart_stage(params, fleets / dataset, out / "folds" / dataset, WORK))
        racks[dataset] = racks_of(read_fleet(fleets / dataset))
    tables = tables_of(pd.concat(rows, ignore_index=True), settings, racks)
    write_tables(out, tables)
    print("\n".join(sentences(tables)))


if __name__ == "__main__":
    run(main)
