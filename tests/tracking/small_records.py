"""What the small results of these tests were made from, and records with something of everything."""

from pathlib import Path
from typing import Any

from ftl.tracking.lineage import Lineage
from ftl.tracking.record import DatasetInput, Point, RunRecord

NODES = [f"n{k}" for k in range(6)]
PARAMS: dict[str, Any] = {
    "federate": {"n_rounds": 7},
    "select": {"n_participants": [2, 12]},
    "datasets": {"d1": {"source": "simulated"}, "d2": {"source": "node_tables"}},
}
LINEAGE = Lineage(
    "c0ffee", False, "abc", {"d1": "f" * 64, "d2": "e" * 64}, {"d1": "simulated", "d2": "real"}, "0.1", {"d1": "a1.dir"}
)


def uri(database: Path) -> str:
    return f"sqlite:///{database}"


def a_record(number: int = 0, lineage: str = "l1", **others: Any) -> RunRecord:
    """A run with something of everything."""
    tags = {"lineage": lineage, "level": "cell", "cell": f"c{number}", "dataset": "d1"}
    points = (Point("f1", 0.5 + number), Point("loss", 3.0, 1), Point("loss", 2.0, 2), Point("loss", 2.0, 2))
    inputs = (DatasetInput("d1", "f" * 64, '{"origin": "real"}', tags={"dvc_md5": "a1"}),)
    fields: dict[str, Any] = {
        "experiment": "ftl", "name": f"run {number}", "tags": tags, "params": {"a.b": "1", "long": "x" * 9000},
        "points": points, "inputs": inputs, "artifacts": {"table.csv": "a,b\n", "figures/x.txt": "ü"},
        "start": 1_700_000_000_000 - number, "end": 1_700_000_000_500,
    }  # fmt: skip
    return RunRecord(**(fields | others))
