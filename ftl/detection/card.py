"""The card of a detector: all of it but its arrays, as JSON that a person can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ftl.data.cleaning import MISSING_POLICIES
from ftl.detection.newcomer import NewcomerCard
from ftl.detection.raw_rows import RowRules
from ftl.detection.scores import ANOMALY_SCORES
from ftl.detection.trailing import Trailing
from ftl.errors import UserError
from ftl.models.network import ModelSettings, NetworkKind

CARD_FILE = "card.json"
FORMAT = 1


@dataclass(frozen=True)
class NodeCard:
    """What a detector knows of one node beside its arrays.

    Attributes:
        columns: Per feature of the fleet's tables the node's own column; None for one that it lacked in training.
        threshold: A row is flagged if its score is greater; the least of its thresholds where these follow the node.
        spacing: Usual time between two of its rows, in units of time.
        is_rebased: Whether its rows are read as the distance to their trailing median.
    """

    node_id: str
    columns: tuple[str | None, ...]
    threshold: float
    spacing: float
    is_rebased: bool = False


@dataclass(frozen=True)
class ScoreCard:
    """How scores and thresholds were set.

    Attributes:
        name: A key of ANOMALY_SCORES, or ``probability`` of a classifier.
        variance_floor: Contained in the variances that squared residuals are divided by.
        smoothing_half_life: Of the causal mean over scores, in rows; 0 is none.
        threshold: The rule that set the thresholds, a key of THRESHOLDS.
        trailing: How thresholds follow the scores of the rows before; None where they stay as they were set.
    """

    name: str
    variance_floor: float
    smoothing_half_life: float
    threshold: str
    trailing: Trailing | None = None


@dataclass(frozen=True)
class ScalerCard:
    """How raw values become scaled ones; offsets and scales themselves are arrays."""

    scaler: str
    transform: str
    constant: str
    signed_log: tuple[str, ...]
    clip_low: float
    clip_high: float


@dataclass(frozen=True)
class Card:
    """A detector in words and numbers.

    Attributes:
        origin: Of the telemetry that it was trained on: ``real`` or ``simulated``.
        arm: What the models are: ``local``, ``transfer``, ...
        seed: Of the run that trained them.
        chosen_by: How the arm was chosen among the others, and what each of them reached.
        cohort: Policy, number of participants and participants of the federation behind it; empty where there is none.
        lineage: What it was made from: git commit, hashes of parameters and data.
        newcomer: How nodes that have just joined are scored; None where the detector scores none.
    """

    dataset: str
    origin: str
    protocol: str
    paradigm: str
    arm: str
    seed: int
    network: NetworkKind
    model: ModelSettings
    rules: RowRules
    scaler: ScalerCard
    score: ScoreCard
    nodes: tuple[NodeCard, ...]
    chosen_by: Mapping[str, Any]
    cohort: Mapping[str, Any]
    lineage: Mapping[str, Any]
    newcomer: NewcomerCard | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """What the model reads, in its order: columns of node tables, then indicators of missing values."""
        return self.rules.all_features

    @property
    def node_ids(self) -> tuple[str, ...]:
        return tuple(node.node_id for node in self.nodes)


def write_card(card: Card, path: Path) -> None:
    """Write the card as JSON; features are named rather than numbered."""
    rules = card.rules
    content = {
        "format": FORMAT,
        **{name: getattr(card, name) for name in ("dataset", "origin", "protocol", "paradigm", "arm", "seed")},
        "lineage": dict(card.lineage),
        "chosen_by": dict(card.chosen_by),
        "cohort": dict(card.cohort),
        "network": card.network,
        "model": asdict(card.model),
        "score": _score_content(card.score),
        "scaler": asdict(card.scaler),
        "rows": {
            "missing": rules.missing,
            "fill_limit": rules.fill_limit,
            "window": rules.window,
            "time_unit": rules.time_unit,
            "time_column": rules.time_column,
            "number_unit": rules.number_unit,
            "rebase_window": rules.rebase_window,
            "counters": [rules.features[feature] for feature in rules.counters],
            "indicators": {name: [rules.features[feature] for feature in of] for name, of in rules.indicators},
        },
        **({} if card.newcomer is None else {"newcomer": asdict(card.newcomer)}),
        "features": list(card.features),
        "nodes": [_node_content(node, rules.features) for node in card.nodes],
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        UserError: If it is damaged or of another format; the message names the file and what is wrong.
    """
    again = "export the detector again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise UserError(f"{path}: format {content.get('format')!r}, this version of ftl reads {FORMAT}; {again}")
        card = _card(content)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a detector's folder, or {again}") from error
    except KeyError as error:
        raise UserError(f"{path}: {error} is missing in it; {again}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error}); {again}") from error
    _check(card, path, again)
    return card


