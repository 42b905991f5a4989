"""A fleet as its owner keeps it: a folder with one table per node, and an optional fleet.yaml that describes it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from ftl.data.column_readers import Advice, check_time_kind, natural, some, time_unit_of
from ftl.data.fleet_description import DESCRIPTION_FILE, NODE_TABLES, read_description
from ftl.data.leftovers import sort_leftovers
from ftl.data.long_table import LongTable
from ftl.data.node_reading import Roles, choose_features, node_without_rows, read_node_table
from ftl.data.node_table import NodeTable
from ftl.data.table_files import TABLE_SUFFIXES, TableReader, open_head, open_table, suffix_of
from ftl.errors import ConfigError, TelemetryError

ADVICE = Advice(
    time=f"say in {DESCRIPTION_FILE} whether 'time_unit' is seconds, milliseconds or steps",
    label=f"map them in {DESCRIPTION_FILE}: label: {{column: .., normal: [..], anomalous: [..], unknown: [..]}}",
    feature=f"add it to 'ignore' in {DESCRIPTION_FILE}",
)


class FleetFolder:
    """The source ``node_tables``: one parquet, csv or csv.gz file per node; the node id is the file name's stem.

    Columns of a table: the time (``timestamp`` in UTC as date or ISO text, cut to whole seconds, or an integer
    ``step``), numeric features, optionally ``label`` (0 normal, 1 anomalous, empty unknown) and ``split`` (train or
    test). What differs from that is said in ``fleet.yaml``, every key of which is optional::

        name: rack-4                  # default: the folder's name
        origin: real                  # or simulated
        time: window_start            # the time column
        time_unit: seconds            # of an integer time column: seconds (since 1970), milliseconds or steps
        node: host                    # one file holds the rows of all nodes, and this column names the node
        label: {column: value, normal: [0], anomalous: [2], unknown: [3]}      # or only the column's name
        split: part                   # the column that holds train and test
        ignore: [hostname, comment]   # columns that are no features
        window_minutes: 15            # length of one telemetry window
        units: {p0_power: W}          # unit of a column, for reports
        racks: {node-1: r205}         # rack of a node

    A folder in another layout says ``source: m100_raw`` (or another source) and ``settings: {..}`` instead, and is
    opened by :func:`ftl.data.sources.open_source`.

    Opening the folder reads no table, only the first columns and rows of one; of a file with all nodes, its node
    column. Repairs made on reading are counted in ``NodeTable.treatments``; files that are no tables, and what else the
    description does not fit, are named in ``notes``.

    Raises:
        TelemetryError: If the folder or a table in it cannot be used; the message names file, node and column.
        ConfigError: If fleet.yaml is wrong.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = Path(path)
        _check_folder(self.path)
        self.description = read_description(self.path / DESCRIPTION_FILE)
        if self.description.source != NODE_TABLES:
            raise ConfigError(
                f"{DESCRIPTION_FILE}: source: is {self.description.source!r}, whose layout is not {NODE_TABLES}; "
                "open the folder under that source"
            )
        self._files, others = _tables_in(self.path)
        self._long = self._open_long_table()
        self.name = name or self.description.name or self.path.resolve().name
        self.origin = self.description.origin
        self.units = dict(self.description.units)
        self.time_column, self.number_unit = self.description.time, self.description.time_unit
        self.time_unit, names = self._look_at_first_rows()
        self.notes = self._describe_leftovers(others, names)

    def node_ids(self) -> list[str]:
        """Node ids in natural order (omi-2 before omi-10)."""
        return self._long.node_ids() if self._long else list(self._files)

    def rack_of(self, node_id: str) -> str | None:
        """The rack that fleet.yaml gives."""
        return self.description.racks.get(node_id)

    def window_seconds(self) -> float | None:
        """The window length that fleet.yaml gives."""
        return self.description.window_minutes * 60.0 if self.description.window_minutes is not None else None

    def fingerprint(self) -> str:
        """SHA-256 over names and bytes of all tables and of fleet.yaml."""
        digest = hashlib.sha256()
        description = self.path / DESCRIPTION_FILE
        for path in [*self._files.values(), *([description] if description.is_file() else [])]:
            with path.open("rb") as stream:
                digest.update(f"{path.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()

    def read_node(self, node_id: str) -> NodeTable:
        """Read one table, sorted by time, each time step once; a table without rows gives a node without rows."""
        path = self._long.path if self._long else self._files[node_id]
        where = f"{path.name}: node {node_id}"
        table = self._long.open(node_id, where) if self._long else open_table(path, where)
        if table.n_rows == 0:
            return node_without_rows(node_id)
        roles = self._roles(table, where)
        kind = table.schema.field(roles.time).type
        unit = time_unit_of(kind, roles.time_unit)
        if unit != self.time_unit and not pa.types.is_null(kind):
            raise TelemetryError(
                f"{where}: time column {roles.time!r} counts {unit}, in the first node {self.time_unit}; "
                "all nodes need the same kind of time column"
            )
        self._refuse_rows_of_many_nodes(table, where)
        return read_node_table(node_id, table, roles, where)

    def _refuse_rows_of_many_nodes(self, table: TableReader, where: str) -> None:
        """Taken for one node, most rows of such a file would be dropped as duplicate time steps."""
        for column in ("node", "node_id"):
            if column not in table.schema.names or column in self.description.ignore:
                continue
            n_nodes = len(table.read([column])[column].unique().drop_null())
            if n_nodes > 1:
                raise TelemetryError(
                    f"{where}: column {column!r} names {n_nodes} nodes; if the file holds the rows of all nodes, say "
                    f"'node: {column}' in {DESCRIPTION_FILE}, else add {column!r} to 'ignore' there"
                )

    def _open_long_table(self) -> LongTable | None:
        if self.description.node is None:
            return None
        if len(self._files) != 1:
            raise TelemetryError(
                f"{self.path}: {DESCRIPTION_FILE} says that column {self.description.node!r} of one file names the "
                f"node, but there are {len(self._files)} tables, first {some(list(self._files))}; join them, or remove "
                "'node' if each file is a node"
            )
        return LongTable(next(iter(self._files.values())), self.description.node)

    def _look_at_first_rows(self) -> tuple[str, list[str]]:
        """What the first usable node that has rows counts time in, and its columns.

        A table that cannot be used is an error once its node is read; here it is one only if there is no other.
        """
        refused: TelemetryError | None = None
        for node_id, path in self._files.items():
            try:
                found = self._look_at(path, path.name if self._long else f"{path.name}: node {node_id}")
            except TelemetryError as error:
                refused = refused or error
                continue
            if found is not None:
                return found
        raise refused or TelemetryError(
            f"{self.path}: none of the {len(self._files)} node tables has a row with a time; fill them"
        )

    def _look_at(self, path: Path, where: str) -> tuple[str, list[str]] | None:
        """What a table counts time in, and its columns; None where no row says."""
        table = open_head(path, where)
        if not table.n_rows:
            return None
        column = self._time_column(table.schema.names, where)
        kind = table.schema.field(column).type
        if pa.types.is_null(kind):  # no row of these has a time: see what the whole file holds
            kind = open_table(path, where).schema.field(column).type
        check_time_kind(kind, column, self.description.time_unit, where, ADVICE)
        if pa.types.is_null(kind):
            return None
        return time_unit_of(kind, self.description.time_unit), table.schema.names

    def _describe_leftovers(self, others: list[str], names: list[str]) -> tuple[str, ...]:
        """What in the folder, or in its description, was not used."""
        foreign, parts = sort_leftovers(others)
        no_column = [column for column in self.units if column not in names]
        no_node = sorted(set(self.description.racks) - set(self.node_ids()), key=natural)
        lost = self._long.rows_without_node if self._long else 0
        notes = {
            f"files that are no node tables: {', '.join(foreign)}": foreign,
            f"unfinished downloads, not read: {', '.join(parts)}": parts,
            f"units in {DESCRIPTION_FILE} of columns that the first table lacks: {', '.join(no_column)}": no_column,
            f"racks in {DESCRIPTION_FILE} of nodes that have no table: {some(no_node)}": no_node,
            f"rows that name no node dropped: {lost}": lost,
        }
        return tuple(note for note, holds in notes.items() if holds)

    def _roles(self, table: TableReader, where: str) -> Roles:
        names = table.schema.names
        time = self._time_column(names, where)
        label = self._optional_column(names, self.description.label, "label", where)
        split = self._optional_column(names, self.description.split, "split", where)
        ignore = self.description.ignore
        features, treatments = choose_features(names, {time, label, split}, ignore, DESCRIPTION_FILE, where)
        return Roles(
            time=time,
            features=features,
            advice=ADVICE,
            time_unit=self.description.time_unit,
            label=label,
            label_codes=self.description.label_codes,
            split=split,
            treatments=treatments,
        )

    def _time_column(self, names: list[str], where: str) -> str:
        candidates = [self.description.time] if self.description.time else ["timestamp", "step"]
        for column in candidates:
            if column in names:
                return column
        raise TelemetryError(
            f"{where}: no time column {' or '.join(map(repr, candidates))} among {some(names)}; "
            f"rename one, or name it under 'time' in {DESCRIPTION_FILE}"
        )

    def _optional_column(self, names: list[str], declared: str | None, usual: str, where: str) -> str | None:
        if declared is not None and declared not in names:
            raise TelemetryError(
                f"{where}: no column {declared!r}, which {DESCRIPTION_FILE} names under {usual!r}; "
                f"columns: {some(names)}"
            )
        usable = usual in names and usual not in self.description.ignore
        return declared or (usual if usable else None)


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise TelemetryError(f"{folder}: no such folder; give the folder that holds one table per node")
    if not folder.is_dir():
        raise TelemetryError(f"{folder}: is a file; give the folder that holds one table per node")


def _tables_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Node tables by node id in natural order, and the names of everything else in the folder."""
    tables: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
        suffix = suffix_of(path)
        if suffix is None or not path.is_file() or path.name.startswith("."):
            others += [] if path.name == DESCRIPTION_FILE else [path.name]
            continue
        node_id = path.name[: -len(suffix)]
        if node_id in tables:
            both = f"{tables[node_id].name} and {path.name}"
            raise TelemetryError(f"{folder}: two tables of node {node_id}: {both}; keep one")
        tables[node_id] = path
    if not tables:
        parts = sort_leftovers(others)[1]
        if parts:
            raise TelemetryError(
                f"{folder}: {some(parts)} is not fetched to its end; run the same `ftl data fetch` again"
            )
        found = f"only {some(others)}" if others else "nothing"
        kinds = ", ".join(TABLE_SUFFIXES)
        raise TelemetryError(f"{folder}: no node table ({kinds}), {found} in it; one file per node is needed")
    return dict(sorted(tables.items(), key=lambda item: natural(item[0]))), others
