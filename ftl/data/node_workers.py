"""Work that is the same for every node, done in this process or in a few, with results in the order of the nodes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from ftl.errors import UserError
from ftl.processes import asked_workers, leave_ending_to

Progress = Callable[[int, int, str], None]
"""(nodes done, nodes in all, what is being done)"""

MOST_PROCESSES = 4
"""Unless FTL_WORKERS says otherwise: each holds a few copies of one node's table."""

WORTH_A_PROCESS = 2.0
"""Seconds of work that are left when processes are started; below, starting them takes as long."""


class NodeWorkers:
    """Processes that share one thing (a source, a folder) and are given one node's work at a time.

    The number of processes changes nothing but the time: results come in the order of the arguments.

    Args:
        shared: First argument of every function; must be picklable where processes are not forked.
        progress: Told of every node that is done.

    Raises:
        UserError: If FTL_WORKERS is no number, or a process was killed.
    """

    def __init__(self, shared: Any, progress: Progress | None = None) -> None:
        self.shared, self.progress = shared, progress
        self.n_processes, self.asked_for = _process_count()
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> NodeWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def each(self, what: str, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of ``function(shared, *arguments)``, in order; `function` must be a function of a module.

        Args:
            what: What is done to the nodes, for whoever reports progress.
            function: One node's work.
            arguments: Per node.
        """
        for done, result in enumerate(self._results(function, arguments), start=1):
            if self.progress is not None:
                self.progress(done, len(arguments), what)
            yield result

    def _results(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        position = 0
        while position < len(arguments):
            if self.pool is None and self.asked_for and self.n_processes > 1:
                self.pool = self._start()
            if self.pool is not None:
                yield from self._from_pool(function, arguments[position:])
                return
            began = time.monotonic()
            result = function(self.shared, *arguments[position])
            position += 1
            left = (time.monotonic() - began) * (len(arguments) - position)
            if self.n_processes > 1 and left > WORTH_A_PROCESS:
                self.pool = self._start()
            yield result

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
        return ProcessPoolExecutor(
            self.n_processes, mp_context=context, initializer=_begin, initargs=(os.getpid(), self.shared)
        )

    def _from_pool(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        assert self.pool is not None
        waiting: deque[Future[Any]] = deque()
        try:
            for argument in arguments:
                waiting.append(self.pool.submit(_call, function, argument))
                if len(waiting) > 4 * self.n_processes:  # results that nobody has taken yet stay few
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process that prepared a node was killed (out of memory?); finished nodes are kept: run the same "
                "command again, with FTL_WORKERS=1 if memory is short"
            ) from error


def _process_count() -> tuple[int, bool]:
    """Processes to use, and whether somebody asked for that number."""
    asked = asked_workers()
    if asked is not None:
        return asked, True
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES), False


_shared: Any = None


def _begin(parent: int, shared: Any) -> None:
    global _shared
    _shared = shared
    leave_ending_to(parent)


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(_shared, *arguments)
