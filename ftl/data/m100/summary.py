"""What the cards of all metrics and months say together: nodes, features, treatments, notes and fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftl.data.m100.materialise import Job
from ftl.data.m100.metric import NO_NUMBER
from ftl.data.m100.rows import OUTSIDE
from ftl.data.m100.store import Card
from ftl.errors import TelemetryError

SUSPICIOUS_SHARE = 0.01  # of a metric's samples outside their month
MOST_NOTES = 8


@dataclass(frozen=True)
class Placed:
    """Where an array lies in the grid of its month."""

    stem: Path
    metric: int  # number of the metric among those kept; -1 for labels
    first_node: int
    first_window: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """What is read from the cache, and what was counted; small, so that it travels to worker processes."""

    nodes: tuple[int, ...]  # with at least one sample, ascending
    metrics: tuple[str, ...]  # with at least one sample, in the order asked for
    placed: dict[str, tuple[Placed, ...]]  # month -> arrays
    treatments: dict[int, dict[str, int]]  # row of the node axis -> treatment -> count
    notes: tuple[str, ...]
    fingerprint: str


def summarise(jobs: Sequence[Job], cards: Sequence[Card], nodes: Sequence[int], asked: bool) -> Summary:
    """Put the cards of all jobs together.

    Args:
        jobs: One per metric and month, and one per month with Nagios reports.
        cards: The card of each.
        nodes: The node of each row of the node axis.
        asked: Whether these nodes were named by the user.

    Raises:
        TelemetryError: If no chosen node has a sample, or no report is of the service that shall label.
    """
    entries = list(zip(jobs, cards, strict=True))
    samples = [(job, card) for job, card in entries if job.label is None]
    metrics = tuple(dict.fromkeys(job.metric for job, _ in samples))
    with_samples = {job.metric for job, card in samples if card.n_samples}
    if not with_samples:
        raise _no_sample(jobs, metrics, nodes if asked else (), _other_nodes(samples))
    _check_label([(job, card) for job, card in entries if job.label is not None])
    kept = tuple(metric for metric in metrics if metric in with_samples)
    used = [(job, card) for job, card in entries if job.label is not None or job.metric in with_samples]
    rows = {row for _, card in samples for row in card.n_samples}
    return Summary(
        nodes=tuple(sorted(nodes[int(row)] for row in rows)),
        metrics=kept,
        placed=_place(used, kept),
        treatments=_treatments(used),
        notes=(
            *_metrics_left_out(samples, with_samples),
            *_nodes_left_out(samples, nodes, asked, len(rows)),
            *_nodes_missing_in_a_plugin(samples, nodes, rows),
            *_rows_lost(used),
            *_parts_maybe_damaged(samples),
        ),
        fingerprint=_fingerprint(used, nodes),
    )


def some(names: Iterable[object], limit: int = 8) -> str:
    """The first names, and how many more there are."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers, those that follow one another as a range: 0-7, 12."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return some("-".join(map(str, span)) for span in spans)


def _no_sample(jobs: Sequence[Job], metrics: Sequence[str], asked: Sequence[int], others: list[int]) -> TelemetryError:
    months = ", ".join(dict.fromkeys(job.month for job in jobs))
    if asked and others:
        return TelemetryError(
            f"nodes: {ranges(asked)} {'has' if len(asked) == 1 else 'have'} no samples of the {len(metrics)} chosen "
            f"metrics in {months}; there are {ranges(others)}"
        )
    return TelemetryError(
        f"none of the chosen nodes has a usable sample of the {len(metrics)} chosen metrics in {months}; "
        f"nodes that do have rows: {ranges(others) or 'none'}"
    )


def _place(entries: Sequence[tuple[Job, Card]], kept: Sequence[str]) -> dict[str, tuple[Placed, ...]]:
    number = {metric: column for column, metric in enumerate(kept)}
    placed: dict[str, tuple[Placed, ...]] = {}
    for job, card in entries:
        if card.shape[0]:
            metric = number[job.metric] if job.label is None else -1
            here = Placed(job.stem, metric, card.first_node, card.first_window, tuple(card.shape))
            placed[job.month] = (*placed.get(job.month, ()), here)
    return placed


