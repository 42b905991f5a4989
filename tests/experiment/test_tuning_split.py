"""A study's fleet holds no row of the test; what trials are judged on and what is tested do not overlap."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet, read_fleet, write_fleet
from ftl.errors import ConfigError
from ftl.experiment.tuning_split import split_for_tuning
from tests.data.small_fleet import later, prepare, table


def whole_fleet(tmp_path: Path, **settings: object) -> Fleet:
    tables = [table("a"), table("b"), later(table("c"), 8)]
    return prepare(tmp_path, tables, **settings)


def without_early_anomalies(tmp_path: Path) -> Fleet:
    tables = []
    for name in "abc":
        plain = table(name)
        label = plain.label.copy()
        label[:80] = 0
        label[[86, 94]] = 1  # among the lent rows, and behind them
        tables.append(replace(plain, label=label))
    fleet = prepare(tmp_path, tables)
    assert fleet.labels_borrowed
    return fleet


def keys(fleet: Fleet, *parts: int) -> set[tuple[str, int]]:
    """Node and time of the rows of some parts: what a row is known by, in any fleet."""
    return {
        (node_id, int(time))
        for node, node_id in enumerate(fleet.node_ids)
        for time in fleet.time[fleet.rows(node, *parts)]
    }


ALL_PARTS = (TRAIN, VALIDATION, TEST, GAP)


def test_no_test_row_is_in_the_tuning_fleet(tmp_path: Path) -> None:
    fleet = whole_fleet(tmp_path)
    split = split_for_tuning(tmp_path / "fleet", tmp_path / "study", validation_fraction=0.4)
    tuning = read_fleet(split.tuning)
    assert split.labels_from == "validation"
    assert not keys(tuning, *ALL_PARTS) & keys(fleet, TEST)
    assert keys(tuning, *ALL_PARTS) == keys(fleet, TRAIN, VALIDATION)
    assert split.final == tmp_path / "fleet"


def test_rows_keep_their_values_and_labels(tmp_path: Path) -> None:
    fleet = whole_fleet(tmp_path)
    tuning = read_fleet(split_for_tuning(tmp_path / "fleet", tmp_path / "study").tuning)
    for node in range(3):
        of_tuning, of_whole = tuning.rows(node, *ALL_PARTS), fleet.rows(node, TRAIN, VALIDATION)
        for name in ("x", "label", "time"):
            np.testing.assert_array_equal(getattr(tuning, name)[of_tuning], getattr(fleet, name)[of_whole])
        for name in ("offset", "scale", "muted"):
            np.testing.assert_array_equal(getattr(tuning, name)[node], getattr(fleet, name)[node])


def test_what_judges_follows_what_trains_with_a_gap_between(tmp_path: Path) -> None:
    whole_fleet(tmp_path)
    tuning = read_fleet(split_for_tuning(tmp_path / "fleet", tmp_path / "study", validation_fraction=0.4).tuning)
    first_judged = min(tuning.time[tuning.rows(node, TEST)].min() for node in range(3))
    for node in range(3):
        train, validation, gap, judged = (tuning.time[tuning.rows(node, part)] for part in (0, 1, 3, 2))
        assert train.max() < validation.min() <= validation.max() < gap.min() <= gap.max() < judged.min()
        assert len(gap) == 4
        assert train.max() < first_judged  # one cut for the fleet
    share = (tuning.part >= TEST).mean()
    assert 0.35 < share < 0.45


def test_a_random_split_stays_random(tmp_path: Path) -> None:
    fleet = whole_fleet(tmp_path, protocol="paper")
    split = split_for_tuning(tmp_path / "fleet", tmp_path / "study", validation_fraction=0.4)
    tuning = read_fleet(split.tuning)
    assert keys(tuning, *ALL_PARTS) == keys(fleet, TRAIN, VALIDATION)
    train, judged = tuning.rows(0, TRAIN), tuning.rows(0, TEST)
    assert judged.min() < train.max()


def test_lent_rows_judge_and_the_later_ones_are_tested(tmp_path: Path) -> None:
    fleet = without_early_anomalies(tmp_path)
    split = split_for_tuning(tmp_path / "fleet", tmp_path / "study")
    tuning, final = read_fleet(split.tuning), read_fleet(split.final)
    assert split.labels_from == "lent"
    lent = {
        (fleet.node_ids[k], int(t)) for k in range(3) for t in fleet.time[fleet.rows(k, TEST)][: lent_rows(fleet, k)]
    }
    assert keys(tuning, TEST) == lent
    assert keys(final, TEST) < keys(fleet, TEST) - lent
    assert keys(final, TRAIN) == keys(fleet, TRAIN) == keys(tuning, TRAIN)
    for node in range(3):
        assert tuning.time[tuning.rows(node, TEST)].max() < final.time[final.rows(node, TEST)].min()
        n_gap = len(final.rows(node, GAP)) - len(fleet.rows(node, GAP)) - lent_rows(fleet, node)
        assert n_gap == 4
    assert not final.labels_borrowed


def lent_rows(fleet: Fleet, node: int) -> int:
    return int(fleet.lent[fleet.start[node] : fleet.start[node + 1]].sum())


def test_paradigms_that_need_labels_keep_learning_from_the_lent_rows(tmp_path: Path) -> None:
    fleet = without_early_anomalies(tmp_path)
    final = read_fleet(split_for_tuning(tmp_path / "fleet", tmp_path / "study", keep_lent=True).final)
    assert final.labels_borrowed
    np.testing.assert_array_equal(final.lent, fleet.lent)


def test_the_folder_tells_nothing_of_the_test(tmp_path: Path) -> None:
    """Not in its arrays, and not in its card either: the report of the whole fleet counts test rows."""
    fleet = whole_fleet(tmp_path / "one")
    changed = replace(
        fleet, x=np.array(fleet.x), label=np.array(fleet.label), report={**fleet.report, "labels": "other"}
    )
    test = fleet.part == TEST
    changed.x[test] = 7.0
    changed.label[test] = 1 - np.maximum(changed.label[test], 0)
    write_fleet(changed, tmp_path / "two" / "fleet")
    folders = [split_for_tuning(tmp_path / w / "fleet", tmp_path / w / "study").tuning for w in ("one", "two")]
    for path in sorted(folders[0].iterdir()):
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


def test_a_fleet_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    whole_fleet(tmp_path)
    first = split_for_tuning(tmp_path / "fleet", tmp_path / "study").tuning
    written = (first / "x.npy").stat().st_mtime_ns
    split_for_tuning(tmp_path / "fleet", tmp_path / "study")
    assert (first / "x.npy").stat().st_mtime_ns == written
    split_for_tuning(tmp_path / "fleet", tmp_path / "study", validation_fraction=0.5)
    assert (first / "x.npy").stat().st_mtime_ns != written


def test_without_an_anomaly_to_judge_by_the_remedy_is_named(tmp_path: Path) -> None:
    without_early_anomalies(tmp_path)
    with pytest.raises(ConfigError, match=r"raise tune\.validation_fraction.*tune\.labels_from=lent"):
        split_for_tuning(tmp_path / "fleet", tmp_path / "study", labels_from="validation")
