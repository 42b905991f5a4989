"""One fleet per rule: it is said where it holds, with level and place, and not said of a fleet without fault."""

import json

import numpy as np
import pytest

from ftl.data.inspection import Description, inspect_fleet
from ftl.data.inspection.findings import RULES

DAY = 86_400
ROWS = np.arange(200)


def describe(source) -> Description:
    return Description(inspect_fleet(source))


def said(source, words: str):
    """The one finding that holds these words."""
    findings = [finding for finding in describe(source).findings if words in finding.what]
    assert len(findings) == 1, [finding.what for finding in describe(source).findings]
    return findings[0]


@pytest.fixture
def good(node, fleet):
    """Makes a fleet of six nodes without fault, and some more nodes."""
    return lambda *more, **settings: fleet(*(node(f"good{k}") for k in range(6)), *more, **settings)


def test_a_fleet_without_fault_gives_no_finding(good) -> None:
    description = describe(good())
    assert description.findings == []
    assert description.verdict == "usable"


def test_unreadable_nodes_are_an_error(node, memory) -> None:
    source = memory({"n1": node("n1"), "n2": "n2.csv: cannot be read", "n3": node("n3"), "n4": "n4.csv: nor this"})
    finding = said(source, "2 nodes cannot be read")
    assert (finding.level, finding.count) == ("error", 2)
    assert finding.where == "n2.csv: cannot be read"
    assert describe(source).verdict == "unusable"


@pytest.mark.parametrize("n_nodes", [0, 1])
def test_a_federation_of_less_than_two_nodes_is_an_error(node, fleet, n_nodes: int) -> None:
    assert said(fleet(*[node()] * n_nodes), "at least 20 rows with values; a federation needs 2").level == "error"


def test_short_and_empty_nodes_are_a_warning(node, good) -> None:
    finding = said(good(node("short", n=19), node("empty", n=0)), "2 nodes with fewer than 20 rows, 1 of them empty")
    assert (finding.level, finding.where) == ("warning", "node short: 19 rows")


def test_a_node_without_a_value_costs_the_others_no_column(node, good) -> None:
    source = good(node("silent", a=np.nan, b=np.nan))
    assert said(source, "1 node without a single value").where == "node silent"
    assert describe(source).common == ["a", "b"]


def test_columns_that_one_node_lacks_are_named_with_that_node(node, good) -> None:
    finding = said(good(node("odd", b=None)), "1 column of 2 absent or empty on some nodes; 1 common to all")
    assert finding.level == "warning"
    assert finding.where == "'b' on node odd; without node odd there would be 1 more"


def test_no_common_column_is_an_error(node, fleet) -> None:
    assert (
        said(fleet(node("n1", b=None), node("n2", a=None)), "none of the 2 columns has values on all").level == "error"
    )


def test_a_split_in_some_nodes_only_is_an_error(node, good) -> None:
    finding = said(good(node("split", split=np.zeros(200, np.int8))), "1 of 7 nodes have a split column")
    assert (finding.level, finding.where) == ("error", "not node good0")


@pytest.mark.parametrize(
    ("label", "what", "level"),
    [
        (np.full(200, -1), "no row has a known label", "warning"),
        (np.zeros(200), "no row is labelled anomalous", "warning"),
        (np.where(ROWS < 50, -1, ROWS % 20 == 0), "without a known label", "warning"),
        (np.where(ROWS < 10, -1, ROWS % 20 == 0), "without a known label", "note"),
        (ROWS % 5 > 0, "80 % of the labelled rows are anomalous", "warning"),
        (ROWS > 190, "all anomalies lie in the test part", "note"),
        (ROWS == 5, "3 nodes of 3 without an anomaly in the test part, 0 without any", "warning"),
    ],
)
def test_what_labels_lack_is_said(node, fleet, label: np.ndarray, what: str, level: str) -> None:
    source = fleet(*(node(f"n{k}", label=label) for k in range(3)))
    assert said(source, what).level == level
    assert describe(source).verdict != "unusable"


def test_a_column_made_of_the_label_is_a_warning(node, fleet) -> None:
    finding = said(fleet(*(node(f"n{k}", b=2.0 * (ROWS % 20 == 19)) for k in range(3))), "follows the label")
    assert (finding.level, finding.where) == ("warning", "'b': correlation +1.000 (median node)")


def test_incomplete_rows_say_how_many_anomalies_are_among_them(node, fleet) -> None:
    gone = np.where(ROWS % 40 == 19, np.nan, 1.0 + ROWS % 3)  # 5 of a node's 10 anomalies
    finding = said(fleet(*(node(f"n{k}", b=gone) for k in range(3))), "lack a value")
    assert finding.what == "15 rows (2.5 %) lack a value, 15 of the 30 anomalous rows among them"
    assert finding.level == "note"
    assert "missing values are filled and no row is removed" in finding.advice


