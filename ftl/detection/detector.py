"""What is deployed: the personalised models of a fleet's nodes, and all that turns a raw node table into alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ftl.data.column_readers import some
from ftl.data.node_table import NodeTable
from ftl.data.scaling import Scaling
from ftl.data.table_files import TableReader
from ftl.detection.card import Card, NodeCard
from ftl.detection.contributions import CONTRIBUTIONS, top_sensors
from ftl.detection.model_folder import check_arrays, read_model_folder, read_newcomer, write_model_folder
from ftl.detection.newcomer import Newcomer
from ftl.detection.newcomer_rows import score_newcomer
from ftl.detection.plausibility import plausibility_notes
from ftl.detection.raw_rows import ModelRows, Past, model_rows
from ftl.detection.raw_table import read_raw_table
from ftl.detection.scored_rows import ScoredRows, notes_on_rows, scored_frame
from ftl.detection.scores import ANOMALY_SCORES, AnomalyScore, MahalanobisDistance, NormalisedResidual
from ftl.detection.smoothing import smooth
from ftl.errors import TelemetryError, UserError
from ftl.models.network import StackedNetwork, build_network
from ftl.models.state import StackedState

NODE_COLUMN = "node"

_TILE = 192  # the last rows of a matrix product that are no whole tile may be summed in another order than the others
_ROWS_AT_ONCE = 20 * _TILE


@dataclass(frozen=True)
class Detector:
    """K personalised models and their nodes' scaling, fitted scores and thresholds.

    Attributes:
        card: All but the arrays.
        state: K models, in the order of the card's nodes.
        offset, scale: Of the scaling, shape (K, F) float32.
        muted: Features that say nothing on a node, shape (K, F) bool.
        fitted: The arrays that FITTED names, shape (K, F), or (K, F, F) for ``cholesky``.
        newcomer: What nodes that have just joined are scored with; None where the detector scores none.
    """

    card: Card
    state: StackedState
    offset: np.ndarray
    scale: np.ndarray
    muted: np.ndarray
    fitted: dict[str, np.ndarray]
    newcomer: Newcomer | None = None

    def __post_init__(self) -> None:
        check_arrays(self.card, self.state, self._arrays())
        if self.card.newcomer != (None if self.newcomer is None else self.newcomer.card):
            raise ValueError("the card and the newcomer part must say the same of newcomers")

    def save(self, folder: Path) -> None:
        """Write the model folder, as :func:`ftl.detection.model_folder.write_model_folder`."""
        write_model_folder(Path(folder), self.card, self.state, self._arrays(), self.newcomer)

    @classmethod
    def load(cls, folder: Path) -> Detector:
        """Open a model folder.

        Raises:
            UserError: If a file is missing or damaged, or does not fit the others; the message names it.
        """
        card, state, arrays = read_model_folder(Path(folder))
        newcomer = read_newcomer(Path(folder), card)
        return cls(card, state, arrays.pop("offset"), arrays.pop("scale"), arrays.pop("muted"), arrays, newcomer)

    def score(
        self,
        table: pd.DataFrame,
        node: str | None = None,
        *,
        explain_all: bool = False,
        time_column: str | None = None,
        newcomer: bool = False,
    ) -> pd.DataFrame:
        """Score raw telemetry, in the columns and units of the tables that the fleet was made of.

        Args:
            table: A node's rows in any order: time column, metrics; columns that the model does not know are left out.
                What lies before its first row has no influence: of a counter the first increase is 0, and a value that
                is missing from the first row on stays missing (``score_node`` takes a past).
            node: Whose they are. Without it, the column ``node`` says it row by row; a detector of one node needs
                neither.
            explain_all: Name top sensors in every row that has a score, not only where it is flagged.
            time_column: Where it has another name than in the tables that the fleet was made of.
            newcomer: Score the node that is named as one that has just joined; without a name, those nodes of the
                column ``node`` that the detector has no model of.

        Returns:
            As ``ScoredRows.frame``, one node after the other.

        Raises:
            TelemetryError: If the node is unknown, or a column is missing or cannot be read.
        """
        scored = self.score_nodes(table, node, explain_all=explain_all, time_column=time_column, newcomer=newcomer)
        return pd.concat([rows.frame for _, rows in scored], ignore_index=True)

    def score_nodes(
        self, table: pd.DataFrame, node: str | None = None, *, newcomer: bool = False, **settings: Any
    ) -> Iterator[tuple[str, ScoredRows]]:
        """What :meth:`score` gives node by node."""
        for name, rows in self.by_node(table, node):
            joined = newcomer and (node is not None or name not in self.card.node_ids)
            yield name, self.score_node(rows, name, newcomer=joined, **settings)

    def score_node(
        self,
        table: pd.DataFrame | TableReader,
        node: str,
        past: Past | None = None,
        *,
        explain_all: bool = False,
        time_column: str | None = None,
        newcomer: bool = False,
    ) -> ScoredRows:
        """Score rows of one node that follow those which left this past; see :meth:`score`.

        With ``newcomer`` the node is scored as one that has just joined, whether or not the detector has a model of it.
        """
        if newcomer:
            part = self._newcomer_part(node)
            return score_newcomer(self.card, part, table, node, past, explain_all=explain_all, time_column=time_column)
        number = self.number_of(node)
        known = self.card.nodes[number]
        read = read_raw_table(table, node, known.columns, self.card.rules, time_column)
        return self._score(read, number, past, explain_all)

    def number_of(self, node: str) -> int:
        """A node's place among the models.

        Raises:
            TelemetryError: If the detector has no model of the node.
        """
        if node not in self.card.node_ids:
            close = get_close_matches(node, self.card.node_ids, 1)
            raise TelemetryError(
                f"node {node!r}: the detector has no model of it; it has those of {some(self.card.node_ids)}"
                f"{f'; closest: {close[0]!r}' if close else ''}. Name the node that the rows are from; if it has just "
                "joined, score it by what the fleet shares (`ftl score --newcomer`, in Python newcomer=True), add its "
                f"table to the fleet {self.card.dataset!r} and run the pipeline"
            )
        return self.card.node_ids.index(node)

    def _newcomer_part(self, node: str) -> Newcomer:
        if self.newcomer is None:
            raise UserError(
                f"node {node!r}: this detector ({self.card.paradigm}) holds nothing to score nodes with that have just "
                "joined: detectors of the paradigm unsupervised do, if this version of ftl exported them; run the "
                "pipeline again, and score with its unsupervised detector"
            )
        return self.newcomer

    def scaled(self, table: NodeTable, node: str, past: Past | None = None) -> tuple[np.ndarray, ModelRows]:
        """A table's complete rows as the model reads them, shape (complete rows, F) float32, and which these are."""
        number = self.number_of(node)
        measured, rows = self._measured(table, number, past)
        return self._scaled(measured, number), rows

    def _scaled(self, measured: np.ndarray, number: int) -> np.ndarray:
        return self._scaling.clipped(self._scaling.placed(measured.copy(), number))

    def _measured(self, table: NodeTable, number: int, past: Past | None) -> tuple[np.ndarray, ModelRows]:
        """A table's complete rows before the scale: transformed, and re-based where the node is."""
        known, rules = self.card.nodes[number], self.card.rules
        rows = model_rows(table, known.columns, rules, past, known.is_rebased)
        return rows.before_scale(rules, self._scaling), rows

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"offset": self.offset, "scale": self.scale, "muted": self.muted, **self.fitted}

    @cached_property
    def _scaling(self) -> Scaling:
        scaler = self.card.scaler
        signed_log = np.array([name in scaler.signed_log for name in self.card.features])
        return Scaling(self.offset, self.scale, self.muted, signed_log, scaler.clip_low, scaler.clip_high)

    @cached_property
    def _network(self) -> StackedNetwork:
        card = self.card
        network = build_network(card.network, len(card.nodes), len(card.features), card.model)
        network.load_state_dict(self.state)
        return network.requires_grad_(False)

    def by_node(self, table: pd.DataFrame, node: str | None = None) -> Iterator[tuple[str, pd.DataFrame]]:
        """The rows of each node in a table: all of the one that is named, else as the column ``node`` says.

        Raises:
            TelemetryError: If that cannot be told.
        """
        if node is not None or (len(self.card.nodes) == 1 and NODE_COLUMN not in table):
            yield node if node is not None else self.card.node_ids[0], table
            return
        if NODE_COLUMN not in table:
            raise TelemetryError(
                f"whose rows are these? name the node, or add a column {NODE_COLUMN!r}; the detector has models of "
                f"{some(self.card.node_ids)}"
            )
        if table[NODE_COLUMN].isna().any():
            raise TelemetryError(f"column {NODE_COLUMN!r}: {int(table[NODE_COLUMN].isna().sum())} rows name no node")
        if not len(table):
            yield self.card.node_ids[0], table
        for name, rows in table.groupby(table[NODE_COLUMN].map(str), sort=False):
            yield str(name), rows

    def _score(self, table: NodeTable, number: int, past: Past | None, explain_all: bool) -> ScoredRows:
        known = self.card.nodes[number]
        measured, rows = self._measured(table, number, past)
        x = self._scaled(measured, number)
        score = np.full(len(rows.time), np.nan)
        score[rows.complete] = self._raw_scores(x, number)
        score, left = self._smoothed(score, rows, known, past)
        threshold, past = self._thresholds(score, rows, known, past, left)
        flagged = score > threshold
        explained = rows.complete if explain_all else flagged
        named = self._top(x[explained[rows.complete]], number)
        sensors = dict(zip(np.flatnonzero(explained).tolist(), named, strict=True))
        frame = scored_frame(rows, self.card.rules, known.node_id, score, threshold, sensors)
        return ScoredRows(frame, rows.treatments, past, self._notes(x, measured, rows, number))

    def _notes(self, x: np.ndarray, measured: np.ndarray, rows: ModelRows, number: int) -> tuple[str, ...]:
        names = self.card.rules.features
        known = np.array([column is not None for column in self.card.nodes[number].columns])
        notes = plausibility_notes(x, measured, self._scaling, number, names, known)
        return (*notes, *notes_on_rows(rows, self.card.rules))

    def _smoothed(
        self, score: np.ndarray, rows: ModelRows, known: NodeCard, past: Past | None
    ) -> tuple[np.ndarray, Past | None]:
        """Smoothed scores, and the past with the last of them; the mean goes on from the last score before."""
        time, before = rows.time[rows.complete], past.smoothed if past else None
        if not len(time):
            return score, rows.past
        own = score[rows.complete]
        half_life = self.card.score.smoothing_half_life
        if half_life > 0:
            own = smooth(own, time, half_life, spacing=known.spacing, before=before)
            score = score.copy()
            score[rows.complete] = own
        left = None if rows.past is None else replace(rows.past, smoothed=(int(time[-1]), float(own[-1])))
        return score, left

    def _thresholds(
        self, score: np.ndarray, rows: ModelRows, known: NodeCard, past: Past | None, left: Past | None
    ) -> tuple[np.ndarray, Past | None]:
        """The threshold of each row (T,), and what is left for later rows with the scores that theirs look back on.

        A row without a score has the threshold that it would have been compared with.
        """
        trailing = self.card.score.trailing
        if trailing is None:
            return np.full(len(score), known.threshold), left
        recent = (past.recent if past else None) or (np.zeros(0, np.int64), np.zeros(0))
        threshold = trailing.thresholds(known.threshold, score, rows.time, recent[1], recent[0])
        if left is None:
            return threshold, None
        time = np.concatenate([recent[0], rows.time[rows.complete]])
        kept = time > left.last_time - trailing.reach
        return threshold, replace(left, recent=(time[kept], np.concatenate([recent[1], score[rows.complete]])[kept]))

    def _raw_scores(self, x: np.ndarray, number: int) -> np.ndarray:
        """A row's score is the same to the last bit whichever rows stand beside it."""
        whole = np.pad(x, ((0, -len(x) % _TILE), (0, 0)))
        if self.card.network == "classifier":
            return self._output(whole, number)[: len(x), 0].astype(np.float64)
        score = self._fitted_score(number)
        pieces = [score(self._residual(piece, number)) for piece in _pieces(whole)]
        return np.concatenate([np.zeros(0), *pieces])[: len(x)]

    def _fitted_score(self, number: int) -> AnomalyScore:
        own = {name: array[number] for name, array in self.fitted.items()}
        if self.card.score.name == "nres":
            return NormalisedResidual(**own)
        if self.card.score.name == "mahalanobis":
            return MahalanobisDistance(**own)
        return ANOMALY_SCORES[self.card.score.name](np.zeros((1, self.offset.shape[1])))

    def _top(self, x: np.ndarray, number: int) -> Iterator[list[dict[str, object]]]:
        for piece in _pieces(x):
            if self.card.network == "classifier":
                parts = self._pull(piece, number)
            else:
                residual = self._residual(piece, number)
                parts = CONTRIBUTIONS[self.card.score.name](self._fitted_score(number), residual)
            yield from top_sensors(parts, self.card.features)

    def _pull(self, x: np.ndarray, number: int) -> np.ndarray:
        """What pulls a classifier away from the node's usual row: gradient times difference, where it is positive."""
        rows = torch.from_numpy(x).requires_grad_()
        probability = _one_model(self._network, number, rows)[:, 0]
        odds = torch.logit(probability, eps=1e-6)  # the probability itself is flat where it is near 1
        gradient = torch.autograd.grad(odds.sum(), rows)[0].numpy()
        pull: np.ndarray = np.maximum(gradient * (x - self.fitted["usual"][number]), 0.0)
        pull[:, self.muted[number]] = 0.0
        return pull

    def _residual(self, x: np.ndarray, number: int) -> np.ndarray:
        residual: np.ndarray = x - self._output(x, number)
        residual[:, self.muted[number]] = 0.0
        return residual

    def _output(self, x: np.ndarray, number: int) -> np.ndarray:
        output: np.ndarray = self._network.output_rows(number, torch.from_numpy(x)).numpy()
        return output


def _one_model(network: StackedNetwork, number: int, x: torch.Tensor) -> torch.Tensor:
    """Like ``output_rows``, with gradients."""
    layers = [*network.encoder.stacked(), *network.decoder.stacked()]
    for layer in layers[:-1]:
        x = torch.relu(torch.addmm(layer.bias[number], x, layer.weight[number]))
    return torch.sigmoid(torch.addmm(layers[-1].bias[number], x, layers[-1].weight[number]))


def _pieces(x: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(x), _ROWS_AT_ONCE):
        yield x[first : first + _ROWS_AT_ONCE]
