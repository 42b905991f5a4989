import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.results import (
    KEY_COLUMNS,
    RESULTS_SCHEMA,
    LeakError,
    check_results,
    merge_results,
    read_results,
    results_digest,
    results_frame,
    write_results,
)


@pytest.fixture
def rows(result_row, cohort):
    """Three nodes, p in the federation, a and b (without anomalies) its targets."""
    fine, empty = (2, 1, 5, 2), (0, 1, 9, 0)
    return [
        *(result_row("local", node, counts) for node, counts in (("p", fine), ("a", fine), ("b", empty))),
        result_row("zero_shot", "p", fine, **cohort("participant")),
        *(result_row("zero_shot", node, counts, **cohort("target")) for node, counts in (("a", fine), ("b", empty))),
        *(result_row("transfer", node, counts, **cohort("target")) for node, counts in (("a", fine), ("b", empty))),
    ]


def test_a_sound_table_passes(rows):
    check_results(results_frame(rows))


def test_types_do_not_depend_on_what_is_null(rows):
    only_local = results_frame(rows[:3])
    assert (only_local.dtypes == results_frame(rows).dtypes).all()
    assert (only_local.dtypes == results_frame([]).dtypes).all()


def test_rows_are_in_the_order_of_the_keys_whatever_order_they_came_in(rows):
    frame = results_frame(rows)
    pd.testing.assert_frame_equal(frame, results_frame(rows[::-1]))
    assert frame["policy"].isna().to_list() == [True] * 3 + [False] * 5


def test_nan_and_none_are_the_same_absence(rows):
    rows[0] |= {"policy": float("nan"), "n_participants": np.nan, "training_seconds": None}
    frame = results_frame(rows)
    assert frame["n_participants"].isna().sum() == 3
    assert frame["training_seconds"].isna().all()


def test_reading_gives_back_what_was_written(rows, tmp_path):
    frame = results_frame(rows)
    write_results(frame, tmp_path / "deep" / "results.parquet")
    pd.testing.assert_frame_equal(read_results(tmp_path / "deep" / "results.parquet"), frame)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["results.parquet"]


