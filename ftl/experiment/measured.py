"""What a unit of work cost, written beside what it computed; an interruption loses at most the last seconds of it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path

from ftl.metering import Cost, Meter

COST_FILE = "cost.json"
NOTE_SECONDS = 5.0
"""What has been spent is noted at most so often: this much of a killed attempt may be missing."""


@contextmanager
def measured(cost_file: Path, notes: Path | None = None, key: str = "") -> Iterator[Callable[[], None]]:
    """Measure a block of work and write its cost once it ends well; what killed attempts at it had spent is added.

    Such a cost says ``"resumed": true``: the seconds between an attempt's last note and its end are not in it, and what
    was computed twice is in it twice.

    Args:
        cost_file: Where the cost goes, whole or not at all.
        notes: Where it stands meanwhile; ``cost_file`` with ``.running`` after its name where not given.
        key: Notes under another key are of other work, and do not count.

    Yields:
        A function to be called now and then, which notes what has been spent so far.
    """
    notes = notes or cost_file.with_name(f"{cost_file.name}.running")
    earlier = _earlier(notes, key)
    with Meter() as meter:
        noted = time.monotonic()

        def write_notes() -> None:
            _write(notes, _together(earlier, meter.cost()), key=key)

        def note() -> None:
            nonlocal noted
            if time.monotonic() - noted >= NOTE_SECONDS:
                noted = time.monotonic()
                write_notes()

        write_notes()
        try:
            yield note
        except BaseException:
            write_notes()
            raise
    _write(cost_file, _together(earlier, meter.cost()), resumed=earlier is not None)
    notes.unlink(missing_ok=True)


def read_cost(cost_file: Path) -> dict[str, object] | None:
    """What :func:`measured` wrote, None where there is nothing that can be read."""
    try:
        content = json.loads(cost_file.read_text(encoding="utf-8"))
        return {name: content[name] for name in (*_NAMES, "resumed")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


_NAMES = tuple(field.name for field in fields(Cost))


def _together(earlier: Cost | None, now: Cost) -> Cost:
    return now if earlier is None else earlier + now


def _earlier(notes: Path, key: str) -> Cost | None:
    try:
        content = json.loads(notes.read_text(encoding="utf-8"))
        return Cost(*(content[name] for name in _NAMES)) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, cost: Cost, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(json.dumps(asdict(cost) | more, indent=1) + "\n", encoding="utf-8")
    os.replace(half, path)
