from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftl.data.cleaning import MISSING_POLICIES
from ftl.data.fleet import Fleet, read_fleet
from ftl.detection.detector import Detector
from ftl.detection.raw_table import read_raw_table
from ftl.errors import TelemetryError
from tests.detection.raw_fleet import prepared, raw_table, tables, untrained

VARIANTS = [{"missing": missing, "alignment": "union"} for missing in MISSING_POLICIES] + [
    {"alignment": "slots"},
    {"alignment": "union", "constant": "mute", "counters": "keep", "transform": "signed_log1p"},
    {"alignment": "union", "rebase": "all", "rebase_hours": 6.0},
]


def rows_of(fleet: Fleet, node: int) -> slice:
    return slice(int(fleet.start[node]), int(fleet.start[node + 1]))


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_a_raw_table_gives_the_rows_that_the_prepared_fleet_holds(tmp_path: Path, settings: dict[str, Any]) -> None:
    raw = tables()
    fleet = prepared(tmp_path, raw, **settings)
    detector = untrained(fleet)
    random = np.random.default_rng(0)
    for number, node in enumerate(fleet.node_ids):
        shuffled = raw[node].sample(frac=1, random_state=3)[random.permutation(raw[node].columns)]
        table = read_raw_table(shuffled, node, detector.card.nodes[number].columns, detector.card.rules)
        x, rows = detector.scaled(table, node)
        np.testing.assert_array_equal(rows.time[rows.complete], fleet.time[rows_of(fleet, number)])
        np.testing.assert_array_equal(x, fleet.x[rows_of(fleet, number)])


def test_the_fleet_of_these_tests_has_all_that_is_to_be_tested(tmp_path: Path) -> None:
    fleet = prepared(tmp_path, tables(), alignment="union")
    assert fleet.counters == ("errors",)
    assert fleet.signed_log == ("bytes",)
    assert "missing:fan" in fleet.features
    assert fleet.report["nodes"]["n2"]["imputed"]
    assert fleet.report["removed_rows"] > 0
    assert fleet.report["nodes"]["n0"]["filled_cells"] > 0
    assert fleet.muted.any()


@pytest.mark.parametrize("missing", MISSING_POLICIES)
def test_rows_scored_in_pieces_equal_rows_scored_at_once(tmp_path: Path, missing: str) -> None:
    raw = tables()
    detector = untrained(prepared(tmp_path, raw, alignment="union", missing=missing), half_life=3.0)
    for node, whole in raw.items():
        at_once = detector.score(whole, node)
        past, pieces, first = None, [], 0
        for length in [1, 1, 1, 40, 3, 7, 1, *[19] * 20]:
            scored = detector.score_node(whole.iloc[first : first + length], node, past)
            pieces.append(scored.frame)
            past, first = scored.past, first + length
        in_pieces = pd.concat([piece for piece in pieces if len(piece)], ignore_index=True)
        pd.testing.assert_frame_equal(in_pieces, at_once, rtol=1e-6)
        assert past is not None
        assert len(past.time) <= 10


@pytest.mark.parametrize("missing", ["forward_fill", "drop_rows"])
def test_rebased_rows_scored_in_pieces_equal_rows_scored_at_once(tmp_path: Path, missing: str) -> None:
    """One by one across the gap of the tables; the past that is kept is that of the window, and no row looks ahead."""
    raw, settings = tables(), {"alignment": "union", "rebase": "all", "rebase_hours": 5.0, "missing": missing}
    detector = untrained(prepared(tmp_path, raw, **settings), half_life=3.0)
    for node, lengths in {"n0": [1, 1, 186, *[1] * 30, 200], "n2": [60, 5, *[19] * 20]}.items():
        at_once = detector.score(raw[node], node)
        past, pieces, first = None, [], 0
        for length in lengths:
            scored = detector.score_node(raw[node].iloc[first : first + length], node, past)
            pieces.append(scored.frame)
            past, first = scored.past, first + length
            if past is not None and past.window is not None and len(past.window.time):
                assert past.last_time - past.window.time[0] < 5 * 3600
        in_pieces = pd.concat([piece for piece in pieces if len(piece)], ignore_index=True)
        pd.testing.assert_frame_equal(in_pieces, at_once, rtol=1e-6)
        until = detector.score(raw[node].iloc[:150], node)
        pd.testing.assert_frame_equal(until, at_once.iloc[:150], rtol=1e-6)


def test_rebasing_is_kept_with_a_detector_and_its_short_past_is_said(tmp_path: Path) -> None:
    raw = tables()
    detector = untrained(prepared(tmp_path, raw, alignment="union", rebase="all", rebase_hours=5.0))
    detector.save(tmp_path / "detector")
    loaded = Detector.load(tmp_path / "detector")
    assert loaded.card.rules.rebase_window == 5 * 3600
    assert all(node.is_rebased for node in loaded.card.nodes)
    pd.testing.assert_frame_equal(loaded.score(raw["n1"], "n1"), detector.score(raw["n1"], "n1"))
    scored = loaded.score_node(raw["n1"].iloc[:100], "n1")
    assert any("re-based on a past that begins with this table" in note for note in scored.notes)
    assert scored.treatments["rows read as the distance to their trailing median"] > 90
    later = loaded.score_node(raw["n1"].iloc[100:150], "n1", scored.past)
    assert not any("re-based on a past" in note for note in later.notes)
    assert not any("constant in training" in note for note in later.notes)