def _score_content(score: ScoreCard) -> dict[str, Any]:
    """Without a word of what is not there."""
    return {key: value for key, value in asdict(score).items() if key != "trailing" or value is not None}


def _score(content: Mapping[str, Any]) -> ScoreCard:
    trailing = content.get("trailing")
    return replace(ScoreCard(**content), trailing=None if trailing is None else Trailing(**trailing))


def _node_content(node: NodeCard, features: tuple[str, ...]) -> dict[str, Any]:
    columns = dict(zip(features, node.columns, strict=True))
    return {
        "node": node.node_id,
        "threshold": node.threshold,
        "spacing": node.spacing,
        "is_rebased": node.is_rebased,
        "absent": [name for name, column in columns.items() if column is None],
        "renamed": {name: column for name, column in columns.items() if column not in (None, name)},
    }


def _card(content: Mapping[str, Any]) -> Card:
    rows, indicators = content["rows"], content["rows"]["indicators"]
    features = tuple(content["features"][: len(content["features"]) - len(indicators)])
    place = {name: number for number, name in enumerate(features)}
    window = rows.get("rebase_window")  # detectors of earlier versions know of no re-basing
    rules = RowRules(
        features=features,
        indicators=tuple((name, tuple(place[feature] for feature in of)) for name, of in indicators.items()),
        counters=tuple(place[name] for name in rows["counters"]),
        missing=rows["missing"],
        fill_limit=int(rows["fill_limit"]),
        window=float(rows["window"]),
        time_unit=rows["time_unit"],
        time_column=rows["time_column"],
        number_unit=rows["number_unit"],
        rebase_window=None if window is None else float(window),
    )
    if rules.all_features != tuple(content["features"]):
        raise ValueError("features do not end in the indicators that it names under rows")
    nodes = tuple(_node(node, features) for node in content["nodes"])
    model, scaler = content["model"], content["scaler"]
    return Card(
        **{name: content[name] for name in ("dataset", "origin", "protocol", "paradigm", "arm", "network")},
        seed=int(content["seed"]),
        model=ModelSettings(**{**model, "hidden": tuple(model["hidden"])}),
        rules=rules,
        scaler=ScalerCard(**{**scaler, "signed_log": tuple(scaler["signed_log"])}),
        score=_score(content["score"]),
        nodes=nodes,
        chosen_by=content["chosen_by"],
        cohort=content["cohort"],
        lineage=content["lineage"],
        newcomer=NewcomerCard(**content["newcomer"]) if "newcomer" in content else None,
    )


def _node(content: Mapping[str, Any], features: tuple[str, ...]) -> NodeCard:
    absent, renamed = {*content["absent"]}, content["renamed"]
    columns = tuple(None if name in absent else renamed.get(name, name) for name in features)
    is_rebased = bool(content.get("is_rebased", False))
    return NodeCard(content["node"], columns, float(content["threshold"]), float(content["spacing"]), is_rebased)


def _check(card: Card, path: Path, again: str) -> None:
    known = {
        "network": (card.network, get_args(NetworkKind)),
        "rows.missing": (card.rules.missing, MISSING_POLICIES),
        "rows.time_unit": (card.rules.time_unit, ("seconds", "steps")),
        "score.name": (card.score.name, ("probability", *ANOMALY_SCORES)),
    }
    for key, (value, words) in known.items():
        if value not in words:
            raise UserError(f"{path}: {key}: unknown {value!r}; known: {', '.join(words)}; {again}")
    window = card.rules.rebase_window
    newcomer_is_rebased = card.newcomer is not None and card.newcomer.is_rebased
    if (newcomer_is_rebased or any(node.is_rebased for node in card.nodes)) and (window is None or not window > 0):
        raise UserError(
            f"{path}: rows.rebase_window: must be positive where a node is re-based; got {window!r}; {again}"
        )
    if (card.network == "classifier") != (card.score.name == "probability"):
        raise UserError(f"{path}: network {card.network!r} has no score.name {card.score.name!r}; {again}")
    for key, values in (("features", card.features), ("nodes", card.node_ids)):
        if not values or len(set(values)) < len(values):
            raise UserError(f"{path}: {key}: must name each once, and at least one; {again}")
