"""The time-aggregated release of M100 ExaData (Zenodo record 7541722): one table of 15-minute windows per node.

Borghesi et al., Scientific Data 10:288 (2023). The label ``value`` is the state that Nagios gave the service
``batchs::client::state`` in the window: 0 ok, 1 warning, 2 critical, 3 unknown; empty where there was none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from ftl.data.column_readers import Advice, could_be_label_or_index, some
from ftl.data.leftovers import sort_leftovers
from ftl.data.long_table import LongTable
from ftl.data.m100.node_files import NODES_PER_RACK, Found, NodeFile, Wanted, find_node_files
from ftl.data.m100.units import IPMI_METRICS, unit_of
from ftl.data.node_reading import Roles, node_without_rows, read_node_table
from ftl.data.node_table import ANOMALOUS, NORMAL, UNKNOWN, NodeTable
from ftl.data.table_files import TableReader
from ftl.errors import ConfigError, TelemetryError

STATISTICS = ("avg", "std", "min", "max")
TIME, LABEL, NODE = "timestamp", "value", "node"
WINDOW_SECONDS = 900.0
_MEND = "see that the file is one of Zenodo record 7541722, or describe the folder as node_tables in a fleet.yaml"
ADVICE = Advice(time=_MEND, label=_MEND, feature=_MEND)


class M100AggregatedSource:
    """The source ``m100_aggregated``: rack tars ``0.tar`` to ``48.tar``, or the ``<node>.parquet`` files in them.

    Both may lie in one folder or in folders below it; tars are read in place. A single parquet file with the rows of
    all nodes and a column ``node`` is read as well. A node's columns are ``timestamp``, ``<metric>_avg``, ``_std``,
    ``_min`` and ``_max``, and the label ``value``; nodes differ in the set and order of their metrics. Node ids are
    the release's numbers, as text; the rack is the number divided by 20.

    Opening reads the headers of the tars, and no table; reading a node reads that node's file. What is repaired or left
    out is counted in ``NodeTable.treatments``; files that are no node's, or empty, are named in ``notes``.

    Args:
        path: The folder, or one tar or parquet file.
        nodes: Node numbers to read; all by default.
        racks: Rack numbers to read; all by default.
        statistics: Out of avg, std, min and max; by default all that a node's file has.
        unknown_is_anomalous: Take the state 3 (unknown) for an anomaly, as GRAAFE does; empty labels stay unknown.
        name: The fleet's name; by default that of the folder.

    Raises:
        ConfigError: If a node, rack or statistic cannot be one.
        TelemetryError: If there is no such node, or a file cannot be used; the message names it.
    """

    origin = "real"
    time_unit = "seconds"

    def __init__(
        self,
        path: str | Path,
        nodes: Sequence[int | str] | None = None,
        racks: Sequence[int | str] | None = None,
        statistics: Sequence[str] | None = None,
        unknown_is_anomalous: bool = False,
        name: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = name or self.path.resolve().stem
        self._statistics = _check_statistics(statistics)
        wanted = Wanted(_numbers(nodes, "nodes"), _numbers(racks, "racks"))
        found = find_node_files(self.path, wanted)
        self._files = found.nodes
        self._long = _long_table_of(self.path, found)
        self._nodes = _nodes_of(self._long, wanted) if self._long else list(self._files)
        _check_presence(self.path, self._nodes, wanted)
        self._label_codes: dict[float | str, int] = {
            0.0: NORMAL,
            1.0: ANOMALOUS,
            2.0: ANOMALOUS,
            3.0: ANOMALOUS if unknown_is_anomalous else UNKNOWN,
        }
        self.units = {
            f"{metric}_{statistic}": unit
            for metric in IPMI_METRICS
            for statistic in self._statistics or STATISTICS
            if (unit := unit_of(metric)) is not None
        }
        self.notes = _notes(found, self._long)

    def node_ids(self) -> list[str]:
        """Node numbers as text, in order."""
        return [str(node) for node in self._nodes]

    def rack_of(self, node_id: str) -> str | None:
        """The rack, ``rack-0`` to ``rack-48``."""
        return f"rack-{int(node_id) // NODES_PER_RACK}"

    def window_seconds(self) -> float | None:
        """15 minutes."""
        return WINDOW_SECONDS

    def fingerprint(self) -> str:
        """SHA-256 over the bytes of the nodes' files, packed or not, and the settings with which they are read."""
        codes = {str(key): code for key, code in self._label_codes.items()}
        digest = hashlib.sha256(json.dumps([self._statistics, codes, self._nodes]).encode())
        files = [NodeFile(self._long.path)] if self._long else list(self._files.values())
        for file in files:
            digest.update(file.digest().encode())
        return digest.hexdigest()

    def read_node(self, node_id: str) -> NodeTable:
        """Read one node, sorted by time, each window once; an empty file gives a node without rows."""
        node = int(node_id)
        if self._long:
            where = f"{self._long.path.name}: node {node_id}"
            table: TableReader = self._long.open(node_id, where)
        else:
            where = f"{self._files[node].name}: node {node_id}"
            if self._files[node].size == 0:
                return node_without_rows(node_id)
            table = self._files[node].open(where)
        if table.n_rows == 0:
            return node_without_rows(node_id)
        _check_owner(table, node, where)
        return read_node_table(node_id, table, self._roles(table, where), where)

    def _roles(self, table: TableReader, where: str) -> Roles:
        names = table.schema.names
        if TIME not in names:
            raise TelemetryError(f"{where}: no column {TIME!r} among {some(names)}; {_MEND}")
        treatments = {} if LABEL in names else {f"rows without a label: there is no column {LABEL!r}": table.n_rows}
        features = []
        for name in names:
            if name in (TIME, LABEL):
                continue
            statistic = _statistic_of(name)
            if could_be_label_or_index(name):
                treatments[f"column {name!r} ignored: it could be a label, a time or an index"] = 1
            elif statistic is None:
                treatments[f"column {name!r} ignored: its name ends in none of _{', _'.join(STATISTICS)}"] = 1
            elif self._statistics is None or statistic in self._statistics:
                features.append(name)
        self._check_features(features, names, where)
        return Roles(
            time=TIME,
            features=tuple(features),
            advice=ADVICE,
            label=LABEL if LABEL in names else None,
            label_codes=self._label_codes,
            treatments=treatments,
        )

    def _check_features(self, features: list[str], names: Sequence[str], where: str) -> None:
        present = {_statistic_of(name) for name in features}
        for statistic in self._statistics or ():
            if statistic not in present:
                raise TelemetryError(
                    f"{where}: no column ends in _{statistic}, which 'statistics' asks for; columns: {some(names)}"
                )
        if not features:
            raise TelemetryError(f"{where}: no column ends in _{', _'.join(STATISTICS)}: {some(names)}; {_MEND}")