def test_incomplete_rows_that_prepare_would_remove_are_a_warning(node, fleet) -> None:
    late = np.where(ROWS < 25, np.nan, 1.0 + ROWS % 3)  # nothing before them to fill with
    finding = said(fleet(*(node(f"n{k}", b=late, label=ROWS % 8 == 0) for k in range(3))), "lack a value")
    assert finding.level == "warning"
    assert "75 rows are removed, 12 of them anomalous" in finding.advice


def test_sparse_columns_are_a_warning_and_the_verdict_is_left_to_prepare(node, fleet) -> None:
    holes = np.where(ROWS % 2, np.nan, 1.0 + ROWS % 3)
    some = said(fleet(*(node(f"n{k}", b=holes) for k in range(3))), "column missing in more than 20 % of rows")
    assert (some.level, some.where) == ("warning", "'b': 50 % missing")
    late = np.where(ROWS < 100, np.nan, 1.0 + ROWS % 3)
    source = fleet(*(node(f"n{k}", a=late, b=late + np.where(ROWS == 150, np.nan, 0)) for k in range(3)))
    assert said(source, "all 2 columns missing in more than").level == "warning"
    assert describe(source).verdict == "usable with warnings"  # rows without any value are no column's fault


def test_a_window_other_than_declared_is_a_warning(node, good) -> None:
    finding = said(good(node("fast", time=1_609_459_200 + 300 * ROWS)), "declared as 15 min, but 1 node has another")
    assert (finding.level, finding.where) == ("warning", "node fast: rows are usually 5 min apart")
    undeclared = said(good(node("fast", time=1_609_459_200 + 300 * ROWS), declared=None), "are not 15 min apart")
    assert undeclared.where == "node fast: 5 min"


def test_steps_of_unknown_length_are_a_note(node, fleet) -> None:
    source = fleet(*(node(f"n{k}", time=ROWS) for k in range(3)), time_unit="steps", declared=None)
    assert said(source, "steps of unknown length").level == "note"


@pytest.mark.parametrize(("lost", "level"), [(5, "note"), (190, "warning")])
def test_gaps_are_counted(node, fleet, lost: int, level: str) -> None:
    time = 1_609_459_200 + 900 * (ROWS + np.where(ROWS > 100, lost, 0))
    finding = said(fleet(node("n1", time=time), node("n2")), f"1 gap on 1 node; {lost} windows lost")
    assert finding.level == level
    assert finding.where.startswith("longest: node n1, ")


def test_irregular_and_impossible_times_are_warnings(node, good) -> None:
    jitter = 1_609_459_200 + 900 * ROWS + np.where(ROWS % 2, 300, 0)
    assert said(good(node("jitter", time=jitter)), "irregular times on 1 node").level == "warning"
    assert said(good(node("old", time=900 * ROWS)), "200 rows before 2000").level == "warning"


def test_a_clock_that_jumped_is_said_first_and_its_rows_make_no_gaps(node, good) -> None:
    time = 1_609_459_200 + 900 * ROWS
    time[0], time[-1] = 0, 4_070_908_800  # 1970 and 2099
    source = good(node("jump", time=time))
    first, *others = describe(source).findings
    assert first.what == "2 rows before 2000, after 2100 or over 10 years from the other rows of their node"
    assert first.where == "node jump: 2 rows"
    assert not [finding for finding in others if "gap" in finding.what]
    assert describe(source).totals["last"] == 1_609_459_200 + 900 * 199


def test_a_month_that_no_node_has_is_named_with_its_dates(node, fleet) -> None:
    time = 1_614_556_800 + DAY * np.concatenate([np.arange(31), 61 + np.arange(31)])  # March and May 2021
    source = fleet(*(node(f"n{k}", n=62, time=time, label=np.arange(62) % 7 == 0) for k in range(3)), declared=None)
    finding = said(source, "no node has a row for 31 days")
    assert finding.what.endswith("(34 % of the whole period): the whole of 2021-04")
    assert finding.where == "between 2021-03-31 00:00 and 2021-05-01 00:00 UTC"
    assert finding.level == "warning"


def test_a_gap_that_one_node_fills_is_not_one_of_the_whole_fleet(node, fleet) -> None:
    time = 1_609_459_200 + 900 * (ROWS + np.where(ROWS > 100, 190, 0))
    whole = node("whole", n=390, label=np.arange(390) % 20 == 19)
    found = describe(fleet(node("n1", time=time), node("n2", time=time), whole)).findings
    assert [finding for finding in found if "gaps on 2 nodes" in finding.what]
    assert not [finding for finding in found if "no node has a row" in finding.what]


