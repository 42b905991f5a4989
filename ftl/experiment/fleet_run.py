"""``ftl run``: the whole method on one fleet folder, without DVC and without git."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.config import protocol_of, section, words
from ftl.data.fleet import CARD_FILE, Fleet, read_fleet
from ftl.data.node_table import TelemetrySource
from ftl.data.prepare import PrepareSettings, fleet_fingerprint, prepare_fleet
from ftl.detection.settings import DetectionSettings
from ftl.errors import UserError
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

    Attributes:
        fleet: The prepared fleet.
        results, summary, rounds: The tables, once ``evaluate`` has been called.
    """

    def __init__(self, source: TelemetrySource, params: Mapping[str, Any], out: Path) -> None:
        self.source, self.params, self.out = source, params, out
        self.stages = out / "stages"
        self.work = out / "work"
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {out}: cannot be made: {error.strerror}") from error

    def prepare(self) -> Fleet:
        """Read, split, clean and scale the telemetry, and check that the cohorts fit the fleet."""
        settings, protocol = section(self.params, "prepare", PrepareSettings), protocol_of(self.params)
        folder = self.stages / "fleet"
        done = read_fleet(folder) if (folder / CARD_FILE).exists() else None
        if done is not None and done.fingerprint == fleet_fingerprint(self.source, settings, protocol):
            self.fleet = done
        else:
            self.fleet = prepare_fleet(self.source, settings, protocol, folder)
        check_cohort_sizes(section(self.params, "select", SelectionSettings), self.fleet)
        return self.fleet

    def train(self) -> None:
        """Baselines, local, federated and transferred models, in that order."""
        at = self.stages
        names, seeds = words(self.params, "baselines"), seeds_of(self.params)
        detection = section(self.params, "detection", DetectionSettings)
        if "baselines" in scored_stages(paradigms_of(self.params)):
            units = baseline_units(at / "fleet", names, seeds, detection)
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
        local_stage(self.params, at / "fleet", at / "local", self.work)
        federated_stage(self.params, at / "fleet", at / "local", at / "federated", self.work)
        transfer_stage(self.params, at / "fleet", at / "local", at / "federated", at / "transfer", self.work)

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
