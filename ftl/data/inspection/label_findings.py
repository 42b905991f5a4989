"""What is wrong with labels: absent, one-sided, late, or known to a column already."""

from __future__ import annotations

from collections.abc import Iterator

from ftl.data.inspection.finding import NOTE, WARNING, Evidence, Finding, Rule
from ftl.data.inspection.words import count, percent

LEAK = 0.98  # correlation with the label above which a column may be the label under another name


def labels(evidence: Evidence) -> Iterator[Finding]:
    """Whether there is anything to detect, and anything to learn it from."""
    nodes = evidence.inspection.nodes
    normal, anomalous, unknown = (
        sum(getattr(node.labels, key) for node in nodes) for key in ("normal", "anomalous", "unknown")
    )
    total = normal + anomalous + unknown
    if not total:
        return
    if unknown:
        some = next(node for node in nodes if node.labels.unknown)
        alone = unknown == total
        yield Finding(
            WARNING if unknown > 0.2 * total else NOTE,
            "no row has a known label"
            if alone
            else f"{count(unknown, 'row')} ({percent(unknown / total)}) without a known label",
            "" if alone else f"node {some.node_id}: {count(some.labels.unknown, 'row')}",
            unknown,
            f"{evidence.inspection.advice.unlabelled}; without labels nothing can be scored"
            if alone
            else "they are not scored",
        )
    if not anomalous:
        if unknown < total:
            advice = f"models train, but precision, recall and F1 are undefined; {evidence.inspection.advice.one_sided}"
            yield Finding(WARNING, "no row is labelled anomalous", advice=advice)
        return
    if anomalous > 0.5 * (normal + anomalous):
        yield Finding(
            WARNING,
            f"{percent(anomalous / (normal + anomalous))} of the labelled rows are anomalous",
            count=anomalous,
            advice=evidence.inspection.advice.swapped,
        )
    yield from _anomalies_in_parts(evidence, anomalous)


def _anomalies_in_parts(evidence: Evidence, anomalous: int) -> Iterator[Finding]:
    nodes = [node for node in evidence.inspection.nodes if node.n_rows]
    later = sum(node.labels.anomalous_later for node in nodes)
    quiet = [node for node in nodes if not node.labels.anomalous_later]
    if later == anomalous:
        yield Finding(
            NOTE,
            "all anomalies lie in the test part",
            count=anomalous,
            advice="paradigms that need labels borrow those of the first test rows (prepare.lend_fraction)",
        )
    if quiet:
        entirely = sum(not node.labels.anomalous for node in nodes)
        yield Finding(
            WARNING if 2 * len(quiet) > len(nodes) else NOTE,
            f"{count(len(quiet), 'node')} of {len(nodes)} without an anomaly in the test part, {entirely} without any",
            f"node {quiet[0].node_id}",
            len(quiet),
            "they have no precision, recall or F1; they count for false alarms only",
        )


def label_leaks(evidence: Evidence) -> Iterator[Finding]:
    """Columns that follow the label so closely that they may be made from it."""
    close = evidence.features[evidence.features["label_correlation"].abs() > LEAK]
    if len(close):
        first = close.iloc[0]
        yield Finding(
            WARNING,
            f"{count(len(close), 'column follows', 'columns follow')} the label almost exactly",
            f"{first['feature']!r}: correlation {first['label_correlation']:+.3f} (median node)",
            len(close),
            f"if they are made from the label, {evidence.inspection.advice.leaking}, or scores will be too good",
        )


LABEL_RULES: tuple[Rule, ...] = (
    labels,
    label_leaks,
)
