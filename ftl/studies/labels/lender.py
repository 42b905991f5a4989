"""A participant that lends labels: what it sends of them, and its vote on how scores are put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.evaluation.ranking import average_precision
from ftl.studies.labels.combination import WEIGHTS, Yardstick, mixture
from ftl.studies.labels.head import ClassSums, LinearHead, class_sums, discriminant
from ftl.studies.labels.lending import LabelledRows
from ftl.studies.labels.reading import LATENT, RESIDUAL, NodeReader, Reading

LEAST_SCORE = 1e-6
"""Of `nres` before its logarithm; about 1 is usual."""


@dataclass(frozen=True)
class Lender:
    """A node with labelled rows, cut in time into an earlier and a later part, and read.

    Attributes:
        labelled: With unknown labels among them.
        parts: Both parts, read; their labels (-1 unknown) are in `labels`, and their sums, by kind of features, in
            `sums`.
    """

    reader: NodeReader
    labelled: LabelledRows
    parts: tuple[Reading, Reading]
    labels: tuple[np.ndarray, np.ndarray]
    sums: tuple[Mapping[str, ClassSums], Mapping[str, ClassSums]]

    @classmethod
    def of(cls, reader: NodeReader, labelled: LabelledRows, validation_share: float) -> "Lender":
        later = labelled.parted(validation_share)
        first, last = (reader.read(labelled.rows[which], labelled.time[which]) for which in (~later, later))
        labels = labelled.label[~later], labelled.label[later]
        return cls(reader, labelled, (first, last), labels, (_sums(first, labels[0]), _sums(last, labels[1])))

    @property
    def all_sums(self) -> dict[str, ClassSums]:
        """Of all labelled rows, by kind of features."""
        earlier, later = self.sums
        return {kind: earlier[kind] + later[kind] for kind in earlier}

    def vote(self, pooled_parts: Sequence[ClassSums], shrinkage: float) -> np.ndarray:
        """AUPRC on validation rows for each weight, (5,); NaN without labels of both kinds.

        Later rows validate the head of the other participants' earlier rows, and the other way round: the node is
        served as a target is, by labels of other nodes and of another time. A node whose parts both can tell votes
        with their mean.

        Args:
            pooled_parts: Sums of all participants' residual features over their earlier and their later rows.
        """
        outcomes = []
        for part, other in ((1, 0), (0, 1)):
            head = discriminant(pooled_parts[other].without(self.sums[other][RESIDUAL]), shrinkage)
            outcomes.append(self._outcome(head, self.parts[part], self.labels[part]))
        told = [outcome for outcome in outcomes if np.isfinite(outcome).all()]
        return np.mean(told, axis=0) if told else outcomes[0]

    def _outcome(self, head: LinearHead | None, validation: Reading, labels: np.ndarray) -> np.ndarray:
        known = labels >= 0
        label = labels[known]
        if head is None or not 0 < np.count_nonzero(label == 1) < len(label):
            return np.full(len(WEIGHTS), np.nan)
        of_head = [self.reader.head_score(head, RESIDUAL, reading) for reading in (self.reader.known, validation)]
        unsupervised, supervised = standardised(self.reader.known, validation, *of_head)
        return np.array([average_precision(mixture(unsupervised, supervised, w)[known], label) for w in WEIGHTS])


def standardised(
    known: Reading, asked: Reading, head_known: np.ndarray, head_asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unsupervised score and head's score of `asked` rows, (T,) each, on the yardsticks of the node's `known` rows.

    Of the unsupervised score its logarithm, which is on the head's scale (log-odds) and ranks rows alike.
    """
    log_known, log_asked = _log(known.unsupervised), _log(asked.unsupervised)
    return Yardstick.of(log_known)(log_asked), Yardstick.of(head_known)(head_asked)


def counts_of(lenders: Sequence[Lender]) -> dict[str, int]:
    """How many labels of what kind some nodes lend, and how many of the nodes have an anomaly among them."""
    labelled = [lender.labelled for lender in lenders]
    return {
        "n_lent_rows": sum(len(one.label) - one.n_unknown for one in labelled),
        "n_lent_anomalies": sum(one.n_anomalies for one in labelled),
        "n_lent_unknown": sum(one.n_unknown for one in labelled),
        "n_lenders": sum(one.n_anomalies > 0 for one in labelled),
    }


def _sums(reading: Reading, label: np.ndarray) -> dict[str, ClassSums]:
    return {kind: class_sums(reading.features[kind], label) for kind in (RESIDUAL, LATENT)}


def _log(score: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(score, LEAST_SCORE))
