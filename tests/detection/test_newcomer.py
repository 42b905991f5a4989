import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ftl.data.fleet import Fleet
from ftl.detection.detector import Detector
from ftl.detection.model_folder import detector_digest
from ftl.detection.smoothing import smooth
from ftl.errors import TelemetryError, UserError
from tests.detection.newcomer_fleet import FAULT, FLEET, fleet_of, loaded_table, welcoming, with_fault
from tests.detection.raw_fleet import CORES, prepared, raw_table, tables, untrained

COLUMNS = ["time", "node", "score", "threshold", "label"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return fleet_of(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def rebased_fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return fleet_of(tmp_path_factory.mktemp("rebased"), rebase="all", rebase_hours=6.0)


@pytest.fixture(scope="module")
def detector(fleet: Fleet) -> Detector:
    return welcoming(fleet)


def in_pieces(detector: Detector, table: pd.DataFrame, lengths: list[int]) -> pd.DataFrame:
    past, pieces, first = None, [], 0
    for length in lengths:
        scored = detector.score_node(table.iloc[first : first + length], "new", past, newcomer=True)
        pieces.append(scored.frame)
        past, first = scored.past, first + length
    return pd.concat([piece for piece in pieces if len(piece)], ignore_index=True)[COLUMNS]


@pytest.mark.parametrize(("half_life", "rebased"), [(0.0, False), (3.0, True)])
def test_rows_one_by_one_and_in_pieces_are_rows_in_one_go(
    fleet: Fleet, rebased_fleet: Fleet, half_life: float, rebased: bool
) -> None:
    detector = welcoming(rebased_fleet if rebased else fleet, half_life)
    table = with_fault(loaded_table("new"), slice(60, 70)).iloc[:160].drop(index=range(100, 108))
    table.loc[140, "bytes":] = np.nan
    table.loc[:2, "power"] = np.nan  # the first rows have no score
    at_once = detector.score(table, "new", newcomer=True)[COLUMNS]
    assert at_once["score"].isna().any()
    assert at_once["threshold"].notna().all()
    assert 0 < (at_once["label"] == 1).sum() < 60
    assert at_once["threshold"].nunique() > 100
    pd.testing.assert_frame_equal(in_pieces(detector, table, [1] * len(table)), at_once, check_exact=True)
    lengths = [*np.random.default_rng(1).integers(0, 25, 8), len(table)]
    pd.testing.assert_frame_equal(in_pieces(detector, table, lengths), at_once, check_exact=True)


def test_later_rows_change_no_earlier_one(detector: Detector) -> None:
    table = loaded_table("new").iloc[:300]
    other = table.copy()
    other.loc[200:, other.columns.drop("timestamp")] *= 3.0
    before, after = (detector.score(rows, "new", newcomer=True)[COLUMNS] for rows in (table, other))
    pd.testing.assert_frame_equal(before.iloc[:200], after.iloc[:200], check_exact=True)
    assert not before.iloc[200:]["score"].equals(after.iloc[200:]["score"])


@pytest.mark.parametrize("half_life", [0.0, 2.0])
@pytest.mark.parametrize("rebased", [False, True])
def test_a_fault_of_a_node_outside_the_fleet_is_flagged_and_normal_rows_are_not(
    fleet: Fleet, rebased_fleet: Fleet, half_life: float, rebased: bool
) -> None:
    """A node of the fleet joins the others; no more than 5 % of its normal rows are flagged, of the first day 3 %."""
    of = rebased_fleet if rebased else fleet
    detector = welcoming(of, half_life, nodes=[1, 2, 3, 4])
    assert detector.newcomer is not None
    assert detector.newcomer.card.n_nodes == 4
    assert detector.newcomer.card.is_rebased == rebased
    scored = detector.score_node(with_fault(loaded_table(FLEET[0])), FLEET[0], newcomer=True)
    has_score = scored.frame["score"].notna().to_numpy()
    is_fault = np.zeros(len(scored.frame), bool)
    is_fault[FAULT] = True
    flagged = (scored.frame["label"] == 1).to_numpy(bool, na_value=False)
    assert roc_auc_score(is_fault[has_score], scored.frame["score"][has_score]) > 0.97
    assert flagged[is_fault & has_score].mean() > 0.9
    recovering = np.zeros(len(scored.frame), bool)  # what the mean over scores and the trailing median still hold of it
    recovering[FAULT.stop : FAULT.stop + (40 if rebased or half_life else 0)] = True
    assert flagged[has_score & ~is_fault & ~recovering].mean() < 0.05
    assert flagged[:96].mean() < 0.03
    named = {sensors[0]["sensor"] for sensors in scored.frame["top_sensors"][is_fault & flagged]}
    assert named <= {"fan", "temp"}


def test_a_fault_that_is_there_from_the_first_row_is_flagged_from_the_first_row_and_does_not_become_normal(
    detector: Detector,
) -> None:
    scored = detector.score_node(with_fault(loaded_table("new"), slice(0, None)), "new", newcomer=True)
    known = scored.frame[scored.frame["score"].notna()]
    assert (known["label"] == 1).all()
    assert scored.past is not None
    assert scored.past.newcomer is not None
    assert scored.past.newcomer.sums.n_rows == 0
    assert known["threshold"].max() <= detector.newcomer.card.threshold * (1 + 1e-9)
    assert any("most rows are flagged" in note for note in scored.notes)


def test_the_threshold_goes_from_the_fleets_to_the_nodes_own(detector: Detector) -> None:
    card = detector.newcomer.card
    scored = detector.score(loaded_table("new"), "new", newcomer=True)
    assert scored["threshold"].iloc[0] == card.threshold
    own = np.percentile(np.minimum(scored["score"].dropna(), card.threshold), 98.0)
    n_rows = int(scored["score"].notna().sum())
    counted = n_rows - int((scored["label"] == 1).sum())
    fleet = (counted * card.participant_threshold + 300 * card.threshold) / (counted + 300)
    past = detector.score_node(loaded_table("new"), "new", newcomer=True).past
    later = loaded_table("new").iloc[-1:].assign(timestamp=pd.Timestamp("2024-04-01", tz="UTC"))
    last = detector.score_node(later, "new", past, newcomer=True).frame["threshold"].iloc[0]
    assert last == pytest.approx((n_rows * own + 300 * fleet) / (n_rows + 300), rel=1e-9)


def test_scores_are_smoothed_as_those_of_known_nodes_are(fleet: Fleet) -> None:
    """Before the first alarm, from which on other rows count."""
    table = loaded_table("x1").drop(index=range(50, 60)).iloc[:80]
    raw, smoothed = (welcoming(fleet, half_life).score(table, "x1", newcomer=True) for half_life in (0.0, 3.0))
    assert not (raw["label"] == 1).any()
    complete = raw["score"].notna()
    time = raw["time"][complete].dt.as_unit("s").astype("int64").to_numpy()
    np.testing.assert_allclose(
        smoothed["score"][complete], smooth(raw["score"][complete].to_numpy(), time, 3.0, spacing=900.0)
    )


def test_a_detector_read_again_scores_newcomers_the_same(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "model")
    again = Detector.load(tmp_path / "model")
    assert again.card == detector.card
    table = loaded_table("new").iloc[:50]
    pd.testing.assert_frame_equal(
        again.score(table, "new", newcomer=True), detector.score(table, "new", newcomer=True), check_exact=True
    )
    assert (tmp_path / "model" / "newcomer.safetensors").is_file()
    other = replace(detector, newcomer=replace(detector.newcomer, mean=detector.newcomer.mean + 1e-9))
    other.save(tmp_path / "other")
    assert detector_digest(tmp_path / "model") != detector_digest(tmp_path / "other")


def test_a_folder_of_an_earlier_version_scores_its_nodes_and_says_how_to_have_newcomers_scored(
    fleet: Fleet, tmp_path: Path
) -> None:
    untrained(fleet).save(tmp_path / "model")
    assert "newcomer" not in json.loads((tmp_path / "model" / "card.json").read_text())
    old = Detector.load(tmp_path / "model")
    assert len(old.score(loaded_table("a"), "a"))
    with pytest.raises(UserError, match="'new': this detector .unsupervised. holds nothing .* run the pipeline again"):
        old.score(loaded_table("new"), "new", newcomer=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda at: (at / "newcomer.safetensors").unlink(), "newcomer.safetensors: missing or damaged"),
        (lambda at: (at / "newcomer.safetensors").write_bytes(b"pickle"), "newcomer.safetensors: missing or damaged"),
        (lambda at: edit_newcomer(at, alignment="best"), "newcomer.alignment: unknown 'best'"),
        (lambda at: edit_newcomer(at, pseudo_rows=0), "the counts and spacing positive"),
        (lambda at: edit_newcomer(at, threshold=None), "card.json: damaged"),
        (lambda at: edit_newcomer(at, is_rebased=True), "rows.rebase_window: must be positive"),
    ],
)
def test_a_damaged_newcomer_part_is_refused(detector: Detector, tmp_path: Path, spoil, message: str) -> None:
    detector.save(tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(UserError, match=message):
        Detector.load(tmp_path / "model")


def edit_newcomer(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["newcomer"].update(changes)
    (folder / "card.json").write_text(json.dumps(card))


def test_an_unknown_node_is_no_newcomer_unless_that_is_said(detector: Detector) -> None:
    said = r"'a0': the detector has no model of it.*'a', 'b'.*closest: 'a'\..*--newcomer"
    with pytest.raises(TelemetryError, match=said):
        detector.score(loaded_table("new"), "a0")
    both = pd.concat([loaded_table("a").assign(node="a"), loaded_table("new").assign(node="new")])
    with pytest.raises(TelemetryError, match="'new': the detector has no model of it"):
        detector.score(both)
    scored = detector.score(both, newcomer=True)
    of_known = scored[scored["node"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_known, detector.score(loaded_table("a"), "a"))
    assert scored[scored["node"] == "new"]["score"].notna().any()


def test_columns_that_a_newcomer_lacks_are_named_and_say_nothing(detector: Detector) -> None:
    table = loaded_table("new").iloc[:60].drop(columns=["fan", "firmware"])
    scored = detector.score_node(table, "new", newcomer=True, explain_all=True)
    assert any("1 of the fleet's 6 features are not in its table and left out: 'fan'" in note for note in scored.notes)
    assert scored.frame["score"].notna().sum() > 50
    assert "fan" not in {sensor["sensor"] for row in scored.frame["top_sensors"] for sensor in row}
    assert (scored.frame["label"] == 1).sum() <= 2
    few = loaded_table("new")[["timestamp", "cpu", "power"]]
    with pytest.raises(TelemetryError, match="new: 4 of the 6 feature columns of the fleet are missing, first 'temp'"):
        detector.score(few, "new", newcomer=True)
    later = loaded_table("new").iloc[60:]
    with pytest.raises(TelemetryError, match="other columns than the rows scored before"):
        detector.score_node(later, "new", scored.past, newcomer=True)


def test_a_unit_that_no_node_of_the_fleet_has_is_noted(detector: Detector) -> None:
    table = loaded_table("new").iloc[:60]
    notes = detector.score_node(table.assign(power=1000 * table["power"]), "new", newcomer=True).notes
    assert any("far outside the training range in most rows: 'power'" in note for note in notes)
    assert not any("far outside" in note for note in detector.score_node(table, "new", newcomer=True).notes)


def test_cores_of_a_newcomer_take_the_slots_of_the_fleet(tmp_path: Path) -> None:
    """Other cores than on any node of the fleet, the same number of them; the other raw rows as they come."""
    detector = welcoming(prepared(tmp_path, tables(), alignment="slots"))
    assert detector.newcomer.components.shape[1] == 5  # of ten features that vary, however unlike each other
    table = raw_table("n0").rename(columns={f"p0_core{core}_temp": f"p0_core{core + 10}_temp" for core in CORES["n0"]})
    scored = detector.score_node(table, "new", newcomer=True)
    assert not any("not in its table" in note for note in scored.notes)
    assert scored.past.newcomer.columns[-1] == "p0_core15_temp"
    assert (scored.frame["label"] == 1).mean() < 0.1


def test_levels_that_nodes_have_of_their_own_do_not_flag_every_row_of_a_newcomer(tmp_path: Path) -> None:
    """Components made of all nodes explain the level of each of them, and not that of a newcomer."""

    def with_levels(node: str) -> pd.DataFrame:
        table, random = loaded_table(node), np.random.default_rng([*map(ord, node), 1])
        names = [f"level{number}" for number in range(12)]
        shifts = 30 * random.normal(size=len(names)) + random.normal(size=(len(table), len(names)))
        return pd.concat([table, pd.DataFrame(shifts, columns=names)], axis=1)

    nodes = [f"n{number}" for number in range(8)]
    detector = welcoming(prepared(tmp_path, {node: with_levels(node) for node in nodes}))
    flagged = [
        (detector.score(with_levels(node), node, newcomer=True)["label"] == 1).mean() for node in ("x", "y", "z")
    ]
    assert np.mean(flagged) < 0.1
