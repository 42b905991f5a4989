import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION
from ftl.data.split import SPLITS, NodeRows, SplitSettings, choose_split, find_cut_time, lent_rows
from ftl.errors import TelemetryError


def node(n_rows: int, node_id: str = "n1", published: np.ndarray | None = None) -> NodeRows:
    if published is None:
        published = (np.arange(n_rows) >= 0.7 * n_rows).astype(np.int8)
    return NodeRows(node_id, np.arange(n_rows, dtype=np.int64), published)


def counts(part: np.ndarray) -> list[int]:
    return [int((part == value).sum()) for value in (TRAIN, VALIDATION, TEST, GAP)]


@pytest.mark.parametrize("rule", SPLITS.values(), ids=SPLITS)
@given(n_rows=st.integers(0, 200), validation=st.sampled_from([0.0, 0.1, 0.5]), cut=st.integers(-1, 210))
def test_every_row_has_exactly_one_part(rule, n_rows: int, validation: float, cut: int) -> None:
    part = rule(node(n_rows), SplitSettings(validation_fraction=validation, cut_time=cut))
    assert part.shape == (n_rows,)
    assert part.dtype == np.int8
    assert sum(counts(part)) == n_rows
    assert validation or not (part == VALIDATION).any()


@pytest.mark.parametrize("rule", SPLITS.values(), ids=SPLITS)
def test_a_split_repeats_itself(rule) -> None:
    settings = SplitSettings(cut_time=79)
    np.testing.assert_array_equal(rule(node(100), settings), rule(node(100), settings))


def test_a_chronological_split_is_train_validation_gap_test() -> None:
    part = SPLITS["chronological"](node(100), SplitSettings(validation_fraction=0.1, gap=4, cut_time=79))
    np.testing.assert_array_equal(part, [TRAIN] * 72 + [VALIDATION] * 8 + [GAP] * 4 + [TEST] * 16)


def test_a_random_split_takes_an_exact_share_of_each_node() -> None:
    part = SPLITS["random"](node(100), SplitSettings(test_fraction=0.2, validation_fraction=0.0))
    assert counts(part) == [80, 0, 20, 0]
    part = SPLITS["random"](node(100), SplitSettings(test_fraction=0.2, validation_fraction=0.1))
    assert counts(part) == [72, 8, 20, 0]


def test_random_splits_differ_between_nodes_and_seeds() -> None:
    draws = [
        SPLITS["random"](node(100, name), SplitSettings(seed=seed)).tobytes()
        for name in ("n1", "n2")
        for seed in (0, 1)
    ]
    assert len(set(draws)) == 4


def test_a_published_split_is_kept_and_the_end_of_train_validates() -> None:
    part = SPLITS["given"](node(100), SplitSettings(validation_fraction=0.1, gap=4))
    np.testing.assert_array_equal(part, [TRAIN] * 63 + [VALIDATION] * 7 + [TEST] * 30)


def test_the_given_split_needs_a_split_column() -> None:
    with pytest.raises(TelemetryError, match="node n7: no split column"):
        SPLITS["given"](NodeRows("n7", np.arange(5), None), SplitSettings())


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.sampled_from([0.1, 0.2, 0.5]))
def test_the_cut_leaves_the_asked_share_of_the_fleet_after_it(lengths: list[int], fraction: float) -> None:
    times = [np.arange(length + 1) for length in lengths]
    cut = find_cut_time(times, fraction)
    every = np.concatenate(times)
    best = min(abs((every > moment).mean() - fraction) for moment in range(every.max()))
    assert abs((every > cut).mean() - fraction) == pytest.approx(best)
    assert (every > cut).any()
    assert (every <= cut).any()


@given(
    st.lists(st.lists(st.integers(-50, 400), max_size=30).map(sorted), min_size=1, max_size=5),
    st.sampled_from([0.1, 0.2, 0.5, 0.9]),
    st.sampled_from([2, 3, 7, 1000]),
)
def test_the_cut_is_the_one_of_all_times_at_once(times: list[list[int]], fraction: float, n_bins: int) -> None:
    """However coarsely they are counted, and whether or not nodes share a clock."""
    moments, counts = np.unique(np.concatenate([*times, np.empty(0, int)]).astype(int), return_counts=True)
    assume(len(moments) > 1)
    share_after = 1 - np.cumsum(counts)[:-1] / counts.sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ftl.data.split.N_BINS", n_bins)
        cut = find_cut_time([np.array(time, np.int64) for time in times], fraction)
    assert cut == moments[np.argmin(np.abs(share_after - fraction))]


def test_a_fleet_with_one_moment_cannot_be_cut() -> None:
    with pytest.raises(TelemetryError, match="all rows of the fleet have the same time"):
        find_cut_time([np.array([5]), np.array([5])], 0.2)


@pytest.mark.parametrize(
    ("setting", "protocol", "published", "rule"),
    [
        ("protocol", "rigorous", [False, False], "chronological"),
        ("protocol", "paper", [False, False], "random"),
        ("protocol", "rigorous", [True, True], "given"),
        ("protocol", "paper", [True, True], "given"),
        ("random", "rigorous", [True, True], "random"),
        ("chronological", "paper", [True, False], "chronological"),
    ],
)
def test_a_published_split_wins_over_the_protocol(
    setting: str, protocol: str, published: list[bool], rule: str
) -> None:
    assert choose_split(setting, protocol, published) == rule


def test_a_split_column_in_some_nodes_only_is_refused() -> None:
    with pytest.raises(TelemetryError, match="1 of 2 nodes have a split column"):
        choose_split("protocol", "rigorous", [True, False])


def test_the_first_test_rows_are_lent() -> None:
    part = np.array([TRAIN, VALIDATION, GAP, TEST, TEST, TEST, TEST, TEST], np.int8)
    assert lent_rows(part, 0.4).tolist() == [False] * 3 + [True] * 2 + [False] * 3
