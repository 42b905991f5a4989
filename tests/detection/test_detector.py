import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch

from ftl.data.fleet import Fleet
from ftl.detection.detector import Detector
from ftl.detection.model_folder import detector_digest
from ftl.detection.scores import ANOMALY_SCORES
from ftl.errors import TelemetryError, UserError
from tests.detection.raw_fleet import prepared, raw_table, tables, untrained

SCORES = ("probability", *ANOMALY_SCORES)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return prepared(tmp_path_factory.mktemp("fleet"), tables(), alignment="union")


@pytest.mark.parametrize("score", SCORES)
def test_a_detector_read_again_scores_the_same(fleet: Fleet, tmp_path: Path, score: str) -> None:
    detector = untrained(fleet, score, half_life=2.0)
    detector.save(tmp_path / "model")
    again = Detector.load(tmp_path / "model")
    assert again.card == detector.card
    pd.testing.assert_frame_equal(again.score(raw_table("n1"), "n1"), detector.score(raw_table("n1"), "n1"))
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "card.json", "state.safetensors", "nodes.safetensors"
    }  # fmt: skip


def test_a_score_above_the_threshold_is_an_alarm_that_names_its_sensors(fleet: Fleet) -> None:
    usual = float(untrained(fleet).score(raw_table("n0"), "n0")["score"].median())
    detector = untrained(fleet, threshold=usual)
    scored = detector.score(raw_table("n0"), "n0")
    known = scored[scored["score"].notna()]
    assert 0 < (known["label"] == 1).sum() < len(known)
    assert ((known["score"] > known["threshold"]) == (known["label"] == 1)).all()
    assert (known["top_sensors"].str.len() > 0).eq(known["label"] == 1).all()
    assert set(detector.score(raw_table("n0"), "n0", explain_all=True)["top_sensors"].str.len()[known.index]) == {3}


@pytest.mark.parametrize("score", SCORES)
def test_a_sensor_that_runs_away_is_named_first(fleet: Fleet, score: str) -> None:
    detector = untrained(fleet, score)
    raw = raw_table("n0")
    row = int(np.flatnonzero(raw.notna().all(axis=1))[150])
    raw.iloc[row, raw.columns.get_loc("power")] = 500.0
    scored = detector.score(raw, "n0", explain_all=True)
    if score == "probability":  # an untrained classifier may or may not mind the sensor; who pulls is who differs
        assert all(0 <= sensor["share"] <= 1 for sensor in scored["top_sensors"].iloc[row])
        return
    first = scored["top_sensors"].iloc[row][0]
    assert first["sensor"] == "power"
    assert first["share"] > 0.4


def test_a_classifiers_sensors_are_those_that_raise_its_probability(fleet: Fleet) -> None:
    detector = untrained(fleet, "probability")
    power = detector.card.features.index("power")
    state = {name: torch.zeros_like(value) for name, value in detector.state.items()}
    state["encoder.0.weight"][:, power, 0] = 1.0
    state["encoder.1.weight"][:, 0, 0] = 1.0
    state["decoder.0.weight"][:, 0, 0] = 4.0
    scored = replace(detector, state=state).score(raw_table("n0"), "n0", explain_all=True)
    named = [sensors for sensors in scored["top_sensors"] if sensors]
    assert named
    assert all(sensors == [{"sensor": "power", "share": 1.0}] for sensors in named)


def test_rows_that_nothing_can_fill_have_neither_score_nor_label(fleet: Fleet) -> None:
    scored = untrained(fleet).score(raw_table("n0"), "n0")
    assert 0 < scored["score"].isna().sum() < 40
    assert scored["label"].isna().eq(scored["score"].isna()).all()
    assert len(scored) == len(raw_table("n0"))


def test_a_column_node_says_whose_rows_they_are(fleet: Fleet) -> None:
    detector = untrained(fleet)
    both = pd.concat([raw_table("n1").assign(node="n1"), raw_table("n0").assign(node="n0")])
    scored = detector.score(both)
    pd.testing.assert_frame_equal(scored[scored["node"] == "n0"].reset_index(drop=True),
                                  detector.score(raw_table("n0"), "n0"))  # fmt: skip
    with pytest.raises(TelemetryError, match="whose rows are these.*'n0', 'n1', 'n2'"):
        detector.score(raw_table("n0"))
    with pytest.raises(TelemetryError, match="column 'node': 3 rows name no node"):
        detector.score(both.assign(node=["n0"] * (len(both) - 3) + [None] * 3))


