import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ftl.data.cleaning import MISSING_POLICIES, MissingCells

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
    complete = MissingCells.of(values).complete_rows(columns)
    np.testing.assert_array_equal(complete, ~np.isnan(values[:, columns]).any(axis=1))


def test_only_rows_with_a_value_speak_of_a_column() -> None:
    values = np.array([[1, np.nan], [np.nan, np.nan], [1, 1], [1, np.nan]], np.float32)
    counts, n_rows = MissingCells.of(values).count(np.array([True, True, True, False]), [0, 1])
    assert (counts.tolist(), n_rows) == ([0, 1], 2)  # row 1 is silent, row 3 is not looked at


def test_drop_columns_then_rows_gives_up_columns_above_the_share() -> None:
    keep = MISSING_POLICIES["drop_columns_then_rows"](np.array([0.0, 0.2, 0.21, 1.0]), 0.2)
    assert keep.tolist() == [True, True, False, False]


def test_drop_rows_keeps_every_column() -> None:
    assert MISSING_POLICIES["drop_rows"](np.array([0.0, 0.9]), 0.2).all()


@pytest.mark.parametrize("policy", MISSING_POLICIES.values(), ids=MISSING_POLICIES)
def test_a_policy_keeps_columns_without_a_gap(policy) -> None:
    assert policy(np.zeros(5), 0.0).tolist() == [True] * 5
