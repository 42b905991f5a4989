"""Clustered federated learning: nodes that are alike share a global model, other nodes another."""

from dataclasses import dataclass

import numpy as np

from ftl.federation.selection.candidates import Candidates, Federation, ranked


@dataclass(frozen=True)
class Clustered:
    """One global model per cluster of similar nodes, trained by the cluster's best nodes.

    Clusters come once, from the similarity of what nodes share (agglomerative, average linkage on 1 - similarity), not
    from rounds of training as in IFCA (Ghosh et al., 2020). The n participants are shared out over the clusters as
    evenly as possible, the larger cluster first, each leaving a target in its cluster while another has room; within a
    cluster they are taken by rank. A target receives its cluster's model, or, where no node of its cluster trains, the
    model whose participants are most similar to it on average.

    Attributes:
        n_clusters: How many clusters; as many as there are nodes, where these are fewer.
    """

    n_clusters: int = 2

    def __call__(self, candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
        """The participants of all clusters."""
        return np.sort(np.concatenate([one.participants for one in self.federations(candidates, n, random)]))

    def federations(self, candidates: Candidates, n: int, random: np.random.Generator) -> list[Federation]:
        """One federation per cluster that has participants, in the order of the clusters' first nodes."""
        similarity = candidates.needed("similarity", "clustered")
        cluster = clusters_of(similarity, self.n_clusters)
        seats = _seats(np.bincount(cluster), n)
        order = ranked(candidates)
        trains = [np.sort(order[cluster[order] == number][:n_seats]) for number, n_seats in enumerate(seats) if n_seats]
        model_of = {int(cluster[participants[0]]): model for model, participants in enumerate(trains)}
        near = np.stack([similarity[:, participants].mean(axis=1) for participants in trains], axis=1)  # (K, models)
        receives = np.array([model_of.get(int(own), int(near[node].argmax())) for node, own in enumerate(cluster)])
        receives[np.concatenate(trains)] = -1
        return [Federation(participants, np.flatnonzero(receives == k)) for k, participants in enumerate(trains)]


def clusters_of(similarity: np.ndarray, n_clusters: int) -> np.ndarray:
    """The cluster of each node, shape (K,), numbered by their first nodes."""
    n_clusters = min(n_clusters, len(similarity))
    if n_clusters == 1:
        return np.zeros(len(similarity), np.int64)
    from sklearn.cluster import AgglomerativeClustering  # takes long to import

    tree = AgglomerativeClustering(n_clusters=n_clusters, metric="precomputed", linkage="average")
    found = tree.fit_predict(np.clip(1.0 - similarity, 0.0, None))
    _, first, number = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[number], dtype=np.int64)


def _seats(sizes: np.ndarray, n: int) -> np.ndarray:
    """How many of n participants each cluster has, shape (clusters,)."""
    seats = np.zeros(len(sizes), np.int64)
    largest_first = np.lexsort((np.arange(len(sizes)), -sizes))
    for most in (sizes - 1, sizes):  # first leave every cluster a target
        while seats.sum() < n and (seats < most).any():
            for cluster in largest_first:
                if seats[cluster] < most[cluster] and seats.sum() < n:
                    seats[cluster] += 1
    return seats
