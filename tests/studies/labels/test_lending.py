import numpy as np
import pytest

from ftl.data.fleet import TEST, TRAIN, VALIDATION, read_fleet
from ftl.errors import UserError
from ftl.studies.labels.lending import Lending
from ftl.studies.telemetry import FleetTelemetry


def test_where_anomalies_precede_the_test_part_their_labels_are_lent_and_all_test_rows_judged(lent_fleet):
    fleet = read_fleet(lent_fleet)
    lending, plain = Lending.of(fleet, 5.0), FleetTelemetry(fleet)
    for node in range(len(fleet.node_ids)):
        labelled, before = lending.labelled(node), fleet.rows(node, TRAIN, VALIDATION)
        np.testing.assert_array_equal(labelled.time, fleet.time[before])
        np.testing.assert_array_equal(labelled.label, fleet.label[before])
        np.testing.assert_array_equal(lending.judged.node(node).test, plain.node(node).test)
    assert not lending.from_test


def test_lent_rows_are_in_the_units_of_the_history(lent_fleet):
    lending = Lending.of(read_fleet(lent_fleet), 5.0)
    labelled, one = lending.labelled(2), lending.judged.node(2)
    np.testing.assert_array_equal(labelled.rows[labelled.label != 1], one.history)


def test_a_participants_model_sees_nothing_of_its_later_labelled_rows(lent_fleet):
    lending = Lending.of(read_fleet(lent_fleet), 5.0)
    labelled = lending.labelled(1)
    later = labelled.parted(0.4)
    one = lending.participant(1, labelled, 0.4)
    assert later.sum() == round(0.4 * len(later))
    assert one.history_time.max() < labelled.time[later].min()
    assert len(one.history) == len(one.history_time) > 0


@pytest.fixture(scope="module")
def borrowing(lent_tables, study_fleet):
    tables = lent_tables()
    for table in tables.values():
        table.loc[table["step"] < 195, "label"] = 0
    return read_fleet(study_fleet(tables, "prepare.lend_fraction=0.6"))


def test_where_none_does_the_first_test_rows_lend_theirs_and_are_judged_no_more(borrowing):
    lending = Lending.of(borrowing, 5.0)
    assert lending.from_test
    for node in range(len(borrowing.node_ids)):
        labelled, judged = lending.labelled(node), lending.judged.node(node)
        assert labelled.time.max() < judged.test_time.min()
        assert len(labelled.time) + len(judged.test_time) == len(borrowing.rows(node, TEST))
        assert labelled.n_anomalies > 0


def test_then_a_participant_keeps_its_whole_history(borrowing):
    lending = Lending.of(borrowing, 5.0)
    one = lending.participant(0, lending.labelled(0), 0.5)
    np.testing.assert_array_equal(one.history, lending.judged.node(0).history)


def test_unknown_labels_are_counted(lent_tables, study_fleet):
    tables = lent_tables()
    tables["n1"]["label"] = tables["n1"]["label"].astype("Int8")
    tables["n1"].loc[20:29, "label"] = None
    lending = Lending.of(read_fleet(study_fleet(tables)), 5.0)
    assert [lending.labelled(node).n_unknown for node in (0, 1)] == [0, 10]


def test_a_fleet_without_any_label_to_lend_is_refused_with_the_remedy(lent_tables, study_fleet):
    tables = {name: table.drop(columns="label") for name, table in lent_tables().items()}
    with pytest.raises(UserError, match=r"no label to lend.*unknown label.*bring-your-own-cluster"):
        Lending.of(read_fleet(study_fleet(tables)), 5.0)
