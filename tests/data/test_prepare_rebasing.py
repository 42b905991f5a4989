import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import CARD_FILE, LATER_FIELDS, TRAIN, Fleet, read_fleet
from ftl.data.node_table import NodeTable
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.prepare_report import describe_report
from ftl.data.rebasing import rebased
from ftl.data.scaling import signed_log1p
from ftl.errors import ConfigError
from tests.data.small_fleet import Tables, prepare, table

N_ROWS = 1000


def node(node_id: str, ramp: float = 0.0) -> NodeTable:
    plain = table(node_id, N_ROWS)
    climb = np.linspace(0, ramp, N_ROWS)[:, None]
    values = plain.values + (climb * [1.0, 0.0, 0.0]).astype(np.float32)
    values[:, 2] = 1e4 * np.exp(values[:, 2])
    return replace(plain, values=values)


def fleet_of(tmp_path: Path, *ramps: float, **settings: object) -> Fleet:
    tables = [node(f"n{number}", ramp) for number, ramp in enumerate(ramps)]
    return prepare(tmp_path, tables, **{"rebase_hours": 6.0, "counters": "keep", **settings})


def rows_of(fleet: Fleet, k: int) -> slice:
    return slice(int(fleet.start[k]), int(fleet.start[k + 1]))


def test_rebased_rows_are_the_distance_to_the_trailing_median_of_transformed_values(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, 0.0, 9.0, rebase="all")
    assert fleet.signed_log == ("c",)
    for k in range(2):
        raw = node(f"n{k}", 9.0 * k).values.copy()
        raw[:, 2] = signed_log1p(raw[:, 2])
        distance = rebased(raw, 900 * np.arange(N_ROWS), 6 * 3600.0)
        scaled = np.clip((distance - fleet.offset[k]) / fleet.scale[k], -4, 5)
        np.testing.assert_allclose(fleet.x[rows_of(fleet, k)], scaled, atol=1e-5)
        train = fleet.x[fleet.rows(k, TRAIN)]
        np.testing.assert_allclose([train.min(axis=0), train.max(axis=0)], [[0, 0, 0], [1, 1, 1]], atol=1e-6)


def test_only_nodes_that_drift_are_rebased_and_the_report_says_so(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, 0.0, 15.0, 0.0, rebase="drifting")
    assert fleet.rebased == ("n1",)
    assert fleet.is_rebased.tolist() == [False, True, False]
    assert fleet.rebase_window == 6 * 3600
    of_nodes = fleet.report["nodes"].values()
    assert [report["drifts"] for report in of_nodes] == [report["rebased"] for report in of_nodes]
    assert fleet.report["nodes"]["n1"]["drift_share"] > 0.06 > fleet.report["nodes"]["n0"]["drift_share"]
    said = "\n".join(describe_report(fleet.report))
    assert "1 of 3 nodes drifts: most n1" in said
    assert "1 node re-based: rows are read as the distance to the median of the node's last 6 h" in said
    plain = fleet_of(tmp_path / "plain", 0.0, 15.0, 0.0)
    assert plain.rebased == ()
    assert plain.rebase_window is None
    for k in (0, 2):
        np.testing.assert_array_equal(fleet.x[rows_of(fleet, k)], plain.x[rows_of(plain, k)])
    assert "re-basing would read rows" in "\n".join(describe_report(plain.report))


def test_a_fleet_is_rebased_where_half_of_it_drifts(tmp_path: Path) -> None:
    assert fleet_of(tmp_path / "half", 0.0, 15.0, rebase="fleet").rebased == ("n0", "n1")
    assert fleet_of(tmp_path / "third", 0.0, 15.0, 0.0, rebase="fleet").rebased == ()


def test_later_rows_change_no_earlier_row_of_a_prepared_fleet(tmp_path: Path) -> None:
    tables = [node("n0"), node("n1", 9.0)]
    changed = [replace(one, values=np.where(np.arange(N_ROWS)[:, None] < 900, one.values, 3.0)) for one in tables]
    settings = {"rebase": "all", "rebase_hours": 6.0, "counters": "keep"}
    one, other = prepare(tmp_path / "one", tables, **settings), prepare(tmp_path / "other", changed, **settings)
    for k in range(2):
        np.testing.assert_array_equal(one.x[rows_of(one, k)][:890], other.x[rows_of(other, k)][:890])
        assert (one.x[rows_of(one, k)][-50:] != other.x[rows_of(other, k)][-50:]).any()


def test_nodes_share_quantiles_with_those_of_their_kind(tmp_path: Path) -> None:
    """Rows of re-based nodes lie around 0, those of the others around their level."""
    tables = [node("n0"), node("n1"), node("n2"), node("n3", 15.0)]
    tables = [replace(one, values=one.values + np.float32(100)) for one in tables]
    settings = {"rebase_hours": 6.0, "counters": "keep", "scaler": "fleet_quantile"}
    fleet = prepare(tmp_path, tables, rebase="drifting", **settings)
    assert fleet.rebased == ("n3",)
    for k in range(4):
        assert 0.3 < np.median(fleet.x[fleet.rows(k, TRAIN)][:, :2]) < 0.7


def test_steps_of_unknown_length_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    source = Tables([node("n0"), node("n1")], time_unit="steps")
    with pytest.raises(ConfigError, match=r"window_minutes in fleet\.yaml"):
        prepare_fleet(source, PrepareSettings(rebase="drifting"), "rigorous", tmp_path / "fleet")
    steps = [replace(one, time=np.arange(N_ROWS)) for one in source.tables]
    known = prepare_fleet(
        Tables(steps, time_unit="steps", window=900.0), PrepareSettings(rebase="all"), "rigorous", tmp_path / "known"
    )
    assert known.rebase_window == 96


def test_a_fleet_of_before_re_basing_is_read_as_one_without(tmp_path: Path) -> None:
    fleet_of(tmp_path, 0.0, 0.0)
    path = tmp_path / "fleet" / CARD_FILE
    card = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in card.items() if name not in LATER_FIELDS}))
    fleet = read_fleet(tmp_path / "fleet")
    assert fleet.rebased == ()
    assert not fleet.is_rebased.any()


@pytest.mark.parametrize(("key", "value"), [("rebase", "some"), ("rebase_hours", 0.0), ("drift_share", 1.0)])
def test_settings_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"prepare.{key}"):
        PrepareSettings(**{key: value})
