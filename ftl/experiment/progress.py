"""Progress of a stage: bars over rounds and epochs in a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

UnitReport = Callable[[str, int, int], None]
"""(what is being done, how much of it, out of how much)"""

QUIET_SECONDS = 20.0
"""Away from a terminal, at most one line in so many seconds."""


class ProgressBoard:
    """One bar per running unit, and one for the stage."""

    def __init__(self, title: str, units: list[str]) -> None:
        self.title, self.n_units = title, len(units)
        self.done = 0
        self.began = self.spoken = time.monotonic()
        self.live = sys.stderr.isatty()
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self.tasks: dict[str, TaskID] = {}
        self.total: TaskID | None = None

    def __enter__(self) -> "ProgressBoard":
        if self.live and self.n_units:
            self.bars.start()
            self.total = self.bars.add_task(f"[bold]{self.title}", total=self.n_units)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.bars.stop()
        elif kind is None and self.n_units:
            print(
                f"{self.title}: {self.done} parts in {time.monotonic() - self.began:.0f} s", file=sys.stderr, flush=True
            )

    def report(self, unit: str, step: str, done: int, total: int) -> None:
        """Called with every epoch or round of every unit."""
        finished = step == "done"
        self.done += finished
        if not self.live:
            now = time.monotonic()
            if now - self.spoken > QUIET_SECONDS:
                self.spoken = now
                print(
                    f"{self.title}: {self.done}/{self.n_units} parts; {unit}: {step} {done}/{total}",
                    file=sys.stderr,
                    flush=True,
                )
            return
        if finished and unit in self.tasks:
            self.bars.remove_task(self.tasks.pop(unit))
        elif not finished:
            if unit not in self.tasks:
                self.tasks[unit] = self.bars.add_task(unit, total=total)
            self.bars.update(self.tasks[unit], description=f"  {unit}: {step}", completed=done, total=total)
        if self.total is not None:
            self.bars.update(self.total, completed=self.done)


@contextmanager
def node_progress() -> Iterator[Callable[[int, int, str], None]]:
    """Give a function of (done, total, what): a bar per `what` in a terminal, a line now and then elsewhere."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}
    spoken = time.monotonic()

    def draw(done: int, total: int, what: str) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    def say(done: int, total: int, what: str) -> None:
        nonlocal spoken
        if time.monotonic() - spoken > QUIET_SECONDS:
            spoken = time.monotonic()
            print(f"{what}: {done}/{total}", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield say
        return
    with bars:
        yield draw