def test_equal_tables_are_equal_bytes(rows, tmp_path):
    frame = results_frame(rows)
    write_results(frame, tmp_path / "one")
    write_results(frame.sample(frac=1, random_state=1), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_failed_write_leaves_the_old_table(rows, tmp_path):
    path = tmp_path / "results.parquet"
    write_results(results_frame(rows), path)
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_results(results_frame(rows).drop(columns="f1"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_digest_sees_every_column_but_the_measured_time(rows):
    digest = results_digest(results_frame(rows))
    rows[0]["training_seconds"] = 12.5
    assert results_digest(results_frame(rows[::-1])) == digest
    rows[0]["threshold"] = np.nextafter(0.5, 1)
    assert results_digest(results_frame(rows)) != digest


def test_an_unknown_or_missing_column_is_named(rows):
    with pytest.raises(ValueError, match="unknown columns \\['f2'\\]"):
        results_frame([rows[0] | {"f2": 1.0}])
    del rows[0]["auroc"]
    with pytest.raises(ValueError, match="lacks \\['auroc'\\]"):
        results_frame(rows)


def test_merging_keeps_all_rows_and_refuses_a_key_that_occurs_twice(rows):
    frame = results_frame(rows)
    pd.testing.assert_frame_equal(merge_results([frame[4:], frame[:4]]), frame)
    with pytest.raises(ValueError, match=r"keys must be unique; broken in 2 rows.*arm=local, node=a"):
        merge_results([frame, frame[frame["node"] == "a"][:1]])


def test_merging_nothing_is_the_empty_table():
    assert merge_results([]).columns.to_list() == RESULTS_SCHEMA.names


def test_a_target_that_trained_in_its_federation_is_a_leak(rows, result_row, cohort):
    leak = result_row("transfer", "p", (2, 1, 5, 2), **cohort("target"))
    with pytest.raises(LeakError, match=r"1 did, first .*n_participants=1, draw=0, seed=0, node=p"):
        check_results(results_frame([*rows, leak]))


def test_a_leak_is_seen_where_the_draw_is_null(rows, result_row, cohort):
    without_draw = [row | ({"draw": None} if row["policy"] else {}) for row in rows]
    check_results(results_frame(without_draw))
    leak = result_row("transfer", "p", (2, 1, 5, 2), **cohort("target", draw=None))
    with pytest.raises(LeakError):
        check_results(results_frame([*without_draw, leak]))


@pytest.mark.parametrize("other", [{"draw": 1}, {"seed": 1}, {"policy": "random_n"}, {"paradigm": "supervised"}])
def test_a_target_may_have_trained_in_another_federation(rows, other):
    swap = {"p": "a", "a": "p"}
    second = [row | other | {"node": swap.get(row["node"], row["node"])} for row in rows if row["policy"]]
    check_results(results_frame([*rows, *second]))


def test_targets_without_a_list_of_participants_do_not_pass(rows):
    hidden = [row for row in rows if row.get("role") != "participant"]
    with pytest.raises(LeakError, match="must list its n_participants participants"):
        check_results(results_frame(hidden))


@pytest.mark.parametrize(
    ("column", "value", "claim"),
    [
        ("f1", 0.9, "f1 must follow from the counts"),
        ("f1", float("nan"), "f1 must follow from the counts"),
        ("precision", 0.1, "precision must follow"),
        ("tnr", 1.0, "tnr must follow"),
        ("accuracy", 1.0, "accuracy must follow"),
        ("tp", 3, "must be n_test_anomalies"),
        ("tn", 6, "must be n_test_rows"),
        ("auroc", 1.5, "auroc must be in \\[0, 1\\]"),
        ("mcc", -1.5, "mcc must be in \\[-1, 1\\]"),
        ("policy", None, "policy and n_participants must be null together"),
        ("role", None, "rows of a cohort must have a role"),
        ("role", "guest", "role must be target or participant"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(rows, column, value, claim):
    assert rows[-2]["arm"] == "transfer"
    rows[-2][column] = value
    with pytest.raises(ValueError, match=claim):
        check_results(results_frame(rows))


def test_a_metric_of_anomalies_on_a_node_without_them_is_refused(rows):
    rows[-1]["auroc"] = 0.5
    with pytest.raises(ValueError, match=r"auroc must be in .* first .*node=b"):
        check_results(results_frame(rows))


def test_a_draw_without_a_policy_is_refused(rows):
    rows[0]["draw"] = 0
    with pytest.raises(ValueError, match="draw must be null where policy is"):
        check_results(results_frame(rows))


def test_the_key_is_the_nine_columns_of_the_contract():
    assert RESULTS_SCHEMA.names[:9] == list(KEY_COLUMNS)


@pytest.fixture
def halves(result_row, cohort):
    """Five nodes under the policy all: a and b train for c, d and e, and these for a and b."""
    rows = []
    for draw, trained in enumerate(("ab", "cde")):
        for node in "abcde":
            key = cohort("participant" if node in trained else "target", "all", 2, draw)
            rows.append(result_row("zero_shot", node, (2, 2, 14, 2), **key))
    return rows


def test_halves_that_serve_each_other_hold_though_one_is_larger(halves):
    check_results(results_frame(halves))


def of_node(rows, node, draw):
    return next(row for row in rows if (row["node"], row["draw"]) == (node, draw))


def test_a_target_hidden_among_the_participants_of_a_half_is_a_leak(halves):
    of_node(halves, "e", 1)["role"] = "target"
    with pytest.raises(LeakError, match="must be a target of one and listed as a participant of all others"):
        check_results(results_frame(halves))


def test_a_participant_that_is_not_listed_in_its_half_is_a_leak(halves):
    halves.remove(of_node(halves, "e", 1))
    with pytest.raises(LeakError, match="must be a target of one and listed"):
        check_results(results_frame(halves))


def test_the_number_of_the_halves_is_that_of_the_smaller(halves):
    for row in halves:
        row["n_participants"] = 3
    with pytest.raises(LeakError, match="smallest federation"):
        check_results(results_frame(halves))
