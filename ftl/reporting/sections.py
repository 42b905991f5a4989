"""The report from its first screen to its parameters, as sections that any format can write."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd
import yaml

from ftl.evaluation.headline import overview_sentences, verdict_sentences
from ftl.evaluation.results import results_digest
from ftl.reporting.blocks import Block, Bullets, Code, Fold, Paragraph, ReportTable, Section, absent
from ftl.reporting.break_even_tables import break_even_tables
from ftl.reporting.comparison_tables import fine_tuning_tables, policy_tables
from ftl.reporting.cost_tables import node_cost_tables, stage_cost_tables, traffic_is_known
from ftl.reporting.definitions import DEFINITIONS
from ftl.reporting.drift_tables import drift_blocks
from ftl.reporting.harm import distribution_tables, worst_tables
from ftl.reporting.label_tables import label_blocks
from ftl.reporting.opening import holm_words, opening_blocks
from ftl.reporting.paper_tables import effect_tables, mean_tables, transfer_cells, transfer_tables
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import node_gains
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import all_arms_tables
from ftl.reporting.telemetry_section import telemetry_blocks
from ftl.reporting.threshold_tables import threshold_tables
from ftl.reporting.tuning_section import studies_of, study_blocks

AGAIN = "dvc repro` or `ftl run FLEET --out FOLDER"
MOST_OPEN = 18  # rows of a table that is not folded
_NO_TRANSFER = "There are no such rows in the summary: no arm was transferred to target nodes."
# Section -> the pictures that stand in it; a picture of another kind stands among the scores.
_PLACES = {
    "verdict": ("delta_f1",),
    "coldstart": ("coldstart", "coldstart_alarms"),
    "harmed": ("delta_f1_harmed", "delta_f1_nodes"),
    "depth": ("fine_tuning",),
    "arms": ("arms",),
    "scores": ("ranking", "timelines"),
    "similarity": ("projection", "similarity"),
    "rounds": ("training_loss",),
    "costs": ("costs",),
    "drift": ("drift_curve",),
    "tuning": ("tuning_history", "tuning_pareto"),
}


def sections_of(run: RunTables, pictures: Sequence[Picture]) -> list[Section]:
    """All sections in order; where a table or picture has nothing to show, words say so."""
    gains = node_gains(run.results)
    put = partial(_pictures, pictures)
    return [
        Section("summary", "What happened", tuple(opening_blocks(run, gains))),
        Section("verdict", "Did federation help?", (*_verdicts(run), *put("verdict"))),
        *_coldstart(run, put("coldstart")),
        Section("transfer", "Before and after transfer (Tables 2 to 4)", _or(transfer_tables(run), _NO_TRANSFER)),
        Section("means", "Means over N (Table 5)", _or(mean_tables(run), _NO_TRANSFER)),
        Section("effects", "Effect sizes (Table 6)", _or(effect_tables(run), _NO_TRANSFER)),
        Section("harmed", "Who was harmed", (*_harm(run, gains), *put("harmed"))),
        Section("labels", "Did labels of other nodes help?", tuple(label_blocks(run))),
        Section("policies", "Selection policies on common targets", _policies(run)),
        Section("depth", "Decoder only against full fine-tuning", (*_depth(run), *put("depth"))),
        Section("arms", "Every arm and baseline", (*put("arms"), *_folded(all_arms_tables(run)))),
        Section("thresholds", "Thresholds and alarms", _thresholds(run)),
        Section("scores", "Ranking and scores over time", (*_scores(run), *put("scores"))),
        Section("similarity", "How alike nodes and models are", (*_similarity(run), *put("similarity"))),
        Section("rounds", "Convergence", (*_rounds(run), *put("rounds"))),
        *([] if run.drift is None else [Section("drift", "Drift handling", (*drift_blocks(run), *put("drift")))]),
        Section("costs", "Cost (Table 7)", (*_costs(run), *put("costs"))),
        Section("tuning", "Tuning", (*_tuning(run), *put("tuning"))),
        Section("telemetry", "What was done to the telemetry", _telemetry(run)),
        Section("definitions", "How the numbers are defined", (Bullets(DEFINITIONS),)),
        parameters_section(run.params),
        Section("lineage", "Lineage", (Bullets(tuple(_lineage(run))),)),
    ]


def parameters_section(params: Mapping[str, Any]) -> Section:
    return Section("parameters", "Parameters", (Fold("All parameters", (Code(_yaml(params), "yaml"),)),))


def _or(tables: Sequence[ReportTable], otherwise: str) -> tuple[Block, ...]:
    """The tables, long ones folded, or words where there is none."""
    folded = (Fold(table.caption, (table,)) if len(table.shown) > MOST_OPEN else table for table in tables)
    return tuple(folded) or (Paragraph(otherwise),)


def _folded(tables: Sequence[ReportTable]) -> list[Block]:
    return [Fold(table.caption, (table,)) for table in tables]


def _pictures(pictures: Sequence[Picture], anchor: str) -> list[Block]:
    """The pictures of a section, in the order of its kinds; scores take those of unknown kind too."""
    known = [kind for kinds in _PLACES.values() for kind in kinds]
    kinds = list(_PLACES[anchor])
    if anchor == "scores":
        kinds += sorted({picture.kind for picture in pictures} - set(known))
    return [picture for kind in kinds for picture in pictures if picture.kind == kind]


def _verdicts(run: RunTables) -> list[Block]:
    sentences, cells = overview_sentences(run.summary), verdict_sentences(run.summary)
    corrected = {f"{scope[0]} ({scope[1]}): ": holm_words(transfer_cells(run, *scope)) for scope in run.scopes}
    sentences = [said + next((more for of, more in corrected.items() if said.startswith(of)), "") for said in sentences]
    blocks: list[Block] = [Bullets(tuple(sentences))]
    if cells:
        blocks.append(Fold("Every cell, one by one", (Bullets(tuple(cells)),)))
    else:
        blocks.append(Paragraph("No cell could be compared: no arm was transferred to target nodes."))
    return blocks


def _coldstart(run: RunTables, pictures: Sequence[Block]) -> list[Section]:
    """Pictures and tables of every dataset that has a cold start; no section where none has."""
    if run.coldstart is None:
        return []
    from ftl.reporting.coldstart_tables import coldstart_blocks  # the study imports torch

    blocks = (block for cold in run.coldstarts for block in coldstart_blocks(cold))
    return [Section("coldstart", "Cold start: how soon a node's alarms are usable", (*pictures, *blocks))]


def _harm(run: RunTables, gains: pd.DataFrame) -> list[Block]:
    if gains.empty:
        return [Paragraph("No node has a defined ΔF1, so that nobody can be said to be harmed or helped.")]
    worst = worst_tables(run, gains)
    found: list[Block] = [*worst] if worst else [Paragraph("No node lost F1 on average over the cohorts.")]
    return [*found, *_folded(distribution_tables(run, gains))]


def _policies(run: RunTables) -> tuple[Block, ...]:
    tables = policy_tables(run)
    return _or(tables, "Fewer than two policies were run, or they share no target: there is nothing to compare.")


def _depth(run: RunTables) -> tuple[Block, ...]:
    return _or(fine_tuning_tables(run), "Of the arms transfer and full_fine_tune, one was not run.")


def _thresholds(run: RunTables) -> tuple[Block, ...]:
    tables = threshold_tables(run)
    detection = run.params.get("detection")
    words = ", ".join(f"{name} {value}" for name, value in detection.items()) if isinstance(detection, Mapping) else ""
    said = f"Settings of `detection`: {words}. " if words else ""
    said += "Thresholds come from rows before the test part; `ftl rethreshold` sets others without training again."
    return (Paragraph(said), *_folded(tables))


def _scores(run: RunTables) -> list[Block]:
    return [] if run.timelines is not None else [absent("scores over time", "timelines.parquet", AGAIN)]


def _similarity(run: RunTables) -> list[Block]:
    missing = {"similarity.csv": run.similarity, "projection.csv": run.projection}
    what = {"similarity.csv": "similarity of the local models", "projection.csv": "where nodes lie by their features"}
    return [absent(what[file], file, AGAIN) for file, table in missing.items() if table is None]


def _rounds(run: RunTables) -> list[Block]:
    if run.rounds is None:
        return [absent("training loss by round", "rounds.csv", AGAIN)]
    return []


def _costs(run: RunTables) -> list[Block]:
    stages = stage_cost_tables(run)
    rest: list[Block] = [*stages] if stages else [absent("time, memory and energy by stage", "costs.csv", AGAIN)]
    if not traffic_is_known(run):
        rest.append(absent("what nodes send and receive", "bytes_sent in results.parquet", AGAIN))
    return [*node_cost_tables(run), *rest, *break_even_tables(run)]


def _tuning(run: RunTables) -> tuple[Block, ...]:
    blocks = [block for study in studies_of(run) for block in study_blocks(run, study)]
    return tuple(blocks) or (absent("a study", "tuning.json", "ftl tune"),)


def _telemetry(run: RunTables) -> tuple[Block, ...]:
    blocks = telemetry_blocks(run)
    return tuple(blocks) or (absent("how each fleet was prepared", "fleets.json", AGAIN),)


def _lineage(run: RunTables) -> list[str]:
    try:
        package = version("ftl")
    except PackageNotFoundError:
        package = "unknown"
    text = json.dumps(run.params, sort_keys=True, default=str)
    lines = [
        f"ftl {package}",
        f"Results: `{results_digest(run.results)[:16]}` (equal for equal results, whatever they took)",
        f"Parameters: `{hashlib.sha256(text.encode()).hexdigest()[:16]}`" if run.params else "Parameters: not recorded",
    ]
    for dataset, card in run.fleets.items():
        lines.append(f"Data of {dataset}: `{card.get('fingerprint', 'unknown')}` ({run.origin(dataset)})")
    return lines


def _yaml(params: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_plain(params), sort_keys=False, allow_unicode=True) if params else "not recorded\n"


def _plain(value: Any) -> Any:
    """Parameters as YAML knows them: tuples and mappings of other types become lists and dicts."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
