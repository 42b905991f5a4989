"""A cold start that stands alone, without a run's results: one page, the same as Markdown, its pictures and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftl.data.prepare_report import describe_report
from ftl.errors import UserError
from ftl.reporting.blocks import Block, Bullets, Fold, Paragraph, Section
from ftl.reporting.coldstart_subject import ColdSubject, cold_subjects
from ftl.reporting.coldstart_tables import coldstart_blocks
from ftl.reporting.coldstart_words import cold_sentences
from ftl.reporting.formats import count
from ftl.reporting.opening import ORIGINS, UNKNOWN
from ftl.reporting.pictures import coldstart
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.report import write_pages
from ftl.reporting.run_tables import UNKNOWN_ORIGIN, racks_in, read_card, read_coldstart
from ftl.reporting.sections import parameters_section

TITLE = "Cold start: how soon a node's alarms are usable"
PAGE, MARKDOWN = "coldstart.html", "coldstart.md"
TABLES = ("coldstart", "coldstart_usable", "coldstart_differences", "coldstart_decisions")


def write_coldstart_report(out: Path, folder: Path | None = None) -> Path:
    """Write coldstart.html, coldstart.md, figures/ and tables/*.csv of a cold start.

    Args:
        out: Where `ftl coldstart` left its tables.
        folder: Where the report goes; without it, the folder report in `out`. What else lies there is left alone.

    Returns:
        The path of the page.

    Raises:
        UserError: If there is no cold start in `out`, or a file of it cannot be read.
        OSError: If a file cannot be written; no half of it is left.
    """
    tables = read_coldstart(out)
    if tables is None:
        raise UserError(f"{out}: no coldstart_summary.csv there; give the folder that `ftl coldstart FLEET` wrote")
    fleets, params = read_card(out / "fleets.json"), read_card(out / "params.json")
    subjects = cold_subjects(tables, fleets, racks_in(fleets), UNKNOWN_ORIGIN)
    pictures = [picture for cold in subjects for picture in coldstart.pictures(cold)]
    sections = [_opening(subjects), *(_section(cold, pictures, len(subjects) > 1) for cold in subjects)]
    sections += [_telemetry(fleets), parameters_section(params)]
    target = out / "report" if folder is None else folder
    return write_pages(target, TITLE, sections, pictures, (PAGE, MARKDOWN), coldstart.KINDS, TABLES)


def _opening(subjects: list[ColdSubject]) -> Section:
    blocks: list[Block] = []
    for cold in subjects:
        blocks.append(Bullets(cold_sentences(cold)))
    return Section("summary", "What happened", (*blocks, Bullets(tuple(map(_data_sentence, subjects)))))


def _data_sentence(cold: ColdSubject) -> str:
    text = f"{cold.dataset}: {ORIGINS.get(cold.origin, UNKNOWN)}. {count(cold.n_nodes, 'node')}"
    rows = cold.tables.rows
    judged = rows.loc[rows["f1"].notna(), "node"].nunique() if len(rows) else cold.n_nodes
    text += f", {judged} of them with test anomalies" if judged < cold.n_nodes else ""
    text += f", {count(cold.n_features, 'feature')}" if cold.n_features else ""
    text += f"; {count(rows['seed'].nunique(), 'seed')}" if len(rows) else ""
    return f"{text}; {cold.protocol} protocol."


def _section(cold: ColdSubject, pictures: list[Picture], named: bool) -> Section:
    mine = [picture for picture in pictures if (picture.dataset, picture.protocol) == (cold.dataset, cold.protocol)]
    title = "Cold start" + (f": {cold.dataset}, {cold.protocol} protocol" if named else "")
    anchor = f"coldstart_{cold.dataset}_{cold.protocol}" if named else "coldstart"
    return Section("".join(c if c.isalnum() else "_" for c in anchor), title, (*mine, *coldstart_blocks(cold)))


def _telemetry(fleets: Mapping[str, Mapping[str, Any]]) -> Section:
    blocks: list[Block] = []
    for dataset, card in fleets.items():
        if card.get("report"):
            blocks.append(Fold(dataset, (Bullets(tuple(describe_report(dict(card["report"])))),)))
    if not blocks:
        blocks.append(
            Paragraph("How the fleet was prepared is not known: `fleets.json` is missing or does not say it.")
        )
    return Section("telemetry", "What was done to the telemetry", tuple(blocks))