def test_rows_that_do_not_follow_the_past_are_refused(tmp_path: Path) -> None:
    detector = untrained(prepared(tmp_path, tables(), alignment="union"))
    past = detector.score_node(raw_table("n0").iloc[:20], "n0").past
    with pytest.raises(TelemetryError, match="node n0: a row of time .* does not follow the rows scored before"):
        detector.score_node(raw_table("n0").iloc[19:30], "n0", past)


def test_a_fleet_of_an_earlier_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    fleet = prepared(tmp_path, tables())
    fleet.report.pop("indicators_look_at")
    with pytest.raises(TelemetryError, match="prepared by an earlier version.*run again"):
        untrained(fleet)


def test_a_time_column_of_the_fleets_own_name_is_found_again(tmp_path: Path) -> None:
    raw = {node: table.rename(columns={"timestamp": "window_start"}) for node, table in tables().items()}
    fleet = prepared(tmp_path, raw, description={"time": "window_start"})
    assert len(untrained(read_fleet(tmp_path / "fleet")).score(raw["n0"], "n0")) == len(raw["n0"])
    seconds = raw["n0"].assign(clock=raw["n0"]["window_start"].dt.tz_localize(None)).drop(columns="window_start")
    assert len(untrained(fleet).score(seconds, "n0", time_column="clock")) == len(seconds)


def test_integer_times_are_read_in_the_unit_of_the_fleet(tmp_path: Path) -> None:
    raw = {
        node: table.assign(timestamp=table["timestamp"].dt.as_unit("ms").astype("int64"))
        for node, table in tables().items()
    }
    fleet = prepared(tmp_path, raw, description={"time_unit": "milliseconds", "time": "timestamp"})
    scored = untrained(fleet).score(raw["n1"], "n1")
    assert scored["time"].iloc[0] == pd.Timestamp("2024-03-01", tz="UTC")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns=["power", "bytes"]), "2 of the 9 feature columns .* missing, first 'power', 'bytes'"),
        (lambda t: t.drop(columns="timestamp"), "no time column 'timestamp' or 'step' or 'time'"),
        (lambda t: t.assign(timestamp=range(len(t))), "counts steps, .* trained on seconds; give dates"),
        (lambda t: t.drop(columns="timestamp").assign(step=range(len(t))), "counts steps, .* trained on seconds"),
        (lambda t: t.assign(power="much"), "feature column 'power' holds text, first 'much'"),
        (lambda t: t.assign(power=[1, "x"] * (len(t) // 2)), "column 'power' holds values of several kinds"),
        (lambda t: pd.concat([t, t[["power"]]], axis=1), "column 'power' occurs more than once"),
        (lambda t: t.assign(timestamp="yesterday"), "'yesterday', which is no ISO date"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(tmp_path: Path, spoil, message: str) -> None:
    raw = {node: table for node, table in tables().items() if node != "n2"}
    detector = untrained(prepared(tmp_path, raw, alignment="slots"))
    with pytest.raises(TelemetryError, match=message) as refused:
        detector.score(spoil(raw["n0"]), "n0")
    assert "node n0" in str(refused.value)


def test_rows_of_several_nodes_are_not_taken_for_one(tmp_path: Path) -> None:
    detector = untrained(prepared(tmp_path, tables()))
    both = pd.concat([raw_table("n0"), raw_table("n1")])
    with pytest.raises(TelemetryError, match="have the time of another row and other values.*a column 'node'"):
        detector.score_node(both, "n0")
    detector.score_node(pd.concat([raw_table("n0")] * 2), "n0")  # each row twice is one node


def test_columns_that_the_model_does_not_know_are_left_out_and_counted(tmp_path: Path) -> None:
    detector = untrained(prepared(tmp_path, tables()))
    raw = raw_table("n0")
    scored = detector.score_node(raw.assign(hostname="n0", extra=3.0), "n0")  # nor power and three cores
    pd.testing.assert_frame_equal(scored.frame, detector.score(raw, "n0"))
    assert scored.treatments["columns that the model does not know left out"] == 2 + 4


def test_a_column_that_a_node_lacked_in_training_may_be_missing_or_there(tmp_path: Path) -> None:
    detector = untrained(prepared(tmp_path, tables(), alignment="union"))
    without = tables()["n2"]
    pd.testing.assert_frame_equal(detector.score(without.assign(power=9e9), "n2"), detector.score(without, "n2"))


def test_a_sensor_silent_in_the_whole_table_is_missing_and_not_refused(tmp_path: Path) -> None:
    detector = untrained(prepared(tmp_path, tables(), alignment="slots"))
    column = next(c for c in detector.card.nodes[0].columns if c and "core" in c)
    scored = detector.score(raw_table("n0").assign(**{column: np.nan}), "n0")
    assert scored["score"].isna().all()
    assert scored["label"].isna().all()


def test_a_node_that_the_detector_does_not_know_is_not_guessed(tmp_path: Path) -> None:
    detector = untrained(prepared(tmp_path, tables()))
    with pytest.raises(TelemetryError, match="node 'n9': the detector has no model of it; it has those of 'n0', 'n1'"):
        detector.score(raw_table("n0"), "n9")
