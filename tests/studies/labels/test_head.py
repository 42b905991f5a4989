from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.evaluation.ranking import auroc
from ftl.sharing.sizes import NUMBER_BYTES
from ftl.studies.labels.head import class_sums, discriminant, pooled, residual_features


def labelled(seed, n_rows=300, n_features=4, share=0.1):
    """Rows whose anomalies lie one standard deviation off in the first two features, which are correlated."""
    random = np.random.default_rng(seed)
    label = (random.random(n_rows) < share).astype(np.int8)
    label[:2] = (0, 1)
    rows = random.normal(size=(n_rows, n_features))
    rows[:, 1] += 0.8 * rows[:, 0]
    rows[label == 1, :2] += (1.0, -1.0)
    return rows * np.arange(1, n_features + 1) + 3.0, label


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 299), max_size=6), shrinkage=st.sampled_from([0.1, 1.0]))
def test_the_head_of_nodes_sums_is_that_of_their_pooled_rows(seed, cuts, shrinkage):
    rows, label = labelled(seed)
    ends = sorted({0, *cuts, len(rows)})
    nodes = [class_sums(rows[a:b], label[a:b]) for a, b in pairwise(ends)]
    federated = discriminant(pooled(nodes, rows.shape[1]), shrinkage)
    together = discriminant(class_sums(rows, label), shrinkage)
    np.testing.assert_allclose(federated.weight, together.weight, rtol=1e-7, atol=1e-9)
    assert federated.bias == pytest.approx(together.bias, rel=1e-7, abs=1e-9)


def test_without_shrinkage_to_speak_of_it_is_fishers_discriminant():
    rows, label = labelled(1, n_rows=2000)
    head = discriminant(class_sums(rows, label), 1e-9)
    normal, anomalous = rows[label == 0], rows[label == 1]
    centred = np.concatenate([part - part.mean(axis=0) for part in (normal, anomalous)])
    fisher = np.linalg.solve(centred.T @ centred / len(rows), anomalous.mean(axis=0) - normal.mean(axis=0))
    np.testing.assert_allclose(head.weight, fisher, rtol=1e-5)
    middle = (normal.mean(axis=0) + anomalous.mean(axis=0)) / 2
    assert head(middle[None])[0] == pytest.approx(0.0, abs=1e-9)


def test_it_ranks_anomalies_of_rows_it_has_not_seen():
    head = discriminant(class_sums(*labelled(2, n_rows=1000)), 0.5)
    rows, label = labelled(3, n_rows=1000)
    assert auroc(head(rows), label) > 0.85


def test_with_full_shrinkage_features_count_by_themselves_whatever_their_units():
    rows, label = labelled(4)
    factor = np.array([1.0, 1e3, 1e-3, 7.0])
    head, in_others = (discriminant(class_sums(part, label), 1.0) for part in (rows, rows * factor))
    np.testing.assert_allclose(in_others.weight * factor, head.weight, rtol=1e-6)


def test_rows_of_unknown_label_have_no_part_in_it():
    rows, label = labelled(5)
    unknown = label.copy()
    unknown[100:] = -1
    sums = class_sums(rows, unknown)
    assert sums.normal.n_rows + sums.anomalous.n_rows == 100
    np.testing.assert_array_equal(
        discriminant(sums, 0.5).weight, discriminant(class_sums(rows[:100], label[:100]), 0.5).weight
    )


def test_without_an_anomaly_or_without_a_normal_row_there_is_no_head():
    rows, label = labelled(6)
    assert discriminant(class_sums(rows, np.zeros_like(label)), 0.5) is None
    assert discriminant(class_sums(rows, np.ones_like(label)), 0.5) is None
    assert discriminant(pooled([], 4), 0.5) is None


def test_a_feature_that_never_changes_has_no_weight():
    rows, label = labelled(7)
    rows[:, 2] = 5.0
    head = discriminant(class_sums(rows, label), 0.5)
    assert head.weight[2] == 0
    assert np.isfinite(head(rows)).all()


def test_fewer_anomalies_than_features_still_make_a_head():
    rows, label = labelled(8, n_rows=40, n_features=60, share=0.0)
    assert label.sum() == 1
    assert np.isfinite(discriminant(class_sums(rows, label), 0.5)(rows)).all()


def test_a_node_can_take_its_own_rows_out_of_the_pooled_sums():
    parts = [class_sums(*labelled(seed)) for seed in (1, 2)]
    rest = pooled(parts, 4).without(parts[0])
    np.testing.assert_allclose(discriminant(rest, 0.5).weight, discriminant(parts[1], 0.5).weight, rtol=1e-7)


def test_what_is_sent_are_two_counts_two_sums_and_two_matrices():
    assert class_sums(*labelled(1)).n_bytes == 2 * (1 + 4 + 16) * NUMBER_BYTES


def test_features_are_logarithms_of_squared_residuals_over_their_variance_and_bounded():
    features = residual_features(np.array([[0.0, 2.0, 1e9]]), np.array([1.0, 2.0, 1.0]))
    np.testing.assert_allclose(features, np.log([[0.1, 2.0, 1e4]]), rtol=1e-6)
