"""What check says that prepare would do is what prepare does."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from ftl.data.inspection import Description, inspect_fleet
from ftl.data.prepare import prepare_fleet
from ftl.data.prepare_settings import PrepareSettings
from ftl.errors import TelemetryError

QUARTER, START = 900, 1_609_459_200
ROWS = np.arange(800)
GONE = np.where(ROWS < 500, 1.0 + ROWS % 3, np.nan)  # a day of it is filled, no test row has it


def findings(source) -> list[tuple[str, str, str, str]]:
    return [(f.level, f.what, f.where, f.advice) for f in Description(inspect_fleet(source)).findings]


def about_prepare(source) -> tuple[str, str, str, str]:
    return next(finding for finding in findings(source) if "prepar" in finding[1])


@pytest.fixture
def odd(node, fleet):
    """Makes a fleet of four nodes of 800 rows, and some more."""
    return lambda *more, **settings: fleet(*(node(f"n{k}", n=800) for k in range(4)), *more, **settings)


def test_a_column_that_ends_before_the_test_part_on_all_nodes_makes_the_fleet_unusable(node, fleet) -> None:
    source = fleet(*(node(f"n{k}", n=800, b=GONE) for k in range(3)))
    level, _, where, advice = about_prepare(source)
    assert level == "error"
    assert "no test rows" in where
    assert "'b' is missing in 6.9 % of node n0's training rows and 100 % of its test rows" in advice
    assert Description(inspect_fleet(source)).verdict == "unusable"


def test_the_remedies_that_are_named_make_the_fleet_usable(node, fleet, tmp_path: Path) -> None:
    source = fleet(*(node(f"n{k}", n=800, b=GONE) for k in range(3)))
    advice = about_prepare(source)[3]
    for settings, words in ({"max_missing": 0.06}, "prepare.max_missing=0.06"), ({"missing": "zero"}, "missing=zero"):
        assert f"{words} keeps 3 nodes" in advice
        assert len(prepare_fleet(source, PrepareSettings(**settings), "rigorous", tmp_path / words).node_ids) == 3


def test_a_node_whose_column_ends_is_a_warning_that_names_node_and_column(node, odd) -> None:
    level, what, where, advice = about_prepare(odd(node("bad", n=800, b=GONE)))
    assert (level, what) == ("warning", "1 of 5 nodes would be left out by prepare")
    assert where.startswith("node bad: no test rows")
    assert "'b' is missing in" in advice


def test_nodes_that_end_before_the_common_cut_are_counted_with_both_dates(node, odd) -> None:
    level, what, where, _ = about_prepare(odd(*(node(f"early{k}", n=400) for k in range(2))))
    assert (level, what) == ("warning", "2 of 6 nodes would be left out by prepare")
    assert where.startswith("node early0: no test rows; it ends 2021-01-05 03:45, the fleet's test part begins after ")


def test_one_node_that_would_be_left_is_an_error(node, fleet) -> None:
    source = fleet(node("n1", n=800), node("early", n=400))
    assert about_prepare(source)[:2] == (
        "error", "preparing would leave 1 node; a federation needs 2, one that trains and one that receives",
    )  # fmt: skip


@pytest.mark.parametrize("spoil", [{"b": GONE}, {"n": 400}, {"label": ROWS >= 0}, {"n": 22}, {"n": 0}, {"a": np.nan}])
def test_prepare_leaves_out_the_same_nodes_for_the_same_reasons(node, odd, tmp_path: Path, spoil: dict) -> None:
    source = odd(node("bad", **{"n": 800, **spoil}))
    outlook = inspect_fleet(source).outlook
    prepared = prepare_fleet(source, PrepareSettings(), "rigorous", tmp_path / "fleet")
    assert dict(outlook.excluded) == prepared.report["excluded"]
    assert outlook.n_kept == len(prepared.node_ids)
    assert {*outlook.dropped} == {*prepared.report["dropped_features"]}


def test_prepare_stops_with_the_same_words(node, fleet, tmp_path: Path) -> None:
    source = fleet(*(node(f"n{k}", n=800, b=GONE) for k in range(3)))
    with pytest.raises(TelemetryError) as stopped:
        prepare_fleet(source, PrepareSettings(), "rigorous", tmp_path / "fleet")
    assert inspect_fleet(source).outlook.refused == str(stopped.value)


def test_columns_are_called_given_up_only_where_prepare_gives_them_up(node, fleet) -> None:
    holes = np.where(ROWS % 2, np.nan, 1.0 + ROWS % 3)  # half of all rows, all of them filled
    start = np.where(ROWS < 300, np.nan, 1.0 + ROWS % 3)  # nothing before it to fill with
    source = fleet(*(node(f"n{k}", n=800, holes=holes, start=start) for k in range(3)))
    said = next(finding for finding in findings(source) if "missing in more than" in finding[1])
    assert said[1] == "2 columns missing in more than 20 % of rows"
    assert said[3].startswith("1 of them given up by default, first 'start': missing in 46.9% of the training rows")


def test_nothing_is_left_behind_and_a_prepared_fleet_is_not_planned_again(odd) -> None:
    before = {*Path(tempfile.gettempdir()).glob("ftl-check-*")}
    assert inspect_fleet(odd()).outlook.n_kept == 4
    assert inspect_fleet(odd(), is_prepared=True).outlook is None
    assert {*Path(tempfile.gettempdir()).glob("ftl-check-*")} <= before
