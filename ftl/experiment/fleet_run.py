"""``ftl run``: the whole method on one fleet, without DVC and without git."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import protocol_of, section, words
from ftl.data.fleet import CARD_FILE, Fleet, read_fleet
from ftl.data.node_table import TelemetrySource
from ftl.data.prepare import PrepareSettings, Progress, fleet_fingerprint, prepare_fleet
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError, UserError
from ftl.evaluation.results import write_results
from ftl.evaluation.summary import write_summary
from ftl.experiment.classical import baseline_units
from ftl.experiment.evaluate import evaluate_fleet, scored_stages, summarise_results, write_scores
from ftl.experiment.federated import check_cohort_sizes, federated_stage
from ftl.experiment.local import local_stage
from ftl.experiment.rounds import read_rounds
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import paradigms_of
from ftl.experiment.transfer import transfer_stage
from ftl.experiment.units import run_stage
from ftl.federation.settings import SelectionSettings

RESULTS_FILE, SUMMARY_FILE, SCORES_FILE, ROUNDS_FILE, PARAMS_FILE = (
    "results.parquet", "summary.csv", "scores.parquet", "rounds.csv", "params.json",
)  # fmt: skip


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
        if done is not None and done.fingerprint == fleet_fingerprint(source, settings, protocol):
            return done
        return prepare_fleet(source, settings, protocol, self.fleet_folder, progress)

    def train(self) -> None:
        """Baselines, local, federated and transferred models, in that order."""
        at, fleet = self.stages, self.fleet_folder
        names, seeds = words(self.params, "baselines"), seeds_of(self.params)
        detection = section(self.params, "detection", DetectionSettings)
        if "baselines" in scored_stages(paradigms_of(self.params)):
            units = baseline_units(fleet, names, seeds, detection)
            run_stage(
                f"baselines {self.fleet.name}",
                units,
                at / "baselines",
                self.work,
                self.fleet.fingerprint,
                names,
                seeds,
                detection,
            )
        local_stage(self.params, fleet, at / "local", self.work)
        federated_stage(self.params, fleet, at / "local", at / "federated", self.work)
        transfer_stage(self.params, fleet, at / "local", at / "federated", at / "transfer", self.work)

    def evaluate(self, dump_scores: bool) -> pd.DataFrame:
        """Write results.parquet, summary.csv, rounds.csv and, on request, scores.parquet."""
        stages = [self.stages / name for name in scored_stages(paradigms_of(self.params))]
        name = self.fleet.name
        self.results = evaluate_fleet(self.fleet, stages)
        self.summary = summarise_results(self.results, {name: self.fleet})
        self.rounds = read_rounds({name: self.stages / "federated"})
        summary_file = self.out / SUMMARY_FILE
        earlier = summary_file.read_bytes() if summary_file.exists() else b""
        write_results(self.results, self.out / RESULTS_FILE)
        write_summary(self.summary, summary_file)
        self.rounds.to_csv(self.out / ROUNDS_FILE, index=False)
        if dump_scores:
            write_scores({name: (self.fleet, stages)}, self.out / SCORES_FILE)
        elif summary_file.read_bytes() != earlier:
            (self.out / SCORES_FILE).unlink(missing_ok=True)  # scores of other results
        half = self.out / (PARAMS_FILE + ".half")
        half.write_text(json.dumps(self.params, indent=1) + "\n")
        os.replace(half, self.out / PARAMS_FILE)
        return self.summary
