"""Which labels a node can lend, and which rows are left to be judged.

Where anomalies precede the test part, a node lends the labels of all rows before it. Where none does, it lends those of
its first test rows (`Fleet.lent`), and everybody is judged on the rest, whatever labels an arm uses.
"""

from dataclasses import dataclass, replace

import numpy as np

from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet
from ftl.errors import UserError
from ftl.studies.telemetry import FleetTelemetry, NodeTelemetry


@dataclass(frozen=True)
class LabelledRows:
    """Rows that lend their labels, in time order: (T, F), (T,), (T,); labels are 0, 1, or -1 for unknown."""

    rows: np.ndarray
    time: np.ndarray
    label: np.ndarray

    @property
    def n_anomalies(self) -> int:
        return int(np.count_nonzero(self.label == 1))

    @property
    def n_unknown(self) -> int:
        return int(np.count_nonzero(self.label < 0))

    def parted(self, validation_share: float) -> np.ndarray:
        """Which rows validate, bool (T,): the last in time."""
        return np.arange(len(self.time)) >= len(self.time) - round(validation_share * len(self.time))


@dataclass(frozen=True)
class Lending:
    """A fleet cut into labels that are lent and rows that are judged.

    Attributes:
        judged: Nodes with the rows on which every arm is judged as their test part.
        lent: The same nodes with the rows that lend labels as their test part, and no history.
        from_test: Whether these are the first test rows.
    """

    judged: FleetTelemetry
    lent: FleetTelemetry
    from_test: bool

    @classmethod
    def of(cls, fleet: Fleet, window_minutes: float) -> "Lending":
        """Cut a fleet.

        Raises:
            UserError: If no row that could lend its label is anomalous.
        """
        part, label = np.asarray(fleet.part), np.asarray(fleet.label)
        is_lent = np.asarray(fleet.lent) if fleet.labels_borrowed else np.isin(part, (TRAIN, VALIDATION))
        if not np.any(label[is_lent] == 1):
            raise UserError(
                f"{fleet.name}: no label to lend: none of the {np.count_nonzero(is_lent):,} "
                + ("first test rows" if fleet.labels_borrowed else "rows before the test part")
                + f" is labelled anomalous ({np.count_nonzero(label[is_lent] < 0):,} are of unknown label). Give the "
                "node tables labels (docs/bring-your-own-cluster.md), or lend a larger part of the test rows: prepare "
                "with prepare.lend_fraction"
            )
        of_test = is_lent & (part == TEST)
        judged, lent = np.where(of_test, GAP, part), np.where(is_lent, TEST, GAP)
        views = [FleetTelemetry(replace(fleet, part=view.astype(np.int8)), window_minutes) for view in (judged, lent)]
        return cls(views[0], views[1], fleet.labels_borrowed)

    def labelled(self, node: int) -> LabelledRows:
        """What a node can lend."""
        one = self.lent.node(node)
        return LabelledRows(one.test, one.test_time, one.test_label)

    def participant(self, node: int, labelled: LabelledRows, validation_share: float) -> NodeTelemetry:
        """A participant with the history that its model may see: nothing from its validation rows on."""
        one = self.judged.node(node)
        validates = labelled.parted(validation_share)
        if self.from_test or not validates.any():
            return one
        n_before = int(np.searchsorted(one.history_time, labelled.time[validates][0], side="left"))
        return replace(one, history=one.history[:n_before], history_time=one.history_time[:n_before])
