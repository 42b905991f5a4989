import numpy as np
import pytest

from ftl.federation.selection import Candidates, Clustered
from ftl.federation.selection.clustered import clusters_of
from ftl.randomness import generator


def of_kinds(*kinds):
    """Nodes that are like those of their kind, and a little like those of a neighbouring kind."""
    kind = np.array(kinds, float)
    return 1 - np.minimum(np.abs(kind[:, None] - kind), 2) * 0.9


def formed(kinds, n, n_clusters=2, f1=None):
    f1 = np.arange(len(kinds), 0, -1) / 10 if f1 is None else np.array(f1)
    known = Candidates(f1, np.zeros(len(kinds)), similarity=of_kinds(*kinds))
    found = Clustered(n_clusters).federations(known, n, generator(0))
    return [(one.participants.tolist(), one.served.tolist()) for one in found]


def test_planted_clusters_are_found_and_numbered_by_their_first_nodes():
    assert clusters_of(of_kinds(5, 5, 0, 5, 0, 9), 3).tolist() == [0, 0, 1, 0, 1, 2]
    assert clusters_of(of_kinds(1, 2, 3), 1).tolist() == [0, 0, 0]
    assert sorted(clusters_of(of_kinds(1, 2), 5)) == [0, 1], "no more clusters than nodes"


def test_a_cluster_is_served_by_the_model_of_its_best_nodes():
    assert formed((0, 0, 0, 5, 5, 5), 2) == [([0], [1, 2]), ([3], [4, 5])]
    assert formed((0, 0, 0, 5, 5, 5), 4, f1=[0.1, 0.2, 0.3, 0.9, 0.1, 0.8]) == [([1, 2], [0]), ([3, 5], [4])]


def test_seats_are_even_and_the_larger_cluster_has_the_odd_one():
    assert formed((0, 0, 5, 5, 5, 5), 3) == [([0], [1]), ([2, 3], [4, 5])]


def test_a_cluster_keeps_a_target_while_another_has_room():
    assert formed((0, 0, 5, 5, 5, 5), 4) == [([0], [1]), ([2, 3, 4], [5])]
    assert formed((0, 0, 5, 5), 3) == [([0, 1], []), ([2], [3])], "the last seat must be somebody's"


@pytest.mark.parametrize("n", [1, 2])
def test_a_cluster_without_participants_is_served_by_the_most_similar_model(n):
    """Node 4 is alone in its cluster: would it train, nobody were served by it. Kind 4 is nearer to 5 than to 0."""
    federations = formed((0, 0, 5, 5, 4), n, n_clusters=3)
    serves = next(participants for participants, served in federations if 4 in served)
    assert serves == ([0] if n == 1 else [2])