def _statistic_of(column: str) -> str | None:
    match = re.fullmatch(rf".+_({'|'.join(STATISTICS)})", column)
    return match[1] if match else None


def _check_statistics(statistics: Sequence[str] | None) -> tuple[str, ...] | None:
    if statistics is None:
        return None
    known = f"a list out of {', '.join(STATISTICS)}"
    if isinstance(statistics, str) or not statistics or not set(statistics) <= set(STATISTICS):
        raise ConfigError(f"m100_aggregated: statistics: must be {known}; got {statistics!r}")
    return tuple(statistic for statistic in STATISTICS if statistic in statistics)


def _numbers(given: Sequence[int | str] | None, what: str) -> frozenset[int] | None:
    if given is None:
        return None
    if isinstance(given, str) or not given or not all(_is_whole(entry) for entry in given):
        raise ConfigError(f"m100_aggregated: {what}: must be a list of numbers such as [5, 17]; got {given!r}")
    return frozenset(int(entry) for entry in given)


def _is_whole(entry: object) -> bool:
    return not isinstance(entry, bool) and re.fullmatch(r"\d+", str(entry), re.ASCII) is not None


def _long_table_of(path: Path, found: Found) -> LongTable | None:
    """The file with the rows of all nodes, where there is nothing else."""
    if found.nodes or len(found.tables) != 1:
        return None
    return LongTable(found.tables[0], NODE)


def _nodes_of(long: LongTable, wanted: Wanted) -> list[int]:
    strange = [node for node in long.node_ids() if not _is_whole(node)]
    if strange:
        raise TelemetryError(f"{long.path.name}: column {NODE!r} must hold node numbers; got {some(strange)}")
    return sorted(int(node) for node in long.node_ids() if wanted.has(int(node)))


def _check_presence(path: Path, nodes: list[int], wanted: Wanted) -> None:
    absent = sorted((wanted.nodes or frozenset()) - set(nodes))
    if absent and wanted.racks is None:
        raise TelemetryError(f"{path}: no file of the nodes {some(absent)}; the release lacks some: leave them out")
    empty = sorted((wanted.racks or frozenset()) - {node // NODES_PER_RACK for node in nodes})
    if empty and wanted.nodes is None:
        raise TelemetryError(f"{path}: no file of any node of the racks {some(empty)}; fetch them or leave them out")
    if not nodes:
        raise TelemetryError(
            f"{path}: no rack tar (0.tar) and no node file (17.parquet) of a wanted node; "
            "give the folder that holds them, and see 'nodes' and 'racks'"
        )


def _check_owner(table: TableReader, node: int, where: str) -> None:
    """A file that says whose it is must be this node's."""
    if NODE not in table.schema.names:
        return
    owners = table.read([NODE])[NODE].unique().drop_null().to_pylist()
    if any(str(owner).strip() != str(node) for owner in owners):
        raise TelemetryError(f"{where}: its column {NODE!r} names {some(owners)}; see which node's file it is")


def _notes(found: Found, long: LongTable | None) -> tuple[str, ...]:
    tables = [] if long else [path.name for path in found.tables]
    foreign, parts = sort_leftovers(found.others)
    hollow = [file.name for file in found.nodes.values() if file.size == 0]
    lost = long.rows_without_node if long else 0
    notes = {
        f"files that are no node's: {some([*foreign, *tables])}": foreign or tables,
        f"unfinished downloads, not read: {some(parts)}": parts,
        f"node files without a byte: {some(hollow)}": hollow,
        f"rows that name no node dropped: {lost}": lost,
    }
    return tuple(note for note, holds in notes.items() if holds)
