import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ftl.data.cleaning import (
    MISSING_POLICIES,
    NOT_FILLED,
    MissingCells,
    MissingPolicy,
)

TABLES = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 20))).map(
    lambda missing: np.where(missing, np.nan, np.float32(1))
)


@given(TABLES)
def test_missing_cells_keep_every_gap(values: np.ndarray) -> None:
    cells = MissingCells.of(values)
    mask = np.zeros(values.shape, bool)
    mask[cells.rows] = cells.mask()
    np.testing.assert_array_equal(mask, np.isnan(values))
    np.testing.assert_array_equal(cells.empty_columns(), np.isnan(values).all(axis=0))


@given(TABLES, st.data())
def test_complete_rows_have_a_value_in_every_chosen_column(values: np.ndarray, data: st.DataObject) -> None:
    columns = data.draw(st.lists(st.integers(0, values.shape[1] - 1), min_size=1, unique=True))
    complete = MissingCells.of(values).gaps([*columns, None]).complete_rows()
    np.testing.assert_array_equal(complete, ~np.isnan(values[:, columns]).any(axis=1))


def test_only_rows_with_a_value_speak_of_a_column_and_only_nodes_that_have_it() -> None:
    values = np.array([[1, np.nan], [np.nan, np.nan], [1, 1], [1, np.nan]], np.float32)
    gaps = MissingCells.of(values).gaps([0, None, 1])
    missing, looked_at = gaps.count(np.array([True, True, True, False]))
    assert (missing.tolist(), looked_at.tolist()) == ([0, 0, 1], [2, 0, 2])  # row 1 is silent, row 3 not looked at


def carried(values: np.ndarray, time: np.ndarray, reach: float) -> np.ndarray:
    """The table after forward fill, cell by cell and row by row."""
    result = values.copy()
    for column in range(values.shape[1]):
        for row in range(len(values)):
            past = [other for other in range(row) if not np.isnan(values[other, column])]
            if np.isnan(values[row, column]) and past and time[row] - time[past[-1]] <= reach:
                result[row, column] = values[past[-1], column]
    return result


@given(TABLES, st.integers(1, 5), st.data())
def test_forward_fill_carries_the_last_value_no_longer_than_it_may(
    values: np.ndarray, reach: int, data: st.DataObject
) -> None:
    values = np.where(np.isnan(values), np.nan, np.arange(values.size).reshape(values.shape))
    steps = data.draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values)))
    time = np.cumsum(steps)
    gaps = MissingCells.of(values).gaps(range(values.shape[1]))
    filled = MISSING_POLICIES["forward_fill"].fill(gaps, time, reach)
    result = values.copy()
    for row, missing, source in zip(gaps.rows, gaps.missing, filled, strict=True):
        for column in np.flatnonzero(missing & (source != NOT_FILLED)):
            result[row, column] = values[source[column], column]
    np.testing.assert_array_equal(result, carried(values, time, reach))
    np.testing.assert_array_equal(gaps.after(filled).complete_rows(), ~np.isnan(result).any(axis=1))


@pytest.mark.parametrize("policy", MISSING_POLICIES.values(), ids=MISSING_POLICIES)
@given(values=TABLES)
def test_a_policy_fills_only_from_rows_before(policy: MissingPolicy, values: np.ndarray) -> None:
    gaps = MissingCells.of(values).gaps(range(values.shape[1]))
    filled = policy.fill(gaps, np.arange(len(values)), 3)
    assert filled.shape == gaps.missing.shape
    assert (filled < gaps.rows[:, None]).all()
    carried_from = filled[gaps.missing & (filled >= 0)]
    columns = np.nonzero(gaps.missing & (filled >= 0))[1]
    assert not np.isnan(values[carried_from, columns]).any()


def test_zero_leaves_nothing_missing() -> None:
    gaps = MissingCells.of(np.full((3, 2), np.nan, np.float32)).gaps([0, 1])
    assert gaps.after(MISSING_POLICIES["zero"].fill(gaps, np.arange(3), 1)).complete_rows().all()
