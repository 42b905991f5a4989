"""A joining node knows its first hours and what its cohort shared: nothing else has a say in scores and thresholds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import TEST, TRAIN, VALIDATION, Fleet, read_fleet
from ftl.studies.coldstart.arms import ALL_ARMS

TARGET, OTHER = "n1", "n3"
Spoil = Callable[..., Path]


@pytest.fixture(scope="module")
def fleet(like_fleet: Path) -> Fleet:
    return read_fleet(like_fleet)


def history_rows(fleet: Fleet, node: int, hours: float) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the node's first hours, and of what it has before its test part behind them."""
    rows = fleet.rows(node, TRAIN, VALIDATION)
    unlabelled = rows[fleet.label[rows] != 1]
    known = fleet.time[rows] < fleet.time[unlabelled[0]] + hours * 2  # windows of half an hour
    return rows[known], rows[~known]


def wild(x: np.ndarray) -> np.ndarray:
    return np.where(x == 0, 0, 3 * x[::-1] + 1).astype(np.float32)  # what is muted stays so


def same_scores(one, other, keys) -> None:
    assert keys
    for key in keys:
        np.testing.assert_array_equal(one.scores[key], other.scores[key], err_msg=str(key))
        assert one.thresholds[key] == other.thresholds[key], key


def test_every_arm_is_watched(like_replay) -> None:
    assert {key[2] for key in like_replay.places(TARGET, [4.0])} == set(ALL_ARMS)
    assert {key[:2] for key in like_replay.places()} == {(n, h) for n in (TARGET, OTHER) for h in (4.0, 24.0, None)}


@pytest.mark.parametrize("hours", [4.0, 24.0])
def test_rows_behind_the_history_change_no_score_and_no_threshold(
    like_replay, replay, fleet, spoilt: Spoil, hours: float
) -> None:
    _, behind = history_rows(fleet, 1, hours)
    changed = replay(spoilt("x", behind, wild))
    shorter = [length for length in (4.0, 24.0) if length <= hours]
    same_scores(changed, like_replay, changed.places(TARGET, shorter))
    full = (TARGET, None, "local")
    assert not np.array_equal(changed.scores[full], like_replay.scores[full])  # where they are history, they count


def test_raw_rows_behind_the_history_change_nothing_but_rounding_through_preparing(
    like_replay, replay, study_tables, study_fleet
) -> None:
    """Ranges of a node's whole training part make its scaler; a study takes that back."""
    tables = study_tables()
    table = tables[TARGET]
    behind = table["step"].between(50, 180)
    table.loc[behind, ["fan", "power", "temperature"]] = 2.5 * table.loc[behind, ["fan", "power", "temperature"]] + 4
    changed = replay(study_fleet(tables))
    for key in changed.places(TARGET, [4.0, 24.0]):
        np.testing.assert_allclose(changed.scores[key], like_replay.scores[key], rtol=2e-3, err_msg=str(key))
        np.testing.assert_allclose(changed.thresholds[key], like_replay.thresholds[key], rtol=2e-3, err_msg=str(key))


def test_test_rows_change_no_threshold_and_no_decision(like_replay, replay, fleet, spoilt: Spoil) -> None:
    changed = replay(spoilt("x", fleet.rows(1, TEST), wild))
    assert changed.thresholds == like_replay.thresholds
    assert changed.decisions().equals(like_replay.decisions())
    key = (TARGET, 4.0, "zero_shot")
    assert not np.array_equal(changed.scores[key], like_replay.scores[key])
    same_scores(changed, like_replay, changed.places(OTHER))


def test_later_test_rows_change_no_earlier_score(like_replay, replay, fleet, spoilt: Spoil) -> None:
    test = fleet.rows(1, TEST)
    changed = replay(spoilt("x", test[20:], wild))
    for key in changed.places(TARGET):
        np.testing.assert_array_equal(changed.scores[key][:20], like_replay.scores[key][:20])
    assert not np.array_equal(changed.scores[key][20:], like_replay.scores[key][20:])


