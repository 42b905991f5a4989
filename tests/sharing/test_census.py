"""Counting names federates the choice of features: it is the one that all tables side by side would give."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.data.alignment import align
from ftl.errors import TelemetryError
from ftl.sharing import ColumnCensus, ColumnReport, census

names = st.permutations("abcdefgh").flatmap(lambda order: st.integers(1, 8).map(lambda n: tuple(order[:n])))
fleets = st.lists(names, min_size=1, max_size=6)


def reports(tables):
    return [ColumnReport(f"n{node}", columns) for node, columns in enumerate(tables)]


def by_hand(tables, share):
    """With all tables side by side: (intersection, union)."""
    first_seen = list(dict.fromkeys(name for columns in tables for name in columns))
    held_by = {name: sum(name in columns for columns in tables) for name in first_seen}
    common = tuple(name for name in tables[0] if all(name in columns for columns in tables))
    return common, tuple(name for name in first_seen if held_by[name] / len(tables) >= share)


@settings(max_examples=80, deadline=None)
@given(tables=fleets, share=st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_census_chooses_what_all_tables_side_by_side_would(tables, share):
    counted = census(reports(tables))
    assert (counted.intersection(), counted.union(share)) == by_hand(tables, share)


@settings(max_examples=80, deadline=None)
@given(tables=fleets, share=st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_census_chooses_what_prepare_does(tables, share):
    columns = {report.node_id: report.columns for report in reports(tables)}
    counted = census(reports(tables))
    for rule, chosen in (("intersection", counted.intersection()), ("union", counted.union(share))):
        try:
            assert align(rule, columns, share).features == chosen
        except TelemetryError:
            assert chosen == ()


@settings(max_examples=40, deadline=None)
@given(tables=fleets, cut=st.integers(0, 6))
def test_censuses_of_two_halves_add_up(tables, cut):
    whole = census(reports(tables))
    halves = census(reports(tables)[:cut]) + census(reports(tables)[cut:])
    assert halves == whole
    assert list(halves.held_by) == list(whole.held_by), "the order of the features is part of it"


def test_an_empty_fleet_has_no_feature():
    assert ColumnCensus().intersection() == ColumnCensus().union(0.5) == ()


@pytest.mark.parametrize("columns", [(), ("watt", "°C")])
def test_a_report_is_as_long_as_its_names_and_their_ends(columns):
    assert ColumnReport("n0", columns).n_bytes == len("".join(f"{name}\0" for name in columns).encode())


def test_a_name_that_is_known_costs_a_bit_and_a_new_one_its_letters():
    first, second = ColumnReport("n0", tuple("abcdefghi")), ColumnReport("n1", ("a", "fan", "c"))
    known = ColumnCensus() + first
    assert ColumnCensus().reply_bytes(first) == first.n_bytes == 18
    assert known.reply_bytes(second) == 2 + 4, "nine bits take two bytes"
    assert known.n_bytes == 18 + 8 * (1 + 9)