def test_columns_that_only_grow_are_a_note_and_not_drift(node, fleet) -> None:
    grown = np.cumsum(ROWS % 3)
    source = fleet(*(node(f"n{k}", b=grown) for k in range(3)))
    finding = said(source, "1 column only ever grows")
    assert (finding.level, finding.where) == ("note", "'b'")
    assert "increase per window" in finding.advice
    assert not [each for each in describe(source).findings if "drift between" in each.what]
    with_gaps = np.where(ROWS % 5 == 2, np.nan, grown)
    assert said(fleet(*(node(f"n{k}", b=with_gaps) for k in range(3))), "only ever grows").count == 1


def test_a_fleet_too_small_for_its_cohorts_is_told_the_numbers_that_fit(good) -> None:
    inspection = inspect_fleet(good())
    found = Description(inspection, n_participants=(3, 5, 10)).findings
    assert [finding.what for finding in found] == [
        "6 nodes are too few for the default cohorts of 3, 5, 10 participants, which need at least 11 nodes"
    ]
    assert "-S select.n_participants=[1,3]" in found[0].advice
    assert Description(inspection, n_participants=(3, 5)).findings == []


def test_constant_columns_are_a_note_and_all_constant_a_warning(node, fleet, good) -> None:
    assert said(good(node("odd", b=7.0)), "1 column constant on some nodes only").where == "'b' on 1 node of 7"
    everywhere = fleet(*(node(f"n{k}", b=7.0) for k in range(3)))
    assert said(everywhere, "1 column constant on every node").level == "note"
    nothing = fleet(*(node(f"n{k}", a=1.0, b=7.0) for k in range(3)))
    assert said(nothing, "all columns never change").level == "warning"


def test_drift_on_most_nodes_is_said_with_the_column_that_moved_most(node, fleet) -> None:
    moved = np.where(ROWS < 160, 0.0, 9.0) + ROWS % 7
    finding = said(fleet(*(node(f"n{k}", b=moved) for k in range(3))), "drift between train and test part")
    assert finding.level == "warning"
    assert finding.where.startswith("'b': index ")


def test_an_outlying_node_is_a_note(node, good) -> None:
    finding = said(good(node("odd", a=90.0 + ROWS % 3)), "1 node unlike the others")
    assert finding.where.startswith("node odd, most in 'a' (+")


def test_treatments_and_notes_of_the_source_are_notes(node, good) -> None:
    source = good(node("n1", treatments={"rows twice": 4}), notes=("a file was left out",))
    assert said(source, "on reading: rows twice: 4").where == "node n1"
    assert said(source, "a file was left out").level == "note"


def test_errors_come_first(node, memory) -> None:
    levels = [
        f.level for f in describe(memory({"bad": "x", "n1": node("n1", b=7.0), "short": node("s", n=3)})).findings
    ]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    assert set(levels) == {"error", "warning", "note"}


@pytest.mark.parametrize(
    "spoil",
    [
        {"label": np.full(200, -1)},
        {"a": np.nan, "b": np.nan},
        {"a": 1.0, "b": 1.0},
        {"a": None, "b": None},
        {"time": ROWS},
        {"label": np.ones(200)},
        {"split": np.zeros(200, np.int8)},
        {"split": np.ones(200, np.int8)},
    ],
    ids=["unlabelled", "all missing", "all constant", "no columns", "1970", "all anomalous", "all train", "all test"],
)
@pytest.mark.parametrize("n_nodes", [1, 3])
def test_any_fleet_is_described_and_its_description_is_json(node, fleet, spoil: dict, n_nodes: int) -> None:
    description = describe(fleet(*(node(f"n{k}", **spoil) for k in range(n_nodes))))
    content = json.loads(json.dumps(description.as_json(), allow_nan=False))
    assert content["verdict"] in ("usable", "usable with warnings", "unusable")
    assert len(content["nodes"]) == n_nodes
    assert content["totals"]["rows"] == 200 * n_nodes


def test_a_fleet_of_which_nothing_can_be_read_is_described(memory) -> None:
    description = describe(memory({"n1": "broken"}))
    assert description.verdict == "unusable"
    json.dumps(description.as_json(), allow_nan=False)
    assert len(RULES) == len(set(RULES))


def test_costs_of_rules_are_counted_as_in_a_prepared_fleet(node, fleet) -> None:
    gone = np.where(ROWS % 40 == 19, np.nan, 1.0 + ROWS % 3)
    costs = describe(fleet(node("n1", b=gone), node("n2", b=None, c=gone))).costs
    assert costs["alignment"]["intersection"]["features"] == 1
    assert costs["missing"]["rows with a missing value"] == {
        "rows": 400,
        "anomalous_rows": 20,
        "rows_removed": 10,
        "anomalous_rows_removed": 10,
    }
