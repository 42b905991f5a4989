"""All pictures of a run, in the order in which a reader meets them."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ftl.reporting.pictures import (
    arms,
    convergence,
    costs,
    curves,
    drift,
    fine_tuning,
    gains,
    projection,
    similarity,
    timelines,
    tuning,
)
from ftl.reporting.pictures.picture import Picture
from ftl.reporting.pictures.subject import Subject, subjects
from ftl.reporting.run_tables import RunTables

PARTS: tuple[Callable[[Subject], Iterator[Picture]], ...] = (
    gains.pictures,
    fine_tuning.pictures,
    arms.pictures,
    projection.pictures,
    similarity.pictures,
    costs.pictures,
    convergence.pictures,
    curves.pictures,
    timelines.pictures,
)
KINDS = (
    "delta_f1",
    "delta_f1_nodes",
    "delta_f1_harmed",
    "fine_tuning",
    "arms",
    "projection",
    "similarity",
    "costs",
    "training_loss",
    "ranking",
    "timelines",
    "coldstart",
    "coldstart_alarms",
    "drift_curve",
    "tuning_history",
    "tuning_pareto",
)


def draw_pictures(run: RunTables) -> list[Picture]:
    """Draw what the tables of a run allow: dataset by dataset in the order of KINDS, the study of parameters last.

    A picture whose table is missing or has nothing to show is left out. similarity, ranking and timelines are
    drawn once per paradigm. Equal tables give equal bytes.

    Raises:
        ValueError: If a target's run lacks its local partner, or was scored on other test rows than it.
    """
    with _young_garbage_alone():
        drawn = [picture for subject in subjects(run) for part in PARTS for picture in part(subject)]
        return [*drawn, *_of_coldstarts(run), *drift.pictures(run), *tuning.pictures(run.tuning)]


def _of_coldstarts(run: RunTables) -> Iterator[Picture]:
    if run.coldstart is None:
        return
    from ftl.reporting.pictures import coldstart  # the study imports torch

    for cold in run.coldstarts:
        yield from coldstart.pictures(cold)


@contextmanager
def _young_garbage_alone() -> Iterator[None]:
    """Spare the collector what is alive already: figures are full of cycles, and a seventh of the time went there."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