def test_a_targets_history_changes_nothing_for_other_targets(like_replay, replay, fleet, spoilt: Spoil) -> None:
    changed = replay(spoilt("x", fleet.rows(1, TRAIN, VALIDATION), wild))
    assert not np.array_equal(
        changed.scores[TARGET, 4.0, "local_fleet"], like_replay.scores[TARGET, 4.0, "local_fleet"]
    )
    for key in changed.places(OTHER):
        np.testing.assert_allclose(changed.scores[key], like_replay.scores[key], rtol=1e-5, err_msg=str(key))
        np.testing.assert_allclose(changed.thresholds[key], like_replay.thresholds[key], rtol=1e-5, err_msg=str(key))
    for column in ("divergence", "action", "reason"):
        mine, before = (
            played.decisions().query("node == @OTHER")[column].tolist() for played in (changed, like_replay)
        )
        assert mine == before
    for arm in ("zero_shot", "federated_pca"):  # what the cohort shares is as it was, to the bit
        same_scores(changed, like_replay, [(OTHER, hours, arm) for hours in (4.0, 24.0, None)])


def test_a_participants_test_rows_have_no_say(like_replay, replay, fleet, spoilt: Spoil) -> None:
    folder = spoilt("x", np.concatenate([fleet.rows(0, TEST), fleet.rows(2, TEST)]), wild)
    changed = replay(folder)
    same_scores(changed, like_replay, changed.places())


def test_labels_of_test_rows_change_metrics_alone(like_replay, replay, fleet, spoilt: Spoil) -> None:
    everywhere = np.concatenate([fleet.rows(node, TEST) for node in range(4)])
    changed = replay(spoilt("label", everywhere, lambda label: 1 - label))
    same_scores(changed, like_replay, changed.places())
    assert changed.decisions().equals(like_replay.decisions())
    local = like_replay.rows["arm"] == "local"
    assert not changed.rows.loc[local, "f1"].equals(like_replay.rows.loc[local, "f1"])


def test_rebased_rows_know_the_trailing_window_and_nothing_before_it(replay, like_fleet, fleet, spoilt: Spoil) -> None:
    """Where rows are re-based, a test row is read against the node's last hours, whenever it joined."""
    rebasing = {"rebase": "all", "rebase_hours": 12.0}
    plain = replay(like_fleet, **rebasing)
    assert plain.rows["rebased"].all()
    _, behind = history_rows(fleet, 1, 4.0)
    first_test = fleet.time[fleet.rows(1, TEST)[0]]
    long_ago = behind[fleet.time[behind] < first_test - 24]
    assert len(long_ago) > 50
    changed = replay(spoilt("x", long_ago, wild), **rebasing)
    same_scores(changed, plain, changed.places(TARGET, [4.0]))
    recent = replay(spoilt("x", behind, wild), **rebasing)
    for key in recent.places(TARGET, [4.0]):
        assert recent.thresholds[key] == plain.thresholds[key]


def test_which_layers_a_target_fine_tunes_has_nothing_to_do_with_other_targets(replay, fleet, spoilt: Spoil) -> None:
    """What is usual is told by participants alone, else a node among odd targets would pass for a usual one."""

    def shifted(x: np.ndarray) -> np.ndarray:
        return np.where(x == 0, 0, x + 0.7).astype(np.float32)

    odd = replay(spoilt("x", fleet.rows(3, TRAIN, VALIDATION), shifted))
    changed = replay(spoilt("x", fleet.rows(1, TRAIN, VALIDATION), lambda x: 4 * wild(x)))
    reasons = [played.decisions().query("node == @OTHER")["reason"].tolist() for played in (odd, changed)]
    assert reasons[0] == reasons[1]
    assert "all of the model is fine-tuned" in reasons[0][0]
    for hours in (4.0, 24.0, None):
        key = (OTHER, hours, "selective")
        np.testing.assert_allclose(changed.scores[key], odd.scores[key], rtol=1e-5)
