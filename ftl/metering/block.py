"""What a block of work costs: wall time, CPU time, memory and energy, as far as the machine tells them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import psutil

from ftl.metering.energy import ENERGY_METERS, JOULES_PER_WH, asked_meter

try:
    import resource

    HAS_RESOURCE = True
except ImportError:  # not a POSIX system
    HAS_RESOURCE = False

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Cost:
    """What was spent.

    Attributes:
        cpu_seconds: User and system time of the process and of the processes that it started.
        peak_memory_bytes: Largest resident memory of any one of these processes at any time, the interpreter, loaded
            libraries and mapped files among it; None where the system does not tell.
        energy_wh: The machine's energy times the share of its busy CPU time that is ours; None if it was not measured.
            What the machine needs when it is idle is shared out in the same way.
        energy_source: ``rapl``, ``codecarbon`` or ``not measured``.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int | None = None
    energy_wh: float | None = None
    energy_source: str = NOT_MEASURED

    def __add__(self, later: Cost) -> Cost:
        """Both together; energy is known only where the same meter measured both."""
        peaks = [peak for peak in (self.peak_memory_bytes, later.peak_memory_bytes) if peak is not None]
        energy = None
        if self.energy_wh is not None and later.energy_wh is not None and self.energy_source == later.energy_source:
            energy = self.energy_wh + later.energy_wh
        return Cost(
            self.wall_seconds + later.wall_seconds,
            self.cpu_seconds + later.cpu_seconds,
            max(peaks, default=None),
            energy,
            NOT_MEASURED if energy is None else self.energy_source,
        )


class Meter:
    """Measures the block that it opens: ``with Meter() as meter: ...``, then ``meter.cost()``.

    Where the system allows it (Linux), the process's memory peak is set back at the beginning, so that it is the
    block's own; elsewhere it is the peak since the process began. Blocks may follow one another, not lie in each other.

    Raises:
        ConfigError: If ``FTL_ENERGY`` is unknown, or asks for what is not installed.
    """

    def __enter__(self) -> Meter:
        self._source = asked_meter()
        self._energy = ENERGY_METERS[self._source]()
        self._joules: float | None = None
        self._closed: Cost | None = None
        _forget_peak()
        self._children_peak = _children_peak()
        self._busy = _machine_busy_seconds()
        self._cpu = _cpu_seconds()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall = time.perf_counter() - self._began  # before the meter of energy stops, which may take a while
        joules = None if self._energy is None else self._energy.close()
        self._closed = self._cost(wall, joules)

    def cost(self) -> Cost:
        """Of the block, or of what has been done of it."""
        if self._closed is not None:
            return self._closed
        joules = None if self._energy is None else self._energy.joules()
        return self._cost(time.perf_counter() - self._began, joules)

    def _cost(self, wall: float, joules: float | None) -> Cost:
        cpu = _cpu_seconds() - self._cpu
        busy = _machine_busy_seconds() - self._busy
        energy = None
        if joules is not None:
            energy = joules / JOULES_PER_WH * (min(1.0, cpu / busy) if busy > 0 else 1.0)
        source = NOT_MEASURED if energy is None else self._source
        return Cost(wall, cpu, self._peak(), energy, source)

    def _peak(self) -> int | None:
        own, children = _own_peak(), _children_peak()
        if own is None or children <= self._children_peak:  # the largest of them ended before the block
            return own
        return max(own, children)


def _cpu_seconds() -> float:
    """Of this process, of those it has waited for, and of those it has running."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system + sum(_running_children())


def _running_children() -> Iterator[float]:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = child.cpu_times()
            yield times.user + times.system


def _machine_busy_seconds() -> float:
    """CPU time of all processes of the machine since it started."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def _forget_peak() -> None:
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _own_peak() -> int | None:
    with suppress(OSError, ValueError, StopIteration), open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM:")).split()[1]) * 1024
    return _maxrss(resource.RUSAGE_SELF) if HAS_RESOURCE else None


def _children_peak() -> int:
    """The largest of the processes that ended and were waited for; 0 where that is not known."""
    return _maxrss(resource.RUSAGE_CHILDREN) if HAS_RESOURCE else 0


def _maxrss(who: int) -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(who).ru_maxrss) * unit
