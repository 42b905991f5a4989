"""A study's result as a page in Markdown."""

from collections.abc import Mapping
from typing import Any

METRIC_WORDS = {
    "f1": "F1",
    "delta_f1": "ΔF1 against local",
    "precision": "precision",
    "recall": "recall",
    "mcc": "MCC",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "alarms_per_node_day": "alarms per node-day",
    "f1_at_budget": "F1 within the alarm budget",
    "bytes": "bytes",
    "seconds": "CPU seconds",
    "energy_wh": "Wh",
}


def tuning_page(content: Mapping[str, Any]) -> str:
    """What was tried, what came of it on the rows that judged trials, and what on the test part."""
    return "\n".join(
        [
            f"# Study {content['study']} on {content['dataset']} ({content['origin']} telemetry)",
            "",
            *_what(content),
            "",
            *_verdict(content),
            "",
            *_metrics(content),
            "",
            *_parameters(content),
            *_importances(content),
            *_nodes(content),
            "",
        ]
    )


def _what(content: Mapping[str, Any]) -> list[str]:
    split, cohort = content["split"], content["cohort"]
    lent = content["labels_from"] == "lent"
    rows = (
        f"the first {split['lend_fraction']:.0%} of each node's test rows, before which there is no anomaly (the test "
        "was made on the later ones alone)"
        if lent
        else f"the last {split['validation_fraction']:.0%} of the rows before the test part"
    )
    trials = f"{content['n_trials']} trials ({content['n_pruned']} pruned, {content['n_failed']} failed)"
    models = f"{content['paradigm']} models, {content['protocol']} protocol, {split['n_nodes']} nodes"
    objective = f"mean {_word(content['objective'])} over {content['judged_nodes']}"
    usual = f"{cohort['policy']} with N = {cohort['n_participants']}"
    judged = f"{split['n_nodes_with_anomalies']} of {split['n_nodes']} nodes have an anomaly there"
    return [
        f"{trials} of {models}, seed {content['seed']}. Objective: {objective}. Cohort, unless it was varied: {usual}.",
        f"Trials were judged on {rows}; {judged}. No trial saw a row of the test.",
    ]


def verdict_sentences(content: Mapping[str, Any]) -> list[str]:
    """The verdict without markup."""
    return [sentence.replace("**", "") for sentence in _verdict(content)]


def _verdict(content: Mapping[str, Any]) -> list[str]:
    name, word = content["objective"], _word(content["objective"])
    before, best, found = content["baseline"], content["best"], content["best"]["test_difference"]
    if not content["improved"]:
        return [f"**No trial beat the parameters as they are** ({word} {_number(before['validation'][name])})."]
    said = f"{_number(before['validation'][name])} to {_number(best['validation'][name])}"
    if found["delta_f1"] is None:
        tested = "**On the test part nothing can be said:** no target node has a defined F1 there."
    else:
        tested = _tested(found)
    looks = content["test_looks"]
    return [
        f"**On the rows that judged trials the best one (number {best['number']}) raises {word} from {said}.**",
        "The best of many trials looks better there than it is.",
        tested,
        *([f"This study has looked at the test {looks} times, each time for another best trial."] if looks > 1 else []),
    ]


def _tested(found: Mapping[str, Any]) -> str:
    """What the best parameters did on the test part, with the verdict of its interval."""
    interval = (
        f", 95 % interval {_signed(found['ci_low'])} to {_signed(found['ci_high'])}"
        if found["ci_low"] is not None
        else ""
    )
    verdict = {"better": "better", "worse": "worse", "no difference": "no difference shown"}.get(found["verdict"], "")
    nodes = f"{found['n_nodes']} node" + ("" if found["n_nodes"] == 1 else "s")
    said = f"**On the test part F1 changes by {_signed(found['delta_f1'])}**{interval} over {nodes}"
    return f"{said}: {verdict}." if verdict else f"{said}."


def _metrics(content: Mapping[str, Any]) -> list[str]:
    before, best = content["baseline"], content["best"]
    names = [name for name in METRIC_WORDS if name in before["test"] or name in before["validation"]]
    lines = [
        "| Mean over nodes | judged rows, as it was | judged rows, best | test, as it was | test, best |",
        "| :--- | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        cells = [_number(of[part].get(name)) for part in ("validation", "test") for of in (before, best)]
        lines.append(f"| {METRIC_WORDS[name]} | {' | '.join(cells)} |")
    return lines


def _parameters(content: Mapping[str, Any]) -> list[str]:
    if not content["overlay"]:
        return []
    lines = ["| Parameter | was | best |", "| :--- | ---: | ---: |"]
    was, best = content["baseline"]["params"], content["best"]["params"]
    keys = [f"{section}.{leaf}" for section, leaves in content["overlay"].items() for leaf in leaves]
    return [*lines, *(f"| `{key}` | {_number(was.get(key))} | {_number(best[key])} |" for key in keys)]


def _importances(content: Mapping[str, Any]) -> list[str]:
    if not content["importances"]:
        return []
    shares = ", ".join(f"`{name}` {share:.0%}" for name, share in list(content["importances"].items())[:5])
    return ["", f"Share in the spread of the objective over trials (fANOVA): {shares}."]


def _nodes(content: Mapping[str, Any]) -> list[str]:
    nodes = content["best"]["test_difference"]["nodes"]
    if not nodes or not content["improved"]:
        return []
    lines = ["", "| Node (test) | F1 as it was | F1 best |", "| :--- | ---: | ---: |"]
    return [*lines, *(f"| {node} | {_number(before)} | {_number(after)} |" for node, before, after in nodes)]


def _word(name: str) -> str:
    return METRIC_WORDS.get(name, name)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if 0.01 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"
    return str(value)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