def test_a_table_without_rows_gives_a_table_without_rows(fleet: Fleet) -> None:
    detector = untrained(fleet)
    scored = detector.score(raw_table("n0").iloc[:0], "n0")
    assert len(scored) == 0
    assert list(scored.columns) == ["time", "node", "score", "threshold", "label", "top_sensors"]
    assert len(detector.score(raw_table("n0").iloc[:0].assign(node="n0"))) == 0


def test_equal_detectors_have_equal_digests_and_others_do_not(fleet: Fleet, tmp_path: Path) -> None:
    for name, threshold in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        untrained(fleet, threshold=threshold).save(tmp_path / name)
    a, b, c = (detector_digest(tmp_path / name) for name in "abc")
    assert a == b != c


def test_saving_replaces_a_detector_and_nothing_else(fleet: Fleet, tmp_path: Path) -> None:
    untrained(fleet).save(tmp_path / "model")
    untrained(fleet, threshold=3.0).save(tmp_path / "model")
    assert Detector.load(tmp_path / "model").card.nodes[0].threshold == 3.0
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="notes: exists and is no detector"):
        untrained(fleet).save(tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "notes"}


def edit_card(folder: Path, change) -> None:
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


def edit_arrays(folder: Path, change) -> None:
    arrays = safetensors.numpy.load_file(folder / "nodes.safetensors")
    change(arrays)
    safetensors.numpy.save_file(arrays, folder / "nodes.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda at: (at / "card.json").unlink(), "no detector here .card.json is missing"),
        (lambda at: (at / "card.json").write_text("{"), "card.json: damaged"),
        (lambda at: (at / "card.json").write_text("[]"), "card.json: damaged"),
        (lambda at: edit_card(at, lambda c: c.update(format=9)), "format 9, this version of ftl reads 1"),
        (lambda at: edit_card(at, lambda c: c.pop("score")), "'score' is missing in it"),
        (lambda at: edit_card(at, lambda c: c["score"].update(name="best")), "score.name: unknown 'best'; known:"),
        (lambda at: edit_card(at, lambda c: c["score"].update(name="probability")), "network.*score.name"),
        (lambda at: edit_card(at, lambda c: c["features"].pop(0)), "card.json: "),
        (lambda at: edit_card(at, lambda c: c["nodes"].append(c["nodes"][0])), "nodes: must name each once"),
        (lambda at: edit_card(at, lambda c: c["nodes"].pop()), r"'decoder.0.bias' has the shape \(3,.*\(2 nodes, "),
        (lambda at: edit_card(at, lambda c: c["nodes"][1].update(threshold=float("inf"))), "n1: needs a finite"),
        (lambda at: (at / "state.safetensors").unlink(), "state.safetensors: missing or damaged"),
        (lambda at: (at / "state.safetensors").write_bytes(b"pickle"), "state.safetensors: missing or damaged"),
        (lambda at: (at / "nodes.safetensors").write_bytes(b""), "nodes.safetensors: missing or damaged"),
        (lambda at: edit_arrays(at, lambda a: a.pop("variance")), "nodes.safetensors: holds no 'variance'"),
        (lambda at: edit_arrays(at, lambda a: a.update(offset=a["offset"][:1])), r"'offset' has the shape \(1, "),
        (lambda at: edit_arrays(at, lambda a: a["offset"].fill(np.nan)), "'offset' holds values that are not finite"),
        (lambda at: edit_arrays(at, lambda a: a["scale"].fill(0)), "'scale' must be positive everywhere"),
    ],
)
def test_a_damaged_folder_is_refused_and_the_message_names_the_place(
    fleet: Fleet, tmp_path: Path, spoil, message: str
) -> None:
    untrained(fleet).save(tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(UserError, match=message) as refused:
        Detector.load(tmp_path / "model")
    assert "model" in str(refused.value)


def test_models_that_are_not_finite_are_refused(fleet: Fleet) -> None:
    detector = untrained(fleet)
    state = {name: value.clone() for name, value in detector.state.items()}
    state["encoder.0.weight"][1, 0, 0] = torch.nan
    with pytest.raises(UserError, match="'encoder.0.weight' holds values that are not finite"):
        replace(detector, state=state)
