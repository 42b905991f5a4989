import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from ftl.reporting.pictures.centrality import mean_similarity, similarity_matrix, spearman
from ftl.reporting.pictures.similarity import node_values, pictures
from ftl.reporting.pictures.subject import Subject


def test_rho_is_scipys_with_ties_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 6, 40).astype(float)
    y = x + rng.normal(0, 3, 40)
    found = spearman(x, y)
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert -1 <= found.low < found.rho < found.high <= 1
    assert spearman(x, y) == found


def test_the_verdict_follows_from_the_interval() -> None:
    x = np.arange(20.0)
    assert str(spearman(x, x**3)).endswith("over 20 nodes: positive")
    assert str(spearman(x, -x)).endswith("negative")
    assert str(spearman(x, np.sin(97 * x))).endswith("no correlation shown")


def test_too_few_nodes_or_equal_values_have_no_correlation() -> None:
    x = np.arange(6.0)
    for a, b in ((x[:4], x[:4]), (x, np.ones(6)), (np.array([0, 1, 2, 3, 4, np.nan]), np.array([np.nan, *x[1:]]))):
        found = spearman(a, b)
        assert np.isnan(found.rho)
        assert "undefined" in str(found)
    assert spearman(np.append(x, np.nan), np.append(x, 3)).n == 6


def test_a_matrix_is_the_mean_over_seeds_whichever_way_a_pair_is_listed() -> None:
    pairs = pd.DataFrame({"node_a": ["a", "b", "c"], "node_b": ["b", "a", "a"], "cka": [0.2, 0.4, 0.7]})
    matrix = similarity_matrix(pairs, ["a", "b", "c"], "cka")
    np.testing.assert_allclose(matrix, [[1, 0.3, 0.7], [0.3, 1, np.nan], [0.7, np.nan, 1]])
    np.testing.assert_allclose(mean_similarity(matrix), [0.5, 0.3, 0.7])


def test_nodes_stand_from_the_best_local_model_to_the_worst(subject: Subject) -> None:
    nodes = node_values(subject, "unsupervised", ["a", "b", "c", "d", "p", "q"])
    assert nodes.index.tolist() == ["q", "p", "d", "c", "b", "a"]
    assert nodes["share"].fillna(0).tolist() == [1, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(nodes["gain"].to_numpy(), [np.nan, np.nan, 0, 0, -0.1, 0.1], atol=1e-12)
    assert nodes["closeness"].tolist() == [-3, -2, -1, -1, -2, -3]


def test_the_caption_says_what_centrality_has_to_do_with_f1_and_with_the_gain(subject: Subject) -> None:
    (picture,) = pictures(subject)
    assert picture.paradigm == "unsupervised"
    assert "mean CKA: with local F1 " in picture.caption
    assert "over 6 nodes" in picture.caption
    assert "with ΔF1 undefined (4 nodes" in picture.caption
    assert "mean cosine: with local F1 undefined" in picture.caption


def test_one_measure_alone_and_no_results_still_make_a_picture(subject: Subject) -> None:
    alone = Subject("d1", "rigorous", "d1", similarity=subject.similarity.drop(columns="cka"))
    (picture,) = pictures(alone)
    assert "mean cosine: with local F1 undefined (0 nodes" in picture.caption