def _treatments(entries: Sequence[tuple[Job, Card]]) -> dict[int, dict[str, int]]:
    by_row: dict[int, Counter[str]] = {}
    for _, card in entries:
        for treatment, counts in card.treatments.items():
            for row, count in counts.items():
                by_row.setdefault(int(row), Counter())[treatment] += count
    return {row: dict(counts) for row, counts in by_row.items()}


def _check_label(entries: Sequence[tuple[Job, Card]]) -> None:
    services = sorted({service for _, card in entries for service in card.services})
    if services and not any(card.n_samples for _, card in entries):
        job = entries[0][0]
        raise TelemetryError(
            f"label: no Nagios report of a chosen node under {job.label!r}; services that were found: "
            f"{', '.join(services)}; name one of them, worst or nagiosdrained"
        )


def _metrics_left_out(entries: Sequence[tuple[Job, Card]], with_samples: set[str]) -> list[str]:
    lost = {job.metric for job, _ in entries} - with_samples
    text = {job.metric for job, card in entries if job.metric in lost and NO_NUMBER in card.treatments}
    notes = [f"metrics of text left out: {some(sorted(text), 20)}"] if text else []
    return notes + ([f"metrics without any sample left out: {some(sorted(lost - text), 20)}"] if lost - text else [])


def _nodes_left_out(entries: Sequence[tuple[Job, Card]], nodes: Sequence[int], asked: bool, n_used: int) -> list[str]:
    notes = []
    others = _other_nodes(entries)
    if others and not asked:
        notes.append(
            f"{len(others)} nodes beyond the compute nodes ({nodes[0]} to {nodes[-1]}) left out; "
            f"name them under 'nodes' to have them: {some(others)}"
        )
    touched = {row for _, card in entries for counts in card.treatments.values() for row in counts}
    rows = {row for _, card in entries for row in card.n_samples}
    silent = sorted(
        nodes[int(row)] for row in (touched - rows if not asked else set(map(str, range(len(nodes)))) - rows)
    )
    if silent:
        notes.append(f"{len(silent)} nodes without any window left out: {some(silent)}")
    return notes


def _nodes_missing_in_a_plugin(entries: Sequence[tuple[Job, Card]], nodes: Sequence[int], rows: set[str]) -> list[str]:
    notes = []
    for plugin in dict.fromkeys(job.plugin for job, _ in entries):
        there = {row for job, card in entries if job.plugin == plugin for row in card.n_samples}
        missing = sorted(nodes[int(row)] for row in rows - there)
        if missing:
            notes.append(
                f"{len(missing)} of {len(rows)} nodes have no sample of plugin {plugin}, "
                f"whose columns are missing there: {some(missing)}"
            )
    return notes


def _rows_lost(entries: Sequence[tuple[Job, Card]]) -> list[str]:
    lost: dict[str, list[tuple[str, int]]] = {}
    for job, card in entries:
        for what, count in card.rows_lost.items():
            lost.setdefault(what, []).append((str(job), count))
    return [
        f"{what}: {sum(count for _, count in files)} in {len(files)} metrics, first {files[0][0]}"
        for what, files in lost.items()
    ]


def _parts_maybe_damaged(entries: Sequence[tuple[Job, Card]]) -> list[str]:
    """Metrics of which more samples lie outside their month than a clock that went wrong explains."""
    notes = []
    for job, card in entries:
        outside = sum(card.treatments.get(OUTSIDE, {}).values())
        share = outside / max(outside + sum(card.n_samples.values()), 1)
        if share > SUSPICIOUS_SHARE:
            notes.append(
                f"{job}: {outside:,} samples ({share:.1%}) lie outside {job.month} and were left out; "
                f"{some(job.parts, 2)} may be damaged: compare its checksum, or fetch it again"
            )
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"{len(notes) - MOST_NOTES} more metrics have more than {SUSPICIOUS_SHARE:.0%} outside"]
    return notes


def _other_nodes(entries: Sequence[tuple[Job, Card]]) -> list[int]:
    return sorted({node for _, card in entries for node in card.other_nodes})


def _fingerprint(entries: Sequence[tuple[Job, Card]], nodes: Sequence[int]) -> str:
    """Settings, and the digest and place of every array."""
    content = [
        [
            *(job.month, job.plugin, job.metric, job.label, job.statistics, job.grid.window),
            *(card.first_node, card.first_window, card.shape, card.digest),
        ]
        for job, card in entries
    ]
    return hashlib.blake2b(json.dumps([list(nodes), content]).encode(), digest_size=16).hexdigest()
