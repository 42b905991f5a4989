import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftl.data.fleet import TEST, TRAIN, Fleet
from ftl.federation.descriptions import LEVELS, cosine_similarity, embedding, node_statistics, similarity_of

N_ROWS = 40


def fleet_of(raw, muted=None, in_test=0.0):
    """A fleet of these train rows (K, T, F), each node scaled by its own range, and a test row each."""
    low, high = raw.min(axis=1), raw.max(axis=1)
    scale = np.where(high > low, high - low, 1)
    muted = np.zeros(low.shape, bool) if muted is None else muted
    n_nodes, n_rows, n_features = raw.shape
    x = np.concatenate([(raw - low[:, None]) / scale[:, None], np.full((n_nodes, 1, n_features), in_test)], axis=1)
    x[:, :-1][np.broadcast_to(muted[:, None], raw.shape)] = 0
    part = np.tile(np.r_[np.full(n_rows, TRAIN), TEST], n_nodes)
    return Fleet(
        name="made", origin="simulated", protocol="rigorous", node_ids=tuple(map(str, range(n_nodes))),
        racks=(None,) * n_nodes, features=tuple(f"f{k}" for k in range(n_features)), time_unit="steps",
        window_seconds=None, labels_borrowed=False, x=x.reshape(-1, n_features).astype(np.float32),
        label=np.zeros(len(part), np.int8), time=np.arange(len(part)), part=part.astype(np.int8),
        lent=np.zeros(len(part), bool), start=np.arange(n_nodes + 1) * (n_rows + 1), offset=low.astype(np.float32),
        scale=scale.astype(np.float32), muted=muted, report={}, fingerprint="made",
    )  # fmt: skip


def rows(*centres, seed=0):
    random = np.random.default_rng(seed)
    return np.stack([centre + random.normal(0, 0.1, (N_ROWS, len(centre))) for centre in map(np.array, centres)])


def test_a_node_is_described_by_where_its_values_lie_though_each_is_scaled_by_itself():
    raw = rows((0.0, 5.0), (0.1, 5.1), (0.2, 4.9))
    described = node_statistics(fleet_of(raw)).reshape(3, 2, len(LEVELS))
    low, span = np.median(raw.min(axis=1), axis=0), np.median(np.ptp(raw, axis=1), axis=0)
    expected = (np.quantile(raw, LEVELS, axis=1) - low) / span  # (levels, K, F)
    np.testing.assert_allclose(described, np.moveaxis(expected, 0, -1), atol=1e-4)


def test_a_description_looks_at_train_rows_alone():
    raw = rows((0.0, 5.0), (1.0, 4.0))
    np.testing.assert_array_equal(node_statistics(fleet_of(raw)), node_statistics(fleet_of(raw, in_test=3.0)))


def test_a_muted_feature_says_nothing_of_its_node():
    raw, muted = rows((0.0, 5.0), (0.1, 5.1), (0.2, 5.3)), np.array([[False, True], [False, False], [False, False]])
    raw[0, :, 1] = 77.0
    described = node_statistics(fleet_of(raw, muted)).reshape(3, 2, -1)
    np.testing.assert_allclose(described[0, 1], described[1:, 1].mean(axis=0))
    assert (node_statistics(fleet_of(raw, np.full((3, 2), True))) == 0).all()


def test_nodes_of_one_kind_are_alike_and_those_of_another_are_not():
    similarity = similarity_of(node_statistics(fleet_of(rows((0, 5, 0), (0, 5, 0), (0.3, 5, 0.4), (0.3, 5, 0.4)))))
    assert similarity[0, 1] > 0.9 < similarity[2, 3]
    assert similarity[:2, 2:].max() < -0.5


def test_an_embedding_explains_as_much_of_the_variance_as_it_says_with_as_few_components():
    random = np.random.default_rng(0)
    descriptions = random.normal(size=(8, 20)) * np.linspace(3, 0.1, 20)
    embedded, centred = embedding(descriptions), descriptions - descriptions.mean(axis=0)
    explained = (embedded**2).sum() / (centred**2).sum()
    without_last = (embedded[:, :-1] ** 2).sum() / (centred**2).sum()
    assert explained >= 0.95 > without_last


@given(n_nodes=st.integers(1, 8), seed=st.integers(0, 50))
def test_similarity_is_symmetric_in_minus_one_to_one_and_one_with_itself(n_nodes, seed):
    similarity = similarity_of(np.random.default_rng(seed).normal(size=(n_nodes, 3)))
    np.testing.assert_array_equal(similarity, similarity.T)
    assert (np.abs(similarity) <= 1).all()
    assert (np.diag(similarity) == 1).all()


def test_nodes_that_do_not_differ_are_all_alike():
    assert (similarity_of(np.full((4, 3), 7.0)) == 1).all()


def test_a_node_in_the_middle_of_the_fleet_is_like_none_but_its_like():
    similarity = cosine_similarity(np.array([[1.0, 0], [-1, 0], [0, 0], [0, 0]]))
    assert similarity[2].tolist() == [0, 0, 1, 1]
    assert similarity[0, 1] == pytest.approx(-1)
