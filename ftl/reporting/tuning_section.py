"""What a study found, and what its best parameters did on the test part, good or bad."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from ftl.reporting.blocks import Block, Bullets, Code, Fold, Paragraph, ReportTable
from ftl.reporting.formats import count, data_size, interval, number, text
from ftl.reporting.run_tables import RunTables

MOST_PARETO = 30


def studies_of(run: RunTables) -> list[Mapping[str, Any]]:
    """The studies of tuning.json: one, or several under "datasets"; none where the stage is switched off."""
    found = run.tuning or {}
    several = found.get("datasets")
    return list(several.values()) if several else [found] if found.get("study") else []


def study_blocks(run: RunTables, study: Mapping[str, Any]) -> list[Block]:
    """What is to be said of one study; little where it has no best trial."""
    blocks: list[Block] = [Bullets(tuple(_facts(study)))]
    best = study.get("best") or {}
    if not best:
        return [*blocks, Paragraph("No trial was completed: there are no best parameters.")]
    blocks.append(Paragraph(_verdict(study, best.get("test_difference") or {})))
    blocks.append(_before_and_after(run, study))
    blocks.append(_parameters(run, study))
    if study.get("pareto"):
        blocks.append(Fold("Trials that no other trial beats in every objective", (_pareto(run, study),)))
    if study.get("overlay"):
        overlay = yaml.safe_dump(dict(study["overlay"]), sort_keys=False, allow_unicode=True)
        blocks += [Paragraph("The best parameters as an overlay of params.yaml (`best.yaml`):"), Code(overlay, "yaml")]
    return blocks


def _facts(study: Mapping[str, Any]) -> list[str]:
    pruned, failed = (int(study.get(name) or 0) for name in ("n_pruned", "n_failed"))
    labels = {"lent": "labels lent from the first test rows, which are not scored", "validation": "the validation part"}
    source = str(study.get("labels_from", "validation"))
    goal = f"{_phrase(study.get('direction'))} `{_phrase(study.get('objective'))}`"
    goal += f", minimize `{_cost(study)}`" if _cost(study) else ""
    return [
        f"Study **{study.get('study')}** on {study.get('dataset')}: {goal}.",
        f"{count(int(study.get('n_trials') or 0), 'trial')}, {pruned} of them pruned, {failed} failed.",
        f"The objective saw {labels.get(source, source)}; no trial saw a scored test label.",
    ]


def _cost(study: Mapping[str, Any]) -> str | None:
    """The second objective of a study that has one."""
    named = study.get("objectives") or []
    return str(named[1]) if len(named) > 1 else None


def _phrase(value: Any) -> str:
    """One objective, or several of them."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else text(value)


def _verdict(study: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What the best parameters did on the test part, paired over nodes."""
    delta, low, high = (found.get(name) for name in ("delta_f1", "ci_low", "ci_high"))
    if delta is None or pd.isna(delta):
        return "What the best parameters do on the test part could not be judged: no node has a defined F1 there."
    words = "a difference that was not shown to be other than 0"
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        words = "too few nodes for an interval"
    elif low > 0:
        words = "tuning **helped**"
    elif high < 0:
        words = "tuning **did harm**"
    where = interval(low, high, 3)
    return (
        f"On the test part of {study.get('dataset')}, which no trial saw, the best parameters change F1 by "
        f"{number(delta, 3, True)}{f' (95 % interval {where})' if where else ''} over "
        f"{count(int(found.get('n_nodes') or 0), 'node')} against the parameters before tuning: {words}."
    )


def _before_and_after(run: RunTables, study: Mapping[str, Any]) -> ReportTable:
    baseline, best = study.get("baseline") or {}, study["best"]
    rows = []
    for part in ("validation", "test"):
        before, after = baseline.get(part) or {}, best.get(part) or {}
        for metric in dict.fromkeys([*before, *after]):
            rows.append({"part": part, "metric": metric, "before": before.get(metric), "after": after.get(metric)})
    numbers = pd.DataFrame(rows, columns=["part", "metric", "before", "after"]).astype(
        {"before": "float64", "after": "float64"}
    )
    shown = pd.DataFrame({"Part": numbers["part"], "Metric": numbers["metric"]})
    for heading, name in {"Before tuning": "before", "Best trial": "after"}.items():
        shown[heading] = list(map(_measured, numbers["metric"], numbers[name]))
    change = numbers["after"] - numbers["before"]
    shown["Change"] = [_measured(metric, value, True) for metric, value in zip(numbers["metric"], change, strict=True)]
    return ReportTable("tuning", _caption(run, study, "Before tuning and at the best trial"), shown, numbers)


def _measured(metric: str, value: float, signed: bool = False) -> str:
    """A metric's value; bytes with their unit."""
    if metric == "bytes":
        return f"{'+' if signed and value > 0 else ''}{data_size(value)}"
    return number(value, 4, signed)


def _parameters(run: RunTables, study: Mapping[str, Any]) -> ReportTable:
    """What tuning changes: a trial also draws settings that its choices leave without effect, which are not told."""
    before, after = (study.get("baseline") or {}).get("params") or {}, study["best"].get("params") or {}
    overlay = study.get("overlay") or {}
    used = [f"{section}.{leaf}" for section, leaves in overlay.items() for leaf in leaves]
    names = used if set(used) & {*before, *after} else list(dict.fromkeys([*before, *after]))
    shown = pd.DataFrame(
        {
            "Parameter": names,
            "Before tuning": [text(_word(before.get(name))) for name in names],
            "Best trial": [text(_word(after.get(name))) for name in names],
        }
    )
    return ReportTable("tuning_parameters", _caption(run, study, "Parameters"), shown, shown)


def _pareto(run: RunTables, study: Mapping[str, Any]) -> ReportTable:
    trials = study["pareto"]
    objectives = study.get("objective")
    names = list(map(str, objectives)) if isinstance(objectives, list) else [str(objectives)]
    names += [cost] if (cost := _cost(study)) else []
    rows = []
    for trial in trials[:MOST_PARETO]:
        values = list(trial.get("values") or [])
        heads = names if len(names) == len(values) else [f"Objective {k + 1}" for k in range(len(values))]
        row = {"Trial": str(trial.get("number"))}
        row |= {head: _measured(head, value) for head, value in zip(heads, values, strict=True)}
        rows.append(row | {name: text(_word(value)) for name, value in (trial.get("params") or {}).items()})
    shown = pd.DataFrame(rows).fillna("-")
    aside = f"; the first {MOST_PARETO} of {len(trials)}" if len(trials) > MOST_PARETO else ""
    return ReportTable("tuning_pareto", _caption(run, study, f"Pareto front{aside}"), shown, shown)


def _caption(run: RunTables, study: Mapping[str, Any], what: str) -> str:
    dataset = str(study.get("dataset"))
    protocol = next((protocol for name, protocol in run.scopes if name == dataset), None)
    where = run.where(dataset, protocol) if protocol else dataset
    return f"{what}. Study {study.get('study')}, {where}."


def _word(value: Any) -> Any:
    """A value as it is shown: a fraction to four significant digits (the overlay has all of them)."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, list | dict | bool) else value
