import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.survey import NodeFiles, NodeSurvey, survey_node
from ftl.errors import TelemetryError
from tests.data.small_fleet import Tables, table, with_missing

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    gappy = with_missing(table("n1", treatments={"sorted": 2}), slice(3, 9), [0, 0, 0, 0, 0, 0])
    split = np.repeat([0, 1], [80, 20]).astype(np.int8)
    empty = replace(with_missing(table("n2"), slice(None), 1), split=split)
    return NodeFiles(Tables([gappy, empty, table("n3", 0)]), tmp_path, 3)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_survey_reads_as_it_was_taken(files: NodeFiles, number: int) -> None:
    node = files.source.read_node(f"n{number + 1}")
    survey_node(files, number, node.node_id)
    taken, kept = NodeSurvey.of(node), files.survey(number)
    assert (kept.node_id, kept.features, kept.treatments) == (taken.node_id, taken.features, taken.treatments)
    np.testing.assert_array_equal(kept.rows.time, node.time, strict=True)
    np.testing.assert_array_equal(kept.label, node.label, strict=True)
    np.testing.assert_array_equal(kept.missing.rows, taken.missing.rows)
    np.testing.assert_array_equal(kept.missing.mask(), taken.missing.mask())
    assert (kept.rows.published is None) == (node.split is None)
    [time] = files.times([number])
    np.testing.assert_array_equal(time, node.time)


def test_the_summary_says_what_a_plan_starts_from(files: NodeFiles) -> None:
    first, second, third = (survey_node(files, number, f"n{number + 1}") for number in range(3))
    assert (first.present(), second.present()) == (["a", "b", "c"], ["a", "c"])
    assert (first.has_split, second.has_split) == (False, True)
    assert (first.usual_step, third.usual_step) == (900, None)
    assert third.n_rows == 0


def test_a_node_is_read_once(files: NodeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    found = survey_node(files, 0, "n1")
    values = files.source.read_node("n1").values
    monkeypatch.setattr(Tables, "read_node", None)
    np.testing.assert_array_equal(files.values(0, "n1", 100), values)
    again = survey_node(files, 0, "n1")
    assert again.features == found.features


def test_values_are_not_kept_where_the_disk_has_no_room_for_those_of_all_nodes(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = {"free": 3 * 1200 + 1}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 0, room["free"]))
    survey_node(files, 0, "n1")
    assert files.spooled_bytes() == 0
    np.testing.assert_array_equal(files.values(0, "n1", 100), files.source.read_node("n1").values)
    room["free"] = 3 * 1200 * 1.1 + 1
    survey_node(files, 1, "n2")
    assert files.spooled_bytes() > 1200


def test_a_table_that_changed_meanwhile_is_refused(files: NodeFiles) -> None:
    with pytest.raises(TelemetryError, match="node n1: its table changed while it was read"):
        files.values(0, "n1", 99)
