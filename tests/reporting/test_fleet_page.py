import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ftl.data.inspection import Description, inspect_fleet
from ftl.data.node_table import NodeTable
from ftl.data.simulation.source import SimulatedSource
from ftl.errors import TelemetryError
from ftl.reporting import fleet_tables
from ftl.reporting.fleet_figures import (
    MOST_ROWS,
    coverage_map,
    drift_bars,
    expected_rows,
    label_map,
    node_scatter,
    png,
    rows_of_map,
)
from ftl.reporting.fleet_page import page, write_description
from ftl.reporting.text_table import for_terminal

START = 1_609_459_200


class Nodes:
    """Nodes of `n` quarters of an hour each; a text in place of a length is why the node cannot be read."""

    origin, notes, name = "real", (), "fleet"

    def __init__(
        self, sizes: dict[str, int | str], columns=("a", "b"), time_unit="seconds", racks=None, label=None, holes=None
    ):
        self.sizes, self.columns, self.time_unit = sizes, columns, time_unit
        self.racks, self.label, self.holes, self.units = racks or {}, label, holes, {}

    def node_ids(self) -> list[str]:
        return list(self.sizes)

    def rack_of(self, node_id: str) -> str | None:
        return self.racks.get(node_id)

    def window_seconds(self) -> float | None:
        return 900.0 if self.time_unit == "seconds" else None

    def read_node(self, node_id: str) -> NodeTable:
        n = self.sizes[node_id]
        if isinstance(n, str):
            raise TelemetryError(n)
        values = np.random.default_rng(sum(map(ord, node_id))).normal(size=(n, len(self.columns)))
        if self.holes is not None:
            values[self.holes] = np.nan
        label = np.arange(n) % 20 == 7 if self.label is None else np.full(n, self.label)
        time = START + 900 * np.arange(n) if self.time_unit == "seconds" else np.arange(n)
        return NodeTable(node_id, time, values.astype(np.float32), self.columns, label.astype(np.int8), None, {})


def describe(source) -> Description:
    return Description(inspect_fleet(source))


