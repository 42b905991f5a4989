"""``ftl score``: a raw node table through a detector."""

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftl.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from ftl.detection.detector import Detector
    from ftl.detection.scored_rows import ScoredRows

OUT_SUFFIXES = (".csv", ".parquet")
REGISTERED = "models:/"


def score(
    model: Annotated[
        str, typer.Argument(help="Model folder, or models:/NAME@ALIAS or models:/NAME/VERSION of the MLflow registry.")
    ],
    table: Annotated[
        Path, typer.Argument(help="Parquet, csv or csv.gz file of raw rows, as the tables that the fleet was made of.")
    ],
    node: Annotated[
        str | None,
        typer.Option(help="Whose rows they are. Without it: the column `node` of the table, else the file's name."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scores to this .csv or .parquet file.")] = None,
    explain_all: Annotated[
        bool, typer.Option("--explain-all", help="Name the top sensors of every row, not only of alarms.")
    ] = False,
    time: Annotated[
        str | None, typer.Option(help="The time column, where it has another name than in the fleet's tables.")
    ] = None,
    newcomer: Annotated[
        bool,
        typer.Option("--newcomer", help="The node has just joined: score it without a model of its own."),
    ] = False,
    uri: Annotated[
        str | None, typer.Option(help="The MLflow store of models:/ names (else MLFLOW_TRACKING_URI, ./mlflow.db).")
    ] = None,
) -> None:
    """Score raw telemetry: per row a score, the node's threshold, whether it is flagged, and the sensors behind it.

    Example: ftl score artifacts/detectors/d1/unsupervised telemetry/node-7.parquet --out scores.csv
    """
    if out is not None and not out.name.endswith(OUT_SUFFIXES):
        raise UserError(f"--out {out}: the name must end in {' or '.join(OUT_SUFFIXES)}")
    detector = _open(model, uri)
    scored = _score(detector, table, node, newcomer, {"explain_all": explain_all, "time_column": time})
    for name, rows in scored:
        typer.echo(_line(name, rows))
        for note in rows.notes:
            typer.echo(f"{name}: {note}")
    treatments: Counter[str] = Counter()
    for _, rows in scored:
        treatments.update(rows.treatments)
    for treatment, count in treatments.items():
        typer.echo(f"On reading: {treatment}: {count:,}.")
    if out is not None:
        import pandas as pd

        _write(pd.concat([rows.frame for _, rows in scored], ignore_index=True), out)
        typer.echo(f"Scores: {out}")


def _open(model: str, uri: str | None) -> "Detector":
    from ftl.detection.detector import Detector

    if not model.startswith(REGISTERED):
        return Detector.load(Path(model))
    from ftl.tracking import tracking_uri
    from ftl.tracking.registry import download_detector

    with tempfile.TemporaryDirectory(prefix="ftl-model-") as scratch:
        return Detector.load(download_detector(model, uri or tracking_uri(Path.cwd()), Path(scratch)))


def _score(
    detector: "Detector", path: Path, node: str | None, newcomer: bool, settings: dict[str, Any]
) -> list[tuple[str, "ScoredRows"]]:
    from ftl.data.table_files import TABLE_SUFFIXES, open_table, suffix_of
    from ftl.detection.detector import NODE_COLUMN

    suffix = suffix_of(path)
    if suffix is None:
        raise UserError(f"{path}: is no table that can be read; known: {', '.join(TABLE_SUFFIXES)}")
    table = open_table(path, path.name)
    stem = path.name[: -len(suffix)]
    if node is None and NODE_COLUMN not in table.schema.names and (newcomer or stem in detector.card.node_ids):
        node = stem
    try:
        if node is not None:
            return [(node, detector.score_node(table, node, newcomer=newcomer, **settings))]
        frame = table.read(table.schema.names).to_pandas()
        return list(detector.score_nodes(frame, newcomer=newcomer, **settings))
    except UserError as error:
        raise type(error)(f"{path.name}: {error}") from error


def _line(node: str, rows: "ScoredRows") -> str:
    """What became of a node's rows."""
    frame = rows.frame
    if not len(frame):
        return f"{node}: no rows"
    flagged = frame[frame["label"].eq(1).fillna(False)]
    unscored = int(frame["score"].isna().sum())
    text = f"{node}: {len(frame):,} rows, {len(flagged):,} flagged ({len(flagged) / len(frame):.1%})"
    if unscored:
        text += f", {unscored:,} without a score (a value is missing)"
    first = Counter(sensors[0]["sensor"] for sensors in flagged["top_sensors"] if sensors)
    if first:
        named = ", ".join(f"{sensor} ({count:,})" for sensor, count in first.most_common(3))
        text += f"; first {flagged['time'].iloc[0]}, last {flagged['time'].iloc[-1]}; most often behind it: {named}"
    return text


def _write(frame: "pd.DataFrame", path: Path) -> None:
    """Write the scores; the file appears whole. In csv, top_sensors is JSON text."""
    import json

    half = path.with_name(path.name + ".half")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            frame.to_parquet(half, index=False)
        else:
            frame.assign(top_sensors=frame["top_sensors"].map(json.dumps)).to_csv(half, index=False)
        os.replace(half, path)
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror}") from error
    finally:
        half.unlink(missing_ok=True)
