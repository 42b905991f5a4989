"""Features that say which values were missing before they were filled.

Without them a model cannot tell a steady sensor from a silent one. Metrics that fall silent together, such as all that
an operating system reports, share one: saying the same a hundred times would drown everything else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components

from ftl.data.cleaning import Gaps

INDICATOR_SHARE = 0.01
"""A metric missing in at least this share of the fleet's training rows gets an indicator, or a part in one."""

TOGETHER = 0.8
"""Metrics share an indicator if, of the rows in which one of the two is missing, both are in at least this share."""

_STATISTIC = re.compile(r"_(avg|mean|std|min|max|median)$")


def metrics_of(features: Sequence[str]) -> dict[str, list[int]]:
    """The features of each metric: its statistics (``_avg``, ``_std``, ...), which go missing together."""
    metrics: dict[str, list[int]] = {}
    for column, name in enumerate(features):
        metrics.setdefault(_STATISTIC.sub("", name), []).append(column)
    return metrics


def count_together(gaps: Gaps, among: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """In how many of a node's rows two metrics are both missing, shape (M, M) int64; on the diagonal, each of them.

    Args:
        gaps: The node's.
        among: Rows to look at, bool, shape (T,). Rows without any value are left out.
        features: The fleet's; M metrics as :func:`metrics_of` finds them.
    """
    looked_at = among[gaps.rows] & ~gaps.silent()
    missing = gaps.missing[looked_at]
    of_metrics = [missing[:, columns].any(axis=1) for columns in metrics_of(features).values()]
    silent = np.stack(of_metrics, axis=1).astype(np.float64)
    return np.asarray(np.rint(silent.T @ silent), np.int64)


def indicator_features(
    features: Sequence[str], together: np.ndarray, n_rows: int, silent_share: float
) -> dict[str, list[int]]:
    """The 0/1 features and the features that each looks at: one per group of metrics that go missing together.

    A group is named after its first metric and the number of the others, ``missing:cpu_idle+26``; ``missing:row`` is 1
    in rows without any value. Each is there where it happens in at least INDICATOR_SHARE of the training rows.

    Args:
        features: The features that the fleet keeps.
        together: What :func:`count_together` counts, summed over nodes, shape (M, M).
        n_rows: The training rows that it was counted over.
        silent_share: Share of the training rows without any value.
    """
    metrics = metrics_of(features)
    often = np.flatnonzero(np.diag(together) >= INDICATOR_SHARE * max(n_rows, 1))
    counts = together[np.ix_(often, often)]
    either = np.diag(counts)[:, None] + np.diag(counts)[None, :] - counts
    n_groups, group = connected_components(counts >= TOGETHER * np.maximum(either, 1), directed=False)
    names, columns = list(metrics), list(metrics.values())
    found: dict[str, list[int]] = {}
    for number in range(n_groups):
        members = often[group == number]
        others = f"+{len(members) - 1}" if len(members) > 1 else ""
        looks_at = sorted(column for member in members for column in columns[member])
        found[f"missing:{names[members[0]]}{others}"] = looks_at
    return found | ({"missing:row": []} if silent_share >= INDICATOR_SHARE else {})


def indicator_values(gaps: Gaps, columns: Sequence[int]) -> np.ndarray:
    """1 where any of these features is missing (none given: where all are), else 0, shape (T,) float32."""
    values = np.zeros(gaps.n_rows, np.float32)
    values[gaps.rows] = gaps.missing[:, columns].any(axis=1) if columns else gaps.silent()
    return values
