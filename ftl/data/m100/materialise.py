"""Every chosen metric and month reduced to windows once, one file after the other or in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftl.data.m100.labels import label_rule, window_states
from ftl.data.m100.layout import Part
from ftl.data.m100.metric import window_metric
from ftl.data.m100.rows import Grid
from ftl.data.m100.store import Card, load_card, save_entry, sole_writer
from ftl.data.node_workers import Progress
from ftl.errors import TelemetryError
from ftl.processes import asked_workers


@dataclass(frozen=True)
class Job:
    """One metric of one month, or its labels."""

    month: str
    plugin: str
    metric: str
    parts: tuple[Part, ...]
    grid: Grid
    statistics: tuple[str, ...]
    label: str | None  # the label rule; None where windows of samples are wanted
    stem: Path  # of the entry in the cache

    def __str__(self) -> str:
        return f"{self.month} {self.plugin} {self.metric}"

    def identity(self) -> list[Any]:
        """Source files and rule; what else decides the content is in the name of the cache folder."""
        return [self.label, [part.identity() for part in self.parts]]


def run_jobs(jobs: Sequence[Job], folder: Path, progress: Progress | None) -> list[Card]:
    """Do the jobs that are not done; returns the card of each.

    Raises:
        TelemetryError: If a file cannot be used or the disk is full; entries that are finished are kept.
    """
    cards = [load_card(job.stem, job.identity()) for job in jobs]
    if any(card is None for card in cards):
        with sole_writer(folder):
            missing = [job for job in jobs if load_card(job.stem, job.identity()) is None]
            for number, _ in enumerate(_run(missing), start=1):
                if progress is not None:
                    progress(number, len(missing), "reducing metrics to windows")
        cards = [load_card(job.stem, job.identity()) for job in jobs]
    done = [card for card in cards if card is not None]
    if len(done) < len(jobs):
        job = jobs[cards.index(None)]
        raise TelemetryError(f"{job}: its files, or the cache {folder}, changed while they were read; start again")
    return done


def run_job(job: Job) -> None:
    """Read a metric, or the labels, of a month and put what comes out into the cache."""
    if job.label is None:
        made = window_metric(job.parts, job.grid, job.statistics)
        save_entry(job.stem, job.identity(), made.block, made.n_samples, made.tally)
    else:
        found = window_states(job.parts, job.grid, label_rule(job.label))
        save_entry(job.stem, job.identity(), found.block, found.n_reports, found.tally, found.services)


def _run(jobs: Sequence[Job]) -> Iterator[Job]:
    """The jobs as they are finished, in their order."""
    n_workers = min(_worker_count(), len(jobs))
    if n_workers <= 1:
        for job in jobs:
            run_job(job)
            yield job
        return
    pool = ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for job, _ in zip(jobs, pool.map(run_job, jobs), strict=True):
            yield job
    except BrokenProcessPool as error:
        raise TelemetryError(
            "a worker process was killed (out of memory?); finished metrics are kept: run the same command again, "
            "with FTL_WORKERS=1 if memory is short"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _worker_count() -> int:
    """``FTL_WORKERS``; one where it is not set or inside a worker, whose siblings use the other cores."""
    asked = asked_workers() or 1
    return 1 if multiprocessing.parent_process() is not None else asked
