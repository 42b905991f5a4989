import numpy as np
import pytest

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet
from ftl.errors import ConfigError
from ftl.learning.objectives import (
    SEMI_SUPERVISED_LOSSES,
    SUPERVISED_LOSSES,
    cross_entropy,
    hinge_loss,
    reconstruction_loss,
)
from ftl.learning.paradigms import PARADIGMS, SupervisionSettings

DEFAULT = SupervisionSettings()
UNSUPERVISED, SEMI, SUPERVISED = (PARADIGMS[name] for name in ("unsupervised", "semi_supervised", "supervised"))
EACH = pytest.mark.parametrize("paradigm", PARADIGMS.values(), ids=PARADIGMS)
EACH_FLEET = pytest.mark.parametrize("labels_borrowed", [False, True], ids=["own labels", "labels borrowed"])
N_ROWS = 1000


def make_fleet(labels_borrowed: bool = False, n_nodes: int = 2, train_label: np.ndarray | None = None) -> Fleet:
    """Nodes of 1000 rows: 600 train, 100 validation, 20 gap, 280 test.

    One row in ten of each part is an anomaly and one in ten is unlabelled. Where labels are borrowed, nothing is
    labelled before the test part, and the first 112 test rows lend their labels.
    """
    part = np.repeat([TRAIN, VALIDATION, GAP, TEST], [600, 100, 20, 280]).astype(np.int8)
    label = np.zeros(N_ROWS, np.int8)
    label[3::10], label[7::10] = 1, -1
    lent = np.zeros(N_ROWS, bool)
    if labels_borrowed:
        label[part != TEST] = -1
        lent[720:832] = True
    if train_label is not None:
        label[part == TRAIN] = train_label
    tile = (n_nodes, 1)
    return Fleet(
        name="toy",
        origin="simulated",
        protocol="rigorous",
        node_ids=tuple(f"n{node}" for node in range(n_nodes)),
        racks=(None,) * n_nodes,
        features=("a",),
        time_unit="steps",
        window_seconds=None,
        labels_borrowed=labels_borrowed,
        x=np.zeros((n_nodes * N_ROWS, 1), np.float32),
        label=np.tile(label, tile).ravel(),
        time=np.tile(np.arange(N_ROWS), tile).ravel(),
        part=np.tile(part, tile).ravel(),
        lent=np.tile(lent, tile).ravel(),
        start=np.arange(n_nodes + 1) * N_ROWS,
        offset=np.zeros((n_nodes, 1), np.float32),
        scale=np.ones((n_nodes, 1), np.float32),
        muted=np.zeros((n_nodes, 1), bool),
        report={},
        fingerprint="toy",
    )


@EACH
@EACH_FLEET
@pytest.mark.parametrize("node", [0, 1])
def test_a_paradigm_trains_on_the_nodes_own_train_rows_and_on_lent_rows_only_where_it_needs_labels(
    paradigm, labels_borrowed, node
):
    fleet = make_fleet(labels_borrowed)
    found = paradigm.train_rows(fleet, node, DEFAULT, seed=0)
    allowed = fleet.rows(node, TRAIN)
    if paradigm.needs_labels:
        test = fleet.rows(node, TEST)
        allowed = np.concatenate([allowed, test[fleet.lent[test]]])
    assert len(found.rows) >= 1
    assert np.isin(found.rows, allowed).all()
    assert (np.diff(found.rows) > 0).all(), "rows are distinct and in time order"


