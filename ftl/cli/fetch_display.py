"""What ``ftl data fetch`` shows: progress on a terminal or in lines of a log, and tables of files."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from ftl.data.fetch import Choice, Planned, PublishedDataset, RemoteFile, Watcher, gigabytes

LINE_SECONDS = 30.0  # between two lines of a log


@contextmanager
def display() -> Iterator[Watcher]:
    """A progress bar on a terminal, else a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield Bar(progress)


class Bar:
    """A watcher who draws a bar per file."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", visible=False)

    def begin(self, name: str, size: int, done: int) -> None:
        self._task = self._progress.add_task(name, total=size, completed=done)

    def advance(self, done: int) -> None:
        self._progress.update(self._task, completed=done)

    def end(self) -> None:
        self._progress.remove_task(self._task)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


class Lines:
    """A watcher who writes a line now and then, for logs."""

    def __init__(self) -> None:
        self._name, self._size, self._spoken = "", 0, 0.0

    def begin(self, name: str, size: int, done: int) -> None:
        self._name, self._size, self._spoken = name, size, time.monotonic()
        self.say(f"{name}: {gigabytes(size - done)} of {gigabytes(size)} to come")

    def advance(self, done: int) -> None:
        if time.monotonic() - self._spoken >= LINE_SECONDS:
            self._spoken = time.monotonic()
            self.say(f"{self._name}: {gigabytes(done)} of {gigabytes(self._size)}, {100 * done / self._size:.0f} %")

    def end(self) -> None:
        pass

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def show_files(published: PublishedDataset, choices: Sequence[Choice], files: Sequence[RemoteFile]) -> str:
    """A line per file, and their sum."""
    lines = [f"{published.part:>6} {'size':>10}  record"]
    lines += [
        f"{choice.part:>6} {gigabytes(file.size):>10}  {file.record}, doi {file.doi}, {file.licence}"
        for choice, file in zip(choices, files, strict=True)
    ]
    return "\n".join([*lines, f"{'all':>6} {gigabytes(sum(file.size for file in files)):>10}"])


def show_records(published: PublishedDataset, choices: Sequence[Choice]) -> str:
    """A line per record that holds one of these, with the size of the whole record."""
    wanted = {choice.record for choice in choices}
    lines = [f"{published.part + 's':>14} {'size':>10}  record"]
    for record in published.records:
        if record.record in wanted:
            span = record.parts[0] if len(record.parts) == 1 else f"{record.parts[0]}..{record.parts[-1]}"
            lines.append(f"{span:>14} {record.gigabytes:>7.1f} GB  {record.record}, doi 10.5281/zenodo.{record.record}")
    return "\n".join(lines)


def show_plan(planned: Sequence[Planned], out: Path) -> str:
    """What a fetch would do, and whether there is room."""
    lines = [f"{item.file.key}: {item.state}, {gigabytes(item.n_missing)} to come" for item in planned]
    above = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    missing, free = sum(item.n_missing for item in planned), shutil.disk_usage(above).free
    return "\n".join([*lines, f"{gigabytes(missing)} to come; {gigabytes(free)} are free in {out}"])
