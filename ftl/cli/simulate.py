"""``ftl data simulate``: a simulated fleet as node tables, to try everything on."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftl.errors import ConfigError, UserError, is_disk_full

if TYPE_CHECKING:
    import pyarrow as pa

    from ftl.data.node_table import NodeTable
    from ftl.data.simulation import SimulatedSource

SPLIT_WORDS = ("train", "test")


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the tables, one parquet file per node, and fleet.yaml.")],
    nodes: Annotated[int, typer.Option(min=1, help="How many nodes.")] = 8,
    windows: Annotated[
        int, typer.Option(min=96, help="Length of the period in windows of 15 minutes; 96 are a day.")
    ] = 1500,
    kind: Annotated[str, typer.Option(help="Which features: d1 (462) or d2 (573).")] = "d1",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other nodes, jobs and faults.")] = 2,
    nodes_per_rack: Annotated[int, typer.Option(min=1, max=20, help="How many nodes share a rack.")] = 4,
    train_windows: Annotated[
        int | None, typer.Option(help="Write a column `split`: so many windows train, the others test.")
    ] = None,
) -> None:
    """Write a simulated fleet as node tables: nothing in it was measured on a machine.

    Equal settings write equal tables. The same command again finds them and writes nothing.

    Example: ftl data simulate telemetry/demo --nodes 8 --windows 1500
    """
    from ftl.data.simulation import SimulatedSource
    from ftl.experiment.progress import node_progress

    name = out.resolve().name
    try:
        source = SimulatedSource(kind, nodes, windows, seed, name, nodes_per_rack, train_windows)
    except ConfigError as error:  # it speaks of params.yaml
        message = str(error).removeprefix(f"datasets.{name}.").replace("n_train_windows", "train-windows")
        raise ConfigError(f"--{message}") from error
    description = describe(source)
    if not is_written(out, description):
        with node_progress() as progress:
            write_fleet(source, description, out, progress)
    typer.echo(f"{out}: {nodes} simulated nodes, {windows:,} windows of 15 minutes. Next: ftl data check {out}")


def describe(source: "SimulatedSource") -> str:
    """The text of fleet.yaml; its first line tells simulated fleets apart."""
    import yaml

    content = {
        "name": source.name,
        "origin": source.origin,
        "time": "timestamp",
        "window_minutes": int(source.window_seconds() // 60),
        "racks": {node: source.rack_of(node) for node in source.node_ids()},
    }
    made = f"# written by ftl data simulate; settings and simulator: {source.fingerprint()}\n"
    return made + yaml.safe_dump(content, sort_keys=False)


def is_written(folder: Path, description: str) -> bool:
    """Does the folder hold this fleet?

    Raises:
        UserError: If it holds anything else, which is not overwritten.
    """
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return False
        same = (folder / "fleet.yaml").read_text(encoding="utf-8") == description
    except (OSError, UnicodeDecodeError):
        same = False
    if not same:
        raise UserError(f"{folder}: exists and holds something else; name another folder or move it away")
    return True


def write_fleet(source: "SimulatedSource", description: str, folder: Path, progress: Any) -> None:
    """Write one table per node and fleet.yaml; the folder appears whole.

    Args:
        progress: Called with the number of finished nodes, that of all, and what is done.
    """
    import pyarrow.parquet as pq

    half = folder.with_name(f".{folder.resolve().name}.half")
    node_ids = source.node_ids()
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        for done, node_id in enumerate(node_ids, start=1):
            pq.write_table(as_table(source.read_node(node_id)), half / f"{node_id}.parquet")
            progress(done, len(node_ids), "nodes written")
        (half / "fleet.yaml").write_text(description, encoding="utf-8")
        os.replace(half, folder)  # an empty folder is replaced
    except OSError as error:
        advice = "free some space" if is_disk_full(error) else "name another folder"
        raise UserError(f"{folder}: cannot be written ({error.strerror or error}); {advice}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def as_table(node: "NodeTable") -> "pa.Table":
    """A node's rows as a table on disk: time, features, label (null where unknown), and split where there is one."""
    import pyarrow as pa

    columns: dict[str, Any] = {"timestamp": pa.array(node.time, pa.timestamp("s", tz="UTC"))}
    columns.update({name: node.values[:, column] for column, name in enumerate(node.features)})
    columns["label"] = pa.array(node.label, pa.int8(), mask=node.label < 0)
    if node.split is not None:
        columns["split"] = pa.array([SPLIT_WORDS[part] for part in node.split])
    return pa.table(columns)
