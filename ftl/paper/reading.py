"""How a run reads the paper: for each point that its text leaves open or that a run may set, the paper's word and ours.

The numbers A1 to A43 are those of docs/reproduce-the-paper.md. A run's word comes from its params.json and fleets.json;
what neither tells is None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ftl.detection.thresholds import PROTOCOL_THRESHOLDS
from ftl.paper.tables import claimed, table_1

Params = Mapping[str, Any]
Fleets = Mapping[str, Mapping[str, Any]]

UNKNOWN = "unknown"
RANKING = {"paper": "test_f1", "rigorous": "validation_f1"}  # what `rank_by: protocol` stands for
SPLIT = {"paper": "random", "rigorous": "chronological"}


@dataclass(frozen=True)
class Reading:
    """One point: the paper's word, read literally, and what the run did. `same` is None where one of them is silent."""

    number: str
    what: str
    paper: str
    ours: str
    same: bool | None


def readings(params: Params, fleets: Fleets | None = None) -> list[Reading]:
    """Every point, in a fixed order; a run without params.json has only unknowns."""
    found = [*_data(fleets or {})]
    for number, what, paper, ours in _points(params):
        same = None if ours is None or paper is None else _equal(paper, ours)
        found.append(Reading(number, what, _text(paper, "not stated"), _text(ours, UNKNOWN), same))
    return found


def sentence_on_data(dataset: str, fleets: Fleets | None) -> str:
    """What a dataset is, and what its numbers can therefore not say."""
    card = (fleets or {}).get(dataset)
    if not card:
        return f"{dataset}: origin unknown (no fleets.json beside the summary)."
    nodes, features = len(card.get("node_ids", ())), card.get("n_features")
    size = f"{nodes} node{'s' * (nodes != 1)}" + (f", {features} features" if features else "")
    if card.get("origin") == "simulated":
        return (
            f"{dataset}: SIMULATED telemetry, {size}. The numbers say how the method behaves on a simulator; "
            "they neither confirm nor refute the paper's, which are of another machine's recordings."
        )
    return f"{dataset}: {card.get('origin', UNKNOWN)} telemetry, {size}."


def _data(fleets: Fleets) -> list[Reading]:
    paper = f"real, Marconi100, {claimed('n_nodes'):.0f} nodes"
    return [
        Reading(
            "A34",
            f"data of {name}",
            paper,
            f"{card.get('origin', UNKNOWN)}, {len(card.get('node_ids', ()))} nodes",
            None,
        )
        for name, card in fleets.items()
    ]


def _points(params: Params) -> list[tuple[str, str, Any, Any]]:
    """(number, what, the paper's word or None, the run's word or None)."""
    get = _lookup(params)
    printed = dict(zip(table_1()["hyperparameter"], table_1()["value"], strict=True))
    protocol = get("protocol")
    ranking, split = get("select.rank_by"), get("prepare.split")
    return [
        ("A1", "end of the encoder", None, get("model.latent")),
        ("A4", "training rows, unsupervised", "normal", get("supervision.train_rows")),
        ("A5", "loss on labelled anomalies", "include_as_normal", get("supervision.semi_loss")),
        ("A6", "supervised loss", "mse", get("supervision.supervised_loss")),
        ("A10", "anomaly score", "mse", get("detection.score")),
        *(
            ("A7, A10, A26", f"threshold, {paradigm}", _printed_rule(paradigm, printed), _rule(paradigm, params))
            for paradigm in PROTOCOL_THRESHOLDS["paper"]
        ),
        ("A15", "nodes ranked by", "test_f1", RANKING.get(str(protocol)) if ranking == "protocol" else ranking),
        ("A16", "draws of Random-N", None, get("select.n_draws")),
        ("A17", "rounds", int(claimed("n_rounds")), get("federate.n_rounds")),
        ("A18", "local epochs", int(printed["epochs"]), get("local.n_epochs")),
        ("A18", "epochs of fine-tuning", int(printed["epochs"]), get("transfer.n_epochs")),
        (
            "A18",
            "steps per epoch, at most",
            "all rows",
            "all rows" if _unlimited(params) else get("training.max_steps_per_epoch"),
        ),
        ("A19", "learning rate", float(printed["learning_rate"]), get("optimizer.learning_rate")),
        ("", "optimizer", printed["optimizer"], get("optimizer.name")),
        ("", "batch size", int(printed["batch_size"]), get("training.batch_size")),
        ("A21", "decoder of a target", "reinitialise", get("transfer.decoder_init")),
        ("A23", "scaling", None, get("prepare.scaler")),
        ("A24", "split", None, SPLIT.get(str(protocol)) if split == "protocol" else split),
        ("A25", "missing values", "drop_rows", get("prepare.missing")),
        ("", "runs", int(claimed("n_runs")), None if get("seeds") is None else len(get("seeds"))),
        ("", "protocol", "paper", protocol),
    ]


def _rule(paradigm: str, params: Params) -> str | None:
    """The run's rule of alarms, with its number where it has one."""
    get = _lookup(params)
    rule, protocol = get("detection.threshold"), str(get("protocol"))
    if rule == "protocol":
        rule = PROTOCOL_THRESHOLDS.get(protocol, {}).get(paradigm)
    number = {"fixed": "fixed_threshold", "fixed_on_scaled": "fixed_threshold", "percentile": "percentile"}.get(
        str(rule)
    )
    return rule if number is None else f"{rule} {float(get(f'detection.{number}', 'nan')):g}"


def _printed_rule(paradigm: str, printed: Mapping[str, str]) -> str:
    rule = PROTOCOL_THRESHOLDS["paper"][paradigm]
    name = "dynamic_threshold_percentile" if rule == "percentile" else "reconstruction_threshold"
    return f"{rule} {float(printed[name]):g}"


def _unlimited(params: Params) -> bool:
    training = params.get("training")
    return isinstance(training, Mapping) and training.get("max_steps_per_epoch", 0) is None


def _lookup(params: Params) -> Callable[..., Any]:
    def get(path: str, default: Any = None) -> Any:
        value: Any = params
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return default if value is None else value

    return get


def _equal(paper: Any, ours: Any) -> bool:
    if isinstance(paper, float):
        return abs(paper - float(ours)) <= 1e-9 * abs(paper)
    return bool(paper == ours)


def _text(value: Any, otherwise: str) -> str:
    return otherwise if value is None else f"{value:g}" if isinstance(value, float) else str(value)
