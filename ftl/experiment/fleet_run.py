"""``ftl run``: the whole method on one fleet, without DVC and without git."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import protocol_of, section
from ftl.data.fleet import CARD_FILE, Fleet, read_fleet
from ftl.data.node_table import TelemetrySource
from ftl.data.prepare import PrepareSettings, Progress, fleet_fingerprint, prepare_fleet
from ftl.detection.card import CARD_FILE as DETECTOR_CARD
from ftl.detection.raw_rows import keeps_rules
from ftl.errors import ConfigError, UserError
from ftl.experiment.classical import baseline_stage
from ftl.experiment.detectors import export_detectors
from ftl.experiment.evaluate import scored_stages
from ftl.experiment.federated import check_cohort_sizes, federated_stage
from ftl.experiment.local import local_stage
from ftl.experiment.measured import measured
from ftl.experiment.results_folder import FLEETS_FILE, RETHRESHOLDED, STAGES, FleetFolders
from ftl.experiment.results_writer import write_results_folder
from ftl.experiment.settings import paradigms_of
from ftl.experiment.transfer import transfer_stage
from ftl.federation.settings import SelectionSettings

PREPARE_COST_FILE = "prepare_cost.json"


class FleetRun:
    """One run in a folder of its own; a second run with the same parameters and telemetry takes up what is there.

    Args:
        source: Telemetry, or the folder of a fleet that was prepared already; such a fleet is used as it stands.
        params: All parameters; of a fleet prepared already, the section ``prepare`` is that fleet's.
        out: The run's folder.

    Attributes:
        fleet: The prepared fleet.
        results, summary, rounds: The tables, once ``evaluate`` has been called.
    """

    def __init__(self, source: TelemetrySource | Path, params: Mapping[str, Any], out: Path) -> None:
        self.source, self.params, self.out = source, params, out
        self.stages = out / "stages"
        self.fleet_folder = source if isinstance(source, Path) else self.stages / "fleet"
        self.work = out / "work"
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {out}: cannot be made: {error.strerror}") from error

    def prepare(self, progress: Progress | None = None) -> Fleet:
        """Read, split, clean and scale the telemetry, and check that the cohorts fit the fleet."""
        self.fleet = self._prepared() if isinstance(self.source, Path) else self._prepare(self.source, progress)
        check_cohort_sizes(section(self.params, "select", SelectionSettings), self.fleet)
        return self.fleet

    def _prepared(self) -> Fleet:
        fleet, protocol = read_fleet(self.fleet_folder), protocol_of(self.params)
        if fleet.protocol != protocol:
            raise ConfigError(
                f"{self.fleet_folder} was prepared under protocol {fleet.protocol!r}, this run asks for {protocol!r}; "
                f"run with -S protocol={fleet.protocol}, or prepare it again"
            )
        self.params = {**self.params, "prepare": fleet.report["settings"]}
        return fleet

    def _prepare(self, source: TelemetrySource, progress: Progress | None) -> Fleet:
        settings, protocol = section(self.params, "prepare", PrepareSettings), protocol_of(self.params)
        done = read_fleet(self.fleet_folder) if (self.fleet_folder / CARD_FILE).exists() else None
        if done is not None and keeps_rules(done) and done.fingerprint == fleet_fingerprint(source, settings, protocol):
            return done
        with measured(self.stages / PREPARE_COST_FILE):
            return prepare_fleet(source, settings, protocol, self.fleet_folder, progress)

    def train(self) -> None:
        """Baselines, local, federated and transferred models, in that order."""
        at, fleet = self.stages, self.fleet_folder
        if "baselines" in scored_stages(paradigms_of(self.params)):
            baseline_stage(self.params, fleet, at / "baselines", self.work)
        local_stage(self.params, fleet, at / "local", self.work)
        federated_stage(self.params, fleet, at / "local", at / "federated", self.work)
        transfer_stage(self.params, fleet, at / "local", at / "federated", at / "transfer", self.work)

    def evaluate(self, dump_scores: bool) -> pd.DataFrame:
        """Write every table of a results folder and, on request, scores.parquet."""
        stages = {stage: self.stages / stage for stage in STAGES}
        folders = FleetFolders(self.fleet_folder, stages, self.stages / PREPARE_COST_FILE)
        tables = write_results_folder(self.out, {self.fleet.name: folders}, self.params, dump_scores)
        self.results, self.summary, self.rounds = tables.results, tables.summary, tables.rounds
        self._remove_rethresholded(folders)
        return self.summary

    def export(self, lineage: Mapping[str, str]) -> dict[str, Path]:
        """Of every paradigm, put the arm that did best before the test part into a model folder; by paradigm.

        Args:
            lineage: What the cards say of their making, beside what the fleet says.
        """
        local, federated, transfer = (self.stages / stage for stage in ("local", "federated", "transfer"))
        out = self.out / "detectors" / self.fleet.name
        folders = export_detectors(self.fleet_folder, local, federated, transfer, self.params, out, lineage)
        for card in sorted((self.out / "detectors").glob(f"*/*/{DETECTOR_CARD}")):
            if card.parent not in folders.values():  # of an earlier run in this folder
                shutil.rmtree(card.parent)
        return folders

    def _remove_rethresholded(self, folders: FleetFolders) -> None:
        """Remove what other rules made of scores that an earlier run in this folder had."""
        keys = {self.fleet.name: folders.keys()}
        for card in sorted((self.out / RETHRESHOLDED).glob(f"*/{FLEETS_FILE}")):
            described = json.loads(card.read_text(encoding="utf-8"))
            if keys != {name: one.get("stage_keys") for name, one in described.items()}:
                shutil.rmtree(card.parent)
                print(f"removed {card.parent}: it was made from the scores of an earlier run", flush=True)