class Strict(HTMLParser):
    """Collects text and sources; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def simulated() -> Description:
    return describe(SimulatedSource(kind="d1", n_nodes=4, n_windows=480, seed=1))


def test_the_page_stands_alone_with_its_four_pictures(simulated: Description) -> None:
    html = Strict(page(simulated))
    pictures = [link for link in html.links if not link.startswith("#")]
    assert len(pictures) == 4
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in pictures)
    assert "script" not in html.tags
    assert not re.search(r"https?://", "".join(html.text))
    anchors = {link[1:] for link in html.links if link.startswith("#")}
    assert anchors <= set(re.findall(r'id="(\w+)"', page(simulated)))


def test_files_are_complete_and_an_older_description_is_replaced(simulated: Description, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    for _ in range(2):
        written = write_description(simulated, folder)
    assert written == folder / "description.html"
    names = ["description.html", "description.json", "features.csv", "nodes.csv"]
    assert sorted(path.name for path in folder.iterdir()) == names
    content = json.loads((folder / "description.json").read_text(encoding="utf-8"))
    assert content["totals"]["rows"] == simulated.inspection.n_rows
    with (folder / "nodes.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["node"] for row in csv.DictReader(stream)] == [node.node_id for node in simulated.inspection.nodes]
    with (folder / "features.csv").open(newline="", encoding="utf-8") as stream:
        assert len([*csv.DictReader(stream)]) == len(simulated.inspection.features)


def test_two_descriptions_of_one_fleet_are_equal_bytes(tmp_path: Path) -> None:
    source = Nodes({f"n{k}": 100 for k in range(3)})
    for name in ("one", "two"):
        write_description(describe(source), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_names_are_escaped_and_kept_as_they_are() -> None:
    evil, column = "<script>alert('&')</script>", 'a"><img src=x> $x_1$ 温度'
    source = Nodes({evil: 100, "nœud-2": 100, "n3": "<b>broken</b>"}, (column, "b"), racks={evil: "<i>r1</i>"})
    source.name = "fleet <b>é</b>"
    html = Strict(page(describe(source)))
    text = "".join(html.text)
    assert not {"script", "i"} & set(html.tags)
    assert html.tags.count("img") <= 4
    for name in (evil, column, "nœud-2", "<b>broken</b>", "fleet <b>é</b>", "<i>r1</i>"):
        assert name in text


@pytest.mark.parametrize(
    "source",
    [
        Nodes({}),
        Nodes({"n1": "broken"}),
        Nodes({"n1": 0}),
        Nodes({"n1": 1}),
        Nodes({"n1": 300}),
        Nodes({"n1": 300, "n2": 0, "n3": 1, "n4": "broken"}),
        Nodes({"n1": 300, "n2": 300, "n3": 300}, label=-1),
        Nodes({"n1": 300, "n2": 300, "n3": 300}, label=1),
        Nodes({"n1": 300, "n2": 300, "n3": 300}, label=0),
        Nodes({"n1": 300, "n2": 300, "n3": 300}, time_unit="steps"),
        Nodes({"n1": 300, "n2": 300, "n3": 300}, columns=()),
        Nodes({"n1": 300, "n2": 300, "n3": 300}, columns=("only",)),
    ],
    ids=[
        "none",
        "unreadable",
        "empty",
        "one row",
        "one node",
        "mixed",
        "unlabelled",
        "all anomalous",
        "all normal",
        "steps",
        "no columns",
        "one column",
    ],
)
def test_any_fleet_has_a_page_and_terminal_tables(source: Nodes) -> None:
    description = describe(source)
    Strict(page(description))
    for make in fleet_tables.TABLES:
        table = make(description)
        assert all(len(row) == len(table.headings) for row in table.rows)
        for_terminal(table)


def test_many_nodes_share_rows_by_rack_or_in_groups() -> None:
    sizes = {f"n{k}": 30 for k in range(200)}
    racked = inspect_fleet(Nodes(sizes, racks={name: f"r{int(name[1:]) % 7}" for name in sizes}))
    rows = rows_of_map(racked)
    assert (rows.kind, rows.names) == ("rack", tuple(f"r{k}" for k in range(7)))
    assert rows.members[3].tolist() == [*range(3, 200, 7)]
    grouped = rows_of_map(inspect_fleet(Nodes(sizes)))
    assert (grouped.kind, len(grouped.names)) == ("group of nodes", MOST_ROWS)
    assert np.concatenate(grouped.members).tolist() == [*range(200)]
    few = rows_of_map(inspect_fleet(Nodes({"a": 30, "b": 30, "c": 30}, racks={"a": "r1", "b": "r2", "c": "r1"})))
    assert few.names == ("a", "c", "b")  # racks together


def test_the_page_of_many_nodes_stays_short() -> None:
    html = page(describe(Nodes({f"n{k}": 30 for k in range(300)})))
    assert "and 285 more in nodes.csv" in html
    assert len(re.sub(r"base64,[^\"]+", "", html)) < 60_000


def test_coverage_compares_rows_with_those_expected_over_the_whole_period() -> None:
    inspection = inspect_fleet(Nodes({"whole": 400, "half": 200}))
    expected = expected_rows(inspection)
    assert expected.sum(axis=1) == pytest.approx([400, 400])
    np.testing.assert_allclose(inspection.grid.counts[0, 0], expected[0])
    light = luminance(coverage_map(inspection))
    assert light[0].max() == light[1, :200].max() < 0.7
    assert light[1, 200:].min() == pytest.approx(1)


def test_rows_with_missing_values_are_darker_than_complete_ones() -> None:
    inspection = inspect_fleet(Nodes({"n": 400}, holes=slice(100, 150)))
    light = luminance(coverage_map(inspection))[0]
    assert light[100:150].max() < light[:100].min() - 0.2


def luminance(figure) -> np.ndarray:
    """How light every cell of a map is, shape (rows, bins)."""
    return np.asarray(figure.axes[0].images[0].get_array()) @ [0.2126, 0.7152, 0.0722]


def test_label_cells_differ_in_darkness() -> None:
    def darkness(label: int | None) -> float:
        return float(1 - luminance(label_map(inspect_fleet(Nodes({"n": 100}, label=label)))).mean())

    normal, unknown, anomalous = darkness(0), darkness(-1), darkness(1)
    assert normal + 0.1 < unknown < anomalous - 0.3
    assert normal < darkness(None) < anomalous  # every 20th row anomalous


def test_nodes_are_drawn_from_three_on_and_drift_where_it_is_known() -> None:
    two, three = (describe(Nodes({f"n{k}": n for k in range(k)})) for k, n in ((2, 60), (3, 300)))
    assert node_scatter(two) is None
    assert drift_bars(two) is None  # 12 later rows
    assert len(node_scatter(three).axes[0].collections[0].get_offsets()) == 3
    assert len(drift_bars(three).axes[0].patches) == 2
    assert png(node_scatter(three)).startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("drift", "shift", "words"),
    [
        (0.05, 0.5, "stable"),
        (0.2, -0.5, "moved: 0.5 standard deviations lower later"),
        (0.9, 1.25, "moved a lot: 1.2 standard deviations higher later"),
        (0.9, 0.01, "moved a lot: same mean, another shape"),
        (0.9, float("nan"), "moved a lot: constant before, not after"),
    ],
)
def test_drift_is_put_into_words(drift: float, shift: float, words: str) -> None:
    assert fleet_tables.drift_in_words(drift, shift) == words


def test_a_prepared_fleet_says_what_other_policies_would_have_cost(simulated: Description) -> None:
    cost = {"rows": 100, "anomalous_rows": 10, "rows_removed": 5, "anomalous_rows_removed": 10, "cells_filled": 0}
    costs = {
        "alignment": {
            "intersection": {"features": 3, "lost_columns": 2, "imputed": {}},
            "union": {"features": 5, "lost_columns": 0, "imputed": {"n1": 2, "n2": 1}},
            "slots": {"refused": "no column"},
        },
        "missing": {"drop_rows": cost | {"columns_removed": 0}, "zero": {**cost, "rows_removed": 0}},
    }
    prepared = Description(simulated.inspection, {"costs": costs})
    assert fleet_tables.alignment_costs(prepared).rows == (
        ("intersection", "3", "2", "-"),
        ("union", "5", "0", "3 columns on 2 nodes"),
        ("slots", "none", "-", "no column"),
    )
    table = fleet_tables.missing_costs(prepared)
    assert table.headings == (
        "prepare.missing", "Rows removed", "Anomalous rows removed", "Columns removed", "Cells filled",
    )  # fmt: skip
    assert table.rows[0] == ("drop_rows", "5 (5.0 %)", "10 (100 %)", "0", "0")


def test_columns_that_only_grow_are_not_shown_as_drift() -> None:
    class Counting(Nodes):
        def read_node(self, node_id: str) -> NodeTable:
            table = super().read_node(node_id)
            table.values[:, 0] = np.cumsum(table.values[:, 0] > 0)
            return table

    description = describe(Counting({f"n{k}": 300 for k in range(3)}))
    assert [row[0] for row in fleet_tables.drifting_columns(description).rows] == ["b"]
    assert [label.get_text() for label in drift_bars(description).axes[0].get_yticklabels()] == ["b"]
