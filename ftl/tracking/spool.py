"""Records that could not be sent, kept on disk until they can: ``mlflow-spool/`` beside the results.

One folder for each record, ``record.json`` and ``artifacts/`` in it, named after the record's identity: keeping the
same record twice keeps it once. A folder is complete or not there (``.half`` until then), and is removed when the store
holds its run, so that a killed ``ftl mlflow sync`` goes on where it was; a run sent but not yet removed is replaced.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftl.errors import ConfigError
from ftl.tracking.artifacts import write_artifacts
from ftl.tracking.environment import shown
from ftl.tracking.record import RunRecord, record_from_json, record_to_json
from ftl.tracking.store import StoreError, write_records

SPOOL = "mlflow-spool"
_RECORD, _HALF = "record.json", ".half"


@dataclass(frozen=True)
class Spooled:
    """A record in the spool: its folder, and the address it was meant for (without a password)."""

    folder: Path
    store: str
    record: RunRecord


@dataclass(frozen=True)
class Sent:
    """What became of records: how many runs a store holds now, and how many wait in the spool, with the reason."""

    n_sent: int
    n_spooled: int
    warning: str | None = None


def record_runs(records: Sequence[RunRecord], uri: str, folder: Path) -> Sent:
    """Write the records to the store or, where it does not take them, into ``folder``'s spool: nothing is lost.

    Raises:
        OSError: If the spool cannot be written either.
    """
    spool = folder / SPOOL
    try:
        write_records(records, uri)
    except StoreError as error:
        keep(error.unsent, shown(uri), spool)
        _forget(records[: len(records) - len(error.unsent)], spool)
        n = len(error.unsent)
        return Sent(
            len(records) - n,
            n,
            f"{error} The results are complete; {n} {'run is' if n == 1 else 'runs are'} kept in {spool}: "
            f"`ftl mlflow sync {folder}` sends them later.",
        )
    _forget(records, spool)
    return Sent(len(records), 0)


def keep(records: Iterable[RunRecord], store: str, spool: Path) -> None:
    """Write the records into the spool; of equal identity, the later one stays."""
    for record in records:
        final = spool / _name(record)
        half = final.with_name(final.name + _HALF)
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        write_artifacts(record.artifacts, half / "artifacts")
        content = {"format": 1, "store": store, **record_to_json(record)}
        (half / _RECORD).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(half, final)


def read_spool(spool: Path) -> list[Spooled]:
    """All complete records of a spool, in order of the runs' start; none where it does not exist.

    Raises:
        ConfigError: If a record is damaged; the message names its file.
    """
    folders = sorted(path.parent for path in spool.glob(f"*/{_RECORD}") if not path.parent.name.endswith(_HALF))
    found = [_read(folder) for folder in folders]
    return sorted(found, key=lambda spooled: -spooled.record.start)


def sync(folder: Path, uri: str | None) -> Sent:
    """Send what waits in a results folder's spool (or in the spool itself) and remove what was sent.

    Args:
        folder: A results folder, or a spool.
        uri: The store; None: the one that each record was meant for.

    Raises:
        ConfigError: If a record is damaged, or the folder does not exist.
        StoreError: If the store still does not take them; what it took is removed, the rest stays.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give the folder of the results whose runs were kept")
    spool = folder if folder.name == SPOOL else folder / SPOOL
    waiting = read_spool(spool)
    n_sent = 0
    for store in sorted({spooled.store for spooled in waiting}):
        group = [spooled for spooled in waiting if spooled.store == store]
        n_sent += _send(group, uri or store)
    for half in spool.glob(f"*{_HALF}"):
        shutil.rmtree(half, ignore_errors=True)
    if spool.is_dir() and not any(spool.iterdir()):
        spool.rmdir()
    return Sent(n_sent, 0)


def _send(group: Sequence[Spooled], uri: str) -> int:
    try:
        write_records([spooled.record for spooled in group], uri)
    except StoreError as error:
        for spooled in group[: len(group) - len(error.unsent)]:
            shutil.rmtree(spooled.folder)
        raise
    for spooled in group:
        shutil.rmtree(spooled.folder)
    return len(group)


def _read(folder: Path) -> Spooled:
    file = folder / _RECORD
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        record = record_from_json(content, folder / "artifacts")
        missing = [path for path, at in record.artifacts.items() if not Path(at).is_file()]
        if missing:
            raise ValueError(f"its artifact {missing[0]} is missing")
        return Spooled(folder, str(content["store"]), record)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ConfigError(
            f"{file}: damaged ({error}); remove the folder {folder.name} and track the results again"
        ) from error


def _forget(records: Iterable[RunRecord], spool: Path) -> None:
    """Remove earlier copies of records that a store holds now."""
    if spool.is_dir():
        for record in records:
            shutil.rmtree(spool / _name(record), ignore_errors=True)
        if not any(spool.iterdir()):
            spool.rmdir()


def _name(record: RunRecord) -> str:
    identity = record.identity or (record.experiment, record.name, str(record.start), "")
    return hashlib.sha256(json.dumps([record.experiment, *identity]).encode()).hexdigest()[:24]
