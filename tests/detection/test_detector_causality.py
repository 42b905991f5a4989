"""A detector never looks ahead: rows one by one, in random pieces and in one go are the same rows, to the last bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftl.data.fleet import Fleet
from ftl.detection import Trailing
from ftl.detection.detector import Detector
from tests.detection.raw_fleet import prepared, raw_table, tables, untrained

COLUMNS = ["time", "node", "score", "threshold", "label"]
NONE, TWO_DAYS, LAGGED = None, Trailing(2 * 86_400.0, 90.0), Trailing(86_400.0, 80.0, 7200.0)
TRAILING = pytest.mark.parametrize("trailing", [NONE, TWO_DAYS, LAGGED], ids=["static", "trailing", "lagged"])
HALF_LIFE = pytest.mark.parametrize("half_life", [0.0, 3.0])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return prepared(tmp_path_factory.mktemp("fleet"), tables(), alignment="union")


def following(fleet: Fleet, half_life: float, trailing: Trailing | None, score: str = "nres") -> Detector:
    """A detector that flags about a third of the rows by its static threshold."""
    plain = untrained(fleet, score, half_life)
    usual = float(plain.score(raw_table("n0"), "n0")["score"].quantile(0.67))
    nodes = tuple(replace(node, threshold=usual) for node in plain.card.nodes)
    rule = replace(plain.card.score, trailing=trailing)
    return replace(plain, card=replace(plain.card, score=rule, nodes=nodes))


def in_pieces(detector: Detector, table: pd.DataFrame, lengths: list[int]) -> pd.DataFrame:
    past, pieces, first = None, [], 0
    for length in lengths:
        scored = detector.score_node(table.iloc[first : first + length], "n0", past)
        pieces.append(scored.frame)
        past, first = scored.past, first + length
    return pd.concat([piece for piece in pieces if len(piece)], ignore_index=True)[COLUMNS]


@pytest.mark.parametrize(("half_life", "trailing"), [(0.0, TWO_DAYS), (3.0, LAGGED), (3.0, NONE)])
def test_rows_one_by_one_are_rows_in_one_go(fleet: Fleet, half_life: float, trailing: Trailing | None) -> None:
    detector, table = following(fleet, half_life, trailing), raw_table("n0").iloc[90:210]  # with gaps in it
    at_once = detector.score(table, "n0")[COLUMNS]
    assert 0 < (at_once["label"] == 1).sum() < len(at_once)
    assert at_once["threshold"].nunique() == 1 if trailing is None else at_once["threshold"].nunique() > 10
    pd.testing.assert_frame_equal(in_pieces(detector, table, [1] * len(table)), at_once, check_exact=True)


@HALF_LIFE
@TRAILING
@pytest.mark.parametrize("score", ["nres", "mahalanobis", "probability"])
def test_rows_in_random_pieces_are_rows_in_one_go(
    fleet: Fleet, half_life: float, trailing: Trailing | None, score: str
) -> None:
    detector, table = following(fleet, half_life, trailing, score), raw_table("n0")
    lengths = [*np.random.default_rng(5).integers(0, 25, 30), len(table)]
    pd.testing.assert_frame_equal(
        in_pieces(detector, table, lengths), detector.score(table, "n0")[COLUMNS], check_exact=True
    )


@HALF_LIFE
@TRAILING
def test_later_rows_change_no_earlier_one(fleet: Fleet, half_life: float, trailing: Trailing | None) -> None:
    detector, table = following(fleet, half_life, trailing), raw_table("n0")
    other = table.copy()
    numbers = other.columns.drop(["timestamp", "label"])
    other.loc[other.index[180:], numbers] *= 3.0
    before, after = (detector.score(rows, "n0")[COLUMNS] for rows in (table, other))
    pd.testing.assert_frame_equal(before.iloc[:180], after.iloc[:180], check_exact=True)
    assert not before.iloc[180:]["score"].equals(after.iloc[180:]["score"])


def test_a_row_without_a_score_tells_the_threshold_that_held_and_leaves_later_ones_alone(fleet: Fleet) -> None:
    scored = following(fleet, 0.0, TWO_DAYS).score(raw_table("n0"), "n0")
    assert scored["score"].isna().any()
    assert scored["threshold"].notna().all()


def test_what_is_kept_for_later_rows_is_no_longer_than_the_window(fleet: Fleet) -> None:
    past = following(fleet, 3.0, LAGGED).score_node(raw_table("n0"), "n0").past
    assert past is not None
    assert past.recent is not None
    time, score = past.recent
    assert len(time) == len(score) > 50
    assert time[0] > past.last_time - LAGGED.reach


def test_a_detector_read_again_still_follows(fleet: Fleet, tmp_path: Path) -> None:
    detector = following(fleet, 3.0, LAGGED)
    detector.save(tmp_path / "model")
    again = Detector.load(tmp_path / "model")
    assert again.card == detector.card
    pd.testing.assert_frame_equal(again.score(raw_table("n0"), "n0"), detector.score(raw_table("n0"), "n0"))