@EACH
@EACH_FLEET
def test_rows_labels_and_weights_belong_together(paradigm, labels_borrowed):
    fleet = make_fleet(labels_borrowed)
    found = paradigm.train_rows(fleet, 1, DEFAULT, seed=0)
    assert found.rows.shape == found.label.shape == found.weight.shape
    assert (found.label.dtype, found.weight.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(found.label, fleet.label[found.rows] == 1)
    assert (found.weight > 0).all()
    assert found.weight.mean() == pytest.approx(1, rel=1e-6)
    np.testing.assert_array_equal(found.normal, found.rows[fleet.label[found.rows] != 1])


@EACH
@EACH_FLEET
def test_no_row_is_both_trained_on_and_scored(paradigm, labels_borrowed):
    fleet = make_fleet(labels_borrowed)
    for node in range(2):
        trained, scored = paradigm.train_rows(fleet, node, DEFAULT, seed=0).rows, paradigm.test_rows(fleet, node)
        assert len(np.intersect1d(trained, scored)) == 0


@EACH
def test_lent_rows_are_scored_only_where_no_labels_are_needed(paradigm):
    fleet = make_fleet(labels_borrowed=True)
    scored, test = paradigm.test_rows(fleet, 1), fleet.rows(1, TEST)
    np.testing.assert_array_equal(scored, test[112:] if paradigm.needs_labels else test)


@EACH
def test_where_nothing_is_lent_the_whole_test_part_is_scored(paradigm):
    fleet = make_fleet()
    np.testing.assert_array_equal(paradigm.test_rows(fleet, 1), fleet.rows(1, TEST))


def test_unsupervised_training_sees_no_labelled_anomaly_and_every_other_row():
    fleet = make_fleet()
    found = UNSUPERVISED.train_rows(fleet, 0, DEFAULT, seed=0)
    train = fleet.rows(0, TRAIN)
    np.testing.assert_array_equal(found.rows, train[fleet.label[train] != 1])
    assert (found.label == 0).all()


def test_unsupervised_training_on_all_rows_uses_no_label_at_all():
    fleet = make_fleet()
    found = UNSUPERVISED.train_rows(fleet, 0, SupervisionSettings(train_rows="all"), seed=0)
    np.testing.assert_array_equal(found.rows, fleet.rows(0, TRAIN))
    assert (found.label == 0).all()
    assert (found.weight == 1).all()


@pytest.mark.parametrize(("fraction", "n_expected"), [(0.25, 15), (0.5, 30), (1.0, 60), (0.001, 1)])
def test_semi_supervised_training_sees_all_normal_rows_and_the_stated_fraction_of_anomalies(fraction, n_expected):
    fleet = make_fleet()
    found = SEMI.train_rows(fleet, 0, SupervisionSettings(anomaly_fraction=fraction), seed=0)
    train = fleet.rows(0, TRAIN)
    assert found.label.sum() == n_expected
    np.testing.assert_array_equal(found.rows[found.label == 0], train[fleet.label[train] != 1])


@pytest.mark.parametrize(("fraction", "n_anomalous", "n_normal"), [(0.25, 15, 120), (0.5, 30, 240), (1.0, 60, 480)])
def test_supervised_training_sees_the_stated_fraction_of_each_class_and_no_unlabelled_row(
    fraction, n_anomalous, n_normal
):
    fleet = make_fleet()
    found = SUPERVISED.train_rows(fleet, 0, SupervisionSettings(label_fraction=fraction), seed=0)
    assert ((found.label == 1).sum(), (found.label == 0).sum()) == (n_anomalous, n_normal)
    assert (fleet.label[found.rows] >= 0).all()


def test_balanced_weights_give_both_classes_the_same_say_and_none_gives_each_row_the_same():
    fleet = make_fleet()
    balanced = SUPERVISED.train_rows(fleet, 0, DEFAULT, seed=0)
    assert balanced.weight[balanced.label == 1].sum() == pytest.approx(balanced.weight[balanced.label == 0].sum())
    assert len(np.unique(balanced.weight)) == 2
    plain = SUPERVISED.train_rows(fleet, 0, SupervisionSettings(class_weight="none"), seed=0)
    assert (plain.weight == 1).all()


def test_borrowed_labels_bring_the_lent_anomalies_and_semi_supervised_training_no_lent_normal_row():
    fleet = make_fleet(labels_borrowed=True)
    settings = SupervisionSettings(anomaly_fraction=1.0, label_fraction=1.0)
    lent = np.flatnonzero(fleet.lent)
    lent = lent[lent < N_ROWS]  # those of node 0
    semi, supervised = (paradigm.train_rows(fleet, 0, settings, seed=0) for paradigm in (SEMI, SUPERVISED))
    np.testing.assert_array_equal(semi.rows[semi.label == 1], lent[fleet.label[lent] == 1])
    np.testing.assert_array_equal(semi.rows[semi.label == 0], fleet.rows(0, TRAIN))
    np.testing.assert_array_equal(supervised.rows[supervised.label == 1], lent[fleet.label[lent] == 1])
    np.testing.assert_array_equal(supervised.rows[supervised.label == 0], lent[fleet.label[lent] == 0])


def test_where_no_row_is_labelled_normal_unlabelled_ones_stand_in():
    train_label = np.where(np.arange(600) % 10 == 3, 1, -1)
    fleet = make_fleet(train_label=train_label)
    found = SUPERVISED.train_rows(fleet, 0, DEFAULT, seed=0)
    assert ((found.label == 1).sum(), (found.label == 0).sum()) == (15, 135)
    assert (fleet.label[found.rows[found.label == 0]] == -1).all()


@EACH
def test_a_node_without_anomalies_trains_on_normal_rows_of_equal_weight(paradigm):
    found = paradigm.train_rows(make_fleet(train_label=np.zeros(600, np.int8)), 0, DEFAULT, seed=0)
    assert len(found.rows) == (150 if paradigm is SUPERVISED else 600)
    assert (found.label == 0).all()
    assert (found.weight == 1).all()


@pytest.mark.parametrize("paradigm", [SEMI, SUPERVISED], ids=lambda p: p.name)
def test_which_labels_are_seen_depends_on_seed_and_node_and_on_nothing_else(paradigm):
    small, large = make_fleet(), make_fleet(n_nodes=5)
    one = paradigm.train_rows(small, 0, DEFAULT, seed=0)
    np.testing.assert_array_equal(one.rows, paradigm.train_rows(large, 0, DEFAULT, seed=0).rows)
    assert not np.array_equal(one.rows, paradigm.train_rows(small, 0, DEFAULT, seed=1).rows)
    assert not np.array_equal(one.rows + N_ROWS, paradigm.train_rows(small, 1, DEFAULT, seed=0).rows)


def test_each_paradigm_trains_its_network_for_its_loss():
    assert [(p.network, p.needs_labels, p.objective(DEFAULT)) for p in (UNSUPERVISED, SEMI, SUPERVISED)] == [
        ("autoencoder", False, reconstruction_loss),
        ("autoencoder", True, hinge_loss),
        ("classifier", True, cross_entropy),
    ]


def test_the_loss_of_a_paradigm_is_the_one_that_the_settings_name():
    for name, loss in SEMI_SUPERVISED_LOSSES.items():
        assert SEMI.objective(SupervisionSettings(semi_loss=name)) is loss
        assert UNSUPERVISED.objective(SupervisionSettings(semi_loss=name)) is reconstruction_loss
    for name, loss in SUPERVISED_LOSSES.items():
        assert SUPERVISED.objective(SupervisionSettings(supervised_loss=name)) is loss


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"train_rows": "some"}, "supervision.train_rows"),
        ({"semi_loss": "mse"}, "supervision.semi_loss"),
        ({"supervised_loss": "hinge"}, "supervision.supervised_loss"),
        ({"class_weight": "heavy"}, "supervision.class_weight"),
        ({"anomaly_fraction": 0.0}, "supervision.anomaly_fraction"),
        ({"anomaly_fraction": 1.1}, "supervision.anomaly_fraction"),
        ({"label_fraction": -0.25}, "supervision.label_fraction"),
        ({"label_fraction": float("nan")}, "supervision.label_fraction"),
    ],
    ids=str,
)
def test_wrong_supervision_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError, match=named):
        SupervisionSettings(**wrong)
