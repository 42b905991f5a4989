"""What a study came to: the best parameters, and what they do on the test part, which no trial has seen."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ftl.config import Params
from ftl.data.fleet import read_fleet
from ftl.evaluation.significance import compare
from ftl.experiment.units import digest
from ftl.tuning.page import tuning_page
from ftl.tuning.plan import StudyPlan, overlay_of
from ftl.tuning.study import TrialFact, baseline_values, best_trial, facts_of
from ftl.tuning.trial import Trials, all_metrics

if TYPE_CHECKING:
    from optuna import Study

TUNING_FILE, OVERLAY_FILE, PAGE_FILE = "tuning.json", "best.yaml", "tuning.md"
TESTED = "tested"  # attribute of a study: test results by what was tested
NodeMetrics = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Outcome:
    """A study's result, and where it was written.

    Attributes:
        content: What tuning.json holds.
        overlay: The parameters that the best trial changes; empty if it does not beat the ones of now.
    """

    content: dict[str, Any]
    overlay: Params
    folder: Path


def finish_study(plan: StudyPlan, study: Study, out: Path) -> Outcome:
    """Test the parameters as they were and the best ones, and write tuning.json, best.yaml and tuning.md.

    The test is made once for what is best: its result is kept with the study, which counts how often it looked.
    """
    before = baseline_values(study)
    best = best_trial(study)
    improves = best is not None and best.values is not None and best.values[0] > before[0] + 1e-12
    changed = overlay_of(plan, best.params) if best is not None and improves else {}
    content = _described(plan, study, best if changed else None, changed)
    folder = plan.folder
    for place in (folder, out):
        _write(place / TUNING_FILE, json.dumps(content, indent=1, allow_nan=False) + "\n")
        _write(place / OVERLAY_FILE, _overlay_text(plan, content, changed))
        _write(place / PAGE_FILE, tuning_page(content))
    return Outcome(content, changed, folder)


def _described(plan: StudyPlan, study: Study, best: TrialFact | None, changed: Params) -> dict[str, Any]:
    facts, settings = facts_of(study), plan.settings
    states = [fact.state for fact in facts]
    applied = plan.base if best is None else plan.space.applied(plan.base, best.params)
    tested = _tested(plan, study, applied)
    values = {name: _finite(value) for name, value in zip(settings.objectives, baseline_values(study), strict=True)}
    of_best = dict(zip(settings.objectives, best.values or (), strict=True)) if best is not None else values
    now = plan.space.values_of(plan.base, plan.protocol, settings.paradigm)
    return {
        "study": plan.name,
        "dataset": plan.dataset,
        "origin": plan.origin,
        "protocol": plan.protocol,
        "paradigm": settings.paradigm,
        "seed": settings.seed,
        "objective": settings.objective,
        "objectives": list(settings.objectives),
        "direction": "maximize",
        "directions": ["maximize", "minimize"][: len(settings.objectives)],
        "labels_from": plan.split.labels_from,
        "split": plan.split.description,
        "judged_nodes": "targets and participants" if plan.space.varies_cohort else "targets",
        "cohort": {
            "policy": plan.base["select"]["policies"][0],
            "n_participants": plan.base["select"]["n_participants"][0],
        },
        "n_trials": len(facts),
        "n_pruned": states.count("PRUNED"),
        "n_failed": states.count("FAIL"),
        "space": plan.space.described(),
        "improved": bool(changed),
        "baseline": {"params": now, "validation": values | tested["baseline_validation"], "test": tested["baseline"]},
        "best": {
            "number": None if best is None else best.number,
            "params": now if best is None else dict(best.params),
            "validation": of_best | tested["best_validation"],
            "test": tested["best"],
            "test_difference": tested["difference"],
        },
        "test_looks": tested["looks"],
        "overlay": changed,
        "pareto": _pareto(facts) if len(settings.objectives) > 1 else [],
        "history": [[fact.number, fact.values[0] if fact.values else None, fact.state] for fact in facts],
        "importances": _importances(study),
        "trials": [vars(fact) | {"params": dict(fact.params)} for fact in facts],
    }


def _tested(plan: StudyPlan, study: Study, applied: Params) -> dict[str, Any]:
    """Validation and test metrics of the parameters as they were and of the best ones; made once for each best."""
    key = digest({**applied, "tune": applied["tune"]["arm"]}, plan.fingerprint())[:16]
    known: dict[str, Any] = dict(study.user_attrs.get(TESTED, {}))
    if key not in known:
        final = plan.final()
        base = {**plan.base, "seeds": final.base["seeds"]}
        before, after = all_metrics(final, base), all_metrics(final, {**applied, "seeds": final.base["seeds"]})
        known[key] = {
            "baseline_validation": _means(all_metrics(plan.trials, plan.base)),
            "best_validation": _means(all_metrics(plan.trials, applied)),
            "baseline": _means(before),
            "best": _means(after),
            "difference": _difference(final, before, after),
        }
        study.set_user_attr(TESTED, known)
    return known[key] | {"looks": len(known)}


def _difference(final: Trials, before: NodeMetrics, after: NodeMetrics) -> dict[str, Any]:
    """Best less baseline, node by node, in F1."""
    fleet = read_fleet(final.fleet)
    f1 = [np.array([of.get("f1", {}).get(k, np.nan) for k in range(len(fleet.node_ids))]) for of in (before, after)]
    found = compare(f1[0], f1[1], fleet.racks)
    nodes = [
        [node, _finite(a), _finite(b)] for node, a, b in zip(fleet.node_ids, *f1, strict=True) if np.isfinite(a + b)
    ]
    return {
        "delta_f1": _finite(found.delta),
        "ci_low": _finite(found.interval.low),
        "ci_high": _finite(found.interval.high),
        "n_nodes": found.n_nodes,
        "p_wilcoxon": _finite(found.p_wilcoxon),
        "verdict": found.interval.verdict,
        "nodes": nodes,
    }


def _means(metrics: NodeMetrics) -> dict[str, float]:
    return {name: math.fsum(values.values()) / len(values) for name, values in metrics.items()}


def _pareto(facts: list[TrialFact]) -> list[dict[str, Any]]:
    """Complete trials that no other one beats in both values."""
    complete = [(fact, fact.values) for fact in facts if fact.values is not None]

    def beaten(values: tuple[float, ...]) -> bool:
        return any(v[0] >= values[0] and v[1] <= values[1] and v != values for _, v in complete)

    front = [(fact, values) for fact, values in complete if not beaten(values)]
    return [{"number": fact.number, "values": list(values), "params": dict(fact.params)} for fact, values in front]


def _importances(study: Study) -> dict[str, float]:
    """Share of each parameter in the spread of the objective (fANOVA), largest first; empty where it says nothing."""
    import optuna

    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(complete) < 8 or len({trial.values[0] for trial in complete}) < 3:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: trial.values[0]
            )
        except (ValueError, RuntimeError):  # where a parameter does not vary, for one
            return {}
    return {name: round(float(share), 4) for name, share in found.items()}


def _overlay_text(plan: StudyPlan, content: Mapping[str, Any], changed: Params) -> str:
    rows = "lent rows" if content["labels_from"] == "lent" else "validation rows"
    study = f"# Study {plan.name} on {plan.dataset} ({plan.origin}): {content['n_trials']} trials"
    head = [f"{study}, objective {plan.settings.objective} on {rows}."]
    if not changed:
        return "\n".join([*head, "# No trial beat the parameters as they are: nothing to change.", "{}", ""])
    head.append("# Lay it over the parameters of the study: ftl run FLEET -p best.yaml, or ftl params best.yaml.")
    return "\n".join([*head, yaml.safe_dump(changed, sort_keys=False).rstrip(), ""])


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)
