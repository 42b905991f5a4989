"""The trained stages of trials, each kept under a digest of just what it depends on: equal parts are made once."""

from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from ftl.config import Params, section
from ftl.detection.settings import DetectionSettings
from ftl.experiment.handover import unit_name
from ftl.experiment.local import local_stage
from ftl.experiment.measured import COST_FILE, read_cost
from ftl.experiment.seeds import seeds_of
from ftl.experiment.settings import TransferSettings, paradigms_of, training_settings
from ftl.experiment.units import Unit, digest, run_stage, stage_key, unit_folders
from ftl.federation.settings import FederationSettings, SelectionSettings
from ftl.tuning.training import train_rounds, tune_targets

MODEL_SECTIONS = ("model", "training", "optimizer", "supervision", "local")
SCORING_KEYS = ("score", "variance_floor", "variance_shrinkage")
_made: set[tuple[str, Path]] = set()


class TrialStages:
    """Stages of trials on one fleet, in one folder, which several processes may share.

    Args:
        fleet: A prepared fleet's folder.
        store: Where stages are kept, ``<stage>-<digest>`` each.
        base: The parameters that trials vary. A stage is run with these, except for what it may depend on: so a
            parameter that is not in its digest cannot reach it.
        fingerprint: The fleet's.
    """

    def __init__(self, fleet: Path, store: Path, base: Mapping[str, Any], fingerprint: str) -> None:
        self.fleet, self.store, self.base, self.fingerprint = fleet, store, base, fingerprint

    def local(self, params: Mapping[str, Any]) -> Path:
        """Local models, short training alone, and the ranking of the nodes."""
        own = self._local_params(params)
        out = self.store / f"local-{digest(own)[:16]}"
        self._make(out, partial(local_stage, own, self.fleet, out, self.store / "work"))
        return out

    def federated(self, params: Mapping[str, Any], n_rounds: int, earlier: Path | None = None) -> Path:
        """Global models after so many rounds, on from an earlier stage of this method if that is given."""
        local, own = self.local(params), self._federated_params(params, n_rounds)
        out = self.store / f"federated-{digest(own)[:16]}"
        training, select = training_settings(own), section(own, "select", SelectionSettings)
        federate = section(own, "federate", FederationSettings)

        def unit(paradigm: str, seed: int) -> Unit:
            name = unit_name(paradigm, seed)
            before = None if earlier is None else earlier / name
            work = partial(train_rounds, self.fleet, local / name, before, paradigm, seed, training, select, federate)
            return Unit(name, work)

        self._run("federated rounds", own, unit, out, stage_key(local))
        return out

    def targets(
        self, params: Mapping[str, Any], federated: Path, n_rounds: int, arm: str, nodes: tuple[int, ...] | None
    ) -> Path:
        """Scores of these nodes (all if None) with the models of a federated stage."""
        own = self._federated_params(params, n_rounds)
        if arm != "zero_shot":
            own["transfer"] = {**own["transfer"], **{key: params["transfer"][key] for key in ("n_epochs", "proximal")}}
            own["transfer"]["decoder_init"] = params["transfer"]["decoder_init"] if arm == "transfer" else "keep"
        out = self.store / f"targets-{digest(own, arm, nodes)[:16]}"
        training, transfer = training_settings(own), section(own, "transfer", TransferSettings)
        scoring = section(own, "detection", DetectionSettings).scoring

        def unit(paradigm: str, seed: int) -> Unit:
            name = unit_name(paradigm, seed)
            work = partial(
                tune_targets, self.fleet, federated / name, paradigm, seed, training, transfer, scoring, arm, nodes
            )
            return Unit(name, work)

        self._run("targets", own, unit, out, stage_key(federated), arm, nodes)
        return out

    def _run(self, name: str, own: Params, unit: Any, out: Path, *depends_on: Any) -> None:
        units = [unit(paradigm, seed) for paradigm in paradigms_of(own) for seed in seeds_of(own)]
        self._make(out, partial(run_stage, f"{name} {out.name}", units, out, self.store / "work", own, *depends_on))

    def _make(self, out: Path, run: partial[None]) -> None:
        """Make a stage, unless this process knows that it is there; trials are many, so they say nothing."""
        if (self.fingerprint, out) not in _made:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                run()
            _made.add((self.fingerprint, out))

    def _local_params(self, params: Mapping[str, Any]) -> Params:
        own = dict(self.base) | {name: params[name] for name in MODEL_SECTIONS}
        own.pop("tune", None)
        brief = {"method": "fedavg", "n_rounds": 1, "n_local_epochs": 1}  # no long-trained local models
        own["federate"] = {**self.base["federate"], **brief}
        own["transfer"] = {**self.base["transfer"], "n_epochs": 1, "decoder_init": "keep", "proximal": 0.0}
        own["select"] = {**self.base["select"], "rank_by": params["select"]["rank_by"]}
        own["detection"] = {**self.base["detection"], **{key: params["detection"][key] for key in SCORING_KEYS}}
        return own

    def _federated_params(self, params: Mapping[str, Any], n_rounds: int) -> Params:
        own = self._local_params(params)
        return own | {"select": params["select"], "federate": {**params["federate"], "n_rounds": n_rounds}}


def stage_cost(stages: list[Path], measure: str) -> float | None:
    """CPU seconds (``seconds``) or ``energy_wh`` that stages took when they were made; None if not measured."""
    key = {"seconds": "cpu_seconds", "energy_wh": "energy_wh"}[measure]
    costs = [read_cost(folder / COST_FILE) for stage in stages for folder in unit_folders(stage)]
    values = [None if cost is None else cost[key] for cost in costs]
    return None if None in values else float(sum(values))  # type: ignore[arg-type]
