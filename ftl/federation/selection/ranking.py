"""The paper's node selection strategies (section 4.3.1), and the ranking that needs no label."""

import numpy as np

from ftl.federation.selection.candidates import Candidates, ranked


def top_n(candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
    """The n nodes whose local model has the highest F1 (paper, section 4.3.1).

    Nodes without a defined F1 (no anomaly among the ranking rows) come after those with one; ties go to the lower loss,
    then to the earlier node.
    """
    return np.sort(ranked(candidates)[:n])


def random_n(candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
    """n nodes drawn at random without replacement."""
    return np.sort(random.permutation(len(candidates.f1))[:n])


def label_free(candidates: Candidates, n: int, random: np.random.Generator) -> np.ndarray:
    """The n nodes whose local model has the lowest loss on the ranking rows, no label looked at; ties: earlier node."""
    loss = candidates.needed("unlabelled_loss", "label_free")
    loss = np.where(np.isnan(loss), np.inf, loss)
    return np.sort(np.lexsort((np.arange(len(loss)), loss))[:n])
