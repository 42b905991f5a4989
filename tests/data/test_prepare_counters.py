from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.cleaning import MISSING_POLICIES
from ftl.data.node_table import NodeTable
from ftl.data.prepare_report import describe_report
from tests.data.small_fleet import prepare, table, with_missing


def with_counter(plain: NodeTable, reset: int) -> NodeTable:
    values = plain.values.copy()
    values[:, 1] = 1000 + 3 * np.arange(len(values))
    values[reset:, 1] -= values[reset, 1]
    return replace(plain, values=values)


def test_a_column_that_only_grows_is_read_as_its_increase(tmp_path: Path) -> None:
    tables = [with_counter(table("n1"), 60), with_counter(table("n2"), 90)]
    fleet = prepare(tmp_path, tables, transform="none", constant="mute")
    assert fleet.counters == ("b",)
    assert fleet.report["counters"] == ["b"]
    increase = fleet.x[:, 1] * fleet.scale[0, 1] + fleet.offset[0, 1]
    np.testing.assert_allclose(increase[1:60], 3, atol=1e-4)
    assert increase[60] == pytest.approx(0, abs=1e-4)  # begins again at 0
    assert any("1 feature only ever grows, first 'b'" in line for line in describe_report(fleet.report))
    kept = prepare(tmp_path / "kept", tables, counters="keep", transform="none")
    assert kept.counters == ()
    count = kept.x[:100, 1] * kept.scale[0, 1] + kept.offset[0, 1]
    np.testing.assert_allclose(count[:60], tables[0].values[:60, 1], rtol=1e-5)


@pytest.mark.parametrize("missing", MISSING_POLICIES)
def test_a_counter_that_was_not_read_has_not_grown(tmp_path: Path, missing: str) -> None:
    whole = with_counter(table("n1"), 95)
    fleet = prepare(tmp_path, [with_missing(whole, slice(40, 43), 1), whole], missing=missing, transform="none")
    increase = fleet.x[:, 1] * fleet.scale[0, 1] + fleet.offset[0, 1]
    after = np.flatnonzero(fleet.time[: fleet.start[1]] == 900 * 43)[0]
    assert increase[after] == pytest.approx(3, abs=1e-4)  # per window, over the four since it was last read
    if fleet.start[1] == len(whole.time):
        np.testing.assert_allclose(increase[40:43], 0, atol=1e-4)
