"""What is compared with what: pairs of runs on the same node, test rows and seed; policies on their common targets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ftl.evaluation.results import CELL_COLUMNS, CROSS_FITTED_POLICIES, KEY_COLUMNS
from ftl.evaluation.significance import compare, equivalence_p, holm

Racks = Mapping[str, Mapping[str, str | None]]  # dataset -> node -> rack
Block = Mapping[str, np.ndarray]  # columns of the nodes of one cell, (K,) each

EQUIVALENCE_MARGIN = 0.02  # of F1: two arms closer than this are called equivalent
_PAIRING = ["dataset", "protocol", "paradigm", "seed", "node"]
_ROWS_SCORED = ("n_test_rows", "n_test_anomalies")


def target_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Rows that count for their arm: those of targets, and all rows of arms without a cohort; in order of the keys."""
    runs = results[(results["role"] != "participant").fillna(True).to_numpy(dtype=bool)]
    return runs.sort_values(list(KEY_COLUMNS), na_position="first", kind="stable", ignore_index=True)


def pair_with(runs: pd.DataFrame, reference: pd.DataFrame, values: Sequence[str], suffix: str) -> pd.DataFrame:
    """Set beside each run the values of a reference arm on the same node with the same seed, as `<value><suffix>`.

    Args:
        runs: Rows of the results table.
        reference: Rows of one arm that does not depend on a cohort (local, local_long).
        values: Columns to take.
        suffix: Ending of the new columns.

    Raises:
        ValueError: If a run has no partner, or was scored on other test rows than its partner.
    """
    columns = [*_PAIRING, *_ROWS_SCORED, *values]
    partner = reference[columns].rename(columns={name: f"{name}{suffix}" for name in (*_ROWS_SCORED, *values)})
    paired = runs.merge(partner, on=_PAIRING, how="left", validate="many_to_one")
    missing = paired[f"n_test_rows{suffix}"].isna()
    if missing.any():
        raise ValueError(
            f"every run needs a run of {'/'.join(reference['arm'].unique()) or 'its reference'} on the same node and "
            f"seed; {missing.sum()} have none, first {_where(paired[missing])}"
        )
    for name in _ROWS_SCORED:
        differs = paired[name] != paired[f"{name}{suffix}"]
        if differs.any():
            raise ValueError(
                f"two arms are comparable on the same test rows only; {name} differs in {differs.sum()} runs, "
                f"first {_where(paired[differs])}"
            )
    return paired.drop(columns=[f"{name}{suffix}" for name in _ROWS_SCORED])


def node_means(runs: pd.DataFrame, cell: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Mean of each value over the draws and seeds of a node, NaN left out: one row per (cell, node), in their order."""
    groups = runs.groupby([*cell, "node"], dropna=False, sort=True)
    return groups[list(values)].mean().reset_index()


def blocks(nodes: pd.DataFrame, cell: Sequence[str]) -> Iterator[tuple[dict[str, Any], Block]]:
    """Cut a table of nodes, sorted by cell, into its cells: the cell's key, and its columns as arrays."""
    number = nodes.groupby(list(cell), dropna=False, sort=True).ngroup().to_numpy()
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    columns = {name: nodes[name].to_numpy() for name in nodes.columns}
    for start, end in zip(starts, [*starts[1:], len(nodes)], strict=False):  # a table without rows has no cell
        key = {name: nodes[name].iloc[start] for name in cell}
        yield key, {name: values[start:end] for name, values in columns.items()}


def racks_of(racks: Racks | None, dataset: str, nodes: np.ndarray) -> list[str | None] | None:
    """Rack of each node (K,), None where unknown."""
    known = (racks or {}).get(dataset)
    return None if known is None else [known.get(node) for node in nodes]


def compare_arms(results: pd.DataFrame, arm: str, reference: str, racks: Racks | None = None) -> pd.DataFrame:
    """One arm against another on the same nodes, seeds and, where both have one, the same cohort.

    For "is decoder-only fine-tuning as good as full fine-tuning" use p_equivalence (TOST, margin .02 of F1): a verdict
    of "no difference" alone does not say so.

    Args:
        results: The results table.
        arm: The arm whose gain is asked for.
        reference: What it is compared with; may be an arm without cohort, such as local_long.
        racks: dataset -> node -> rack, where known.

    Returns:
        One row per cell of `arm`: its key, arm, reference, delta_f1 = F1(arm) - F1(reference), and the statistics of
        :func:`ftl.evaluation.significance.compare`; p_holm over the whole table, per protocol.
    """
    runs = target_runs(results)
    left, right = runs[runs["arm"] == arm], runs[runs["arm"] == reference]
    cohort = ["policy", "n_participants", "draw"] if right["policy"].notna().any() else []
    pairs = left.merge(right[[*_PAIRING, *cohort, "f1"]], on=[*_PAIRING, *cohort], suffixes=("", "_reference"))
    pairs["reference"] = reference
    cell = [*CELL_COLUMNS, "reference"]
    return _compared(pairs, cell, "f1_reference", "f1", racks)


def compare_policies(results: pd.DataFrame, policy: str, reference: str, racks: Racks | None = None) -> pd.DataFrame:
    """One selection policy against another on common targets: nodes that trained neither of the models they receive.

    The paper compares Top-N with Random-N "on the same targets", which the complements of two different cohorts cannot
    be. Here every draw of one policy meets every draw of the other with the same N, seed and arm, on the nodes that are
    targets of both; a node's difference is its mean over these pairs. A policy under which all nodes train has an N of
    its own: it meets every N of the other.

    Returns:
        One row per (dataset, protocol, paradigm, n_participants, arm), columns as in :func:`compare_arms` with policy
        and reference naming the two policies, and n_reference the reference's N. No row where the two have no common
        target.
    """
    runs = target_runs(results)
    values = ["n_participants", "draw", "f1"]
    left = runs.loc[runs["policy"] == policy, [*_PAIRING, "arm", *values]]
    right = runs.loc[runs["policy"] == reference, [*_PAIRING, "arm", *values]]
    right = right.rename(columns={"n_participants": "n_reference"})
    on = [*_PAIRING, "arm"]
    if CROSS_FITTED_POLICIES.isdisjoint({policy, reference}):
        left, on = left.assign(n_reference=left["n_participants"]), [*on, "n_reference"]
    pairs = left.merge(right, on=on, suffixes=("", "_reference"))
    pairs["policy"], pairs["reference"] = policy, reference
    return _compared(pairs, [*CELL_COLUMNS, "reference", "n_reference"], "f1_reference", "f1", racks)


def _compared(pairs: pd.DataFrame, cell: Sequence[str], before: str, after: str, racks: Racks | None) -> pd.DataFrame:
    order = [*cell, "node", "seed", *[name for name in ("draw", "draw_reference") if name in pairs]]
    pairs = pairs.sort_values(order, na_position="first", kind="stable")
    rows = []
    for key, block in blocks(node_means(pairs, cell, [before, after]), cell):
        result = compare(block[before], block[after], racks_of(racks, key["dataset"], block["node"]))
        difference = block[after] - block[before]
        rows.append(
            key
            | {
                "delta_f1": result.delta,
                "ci_low": result.interval.low,
                "ci_high": result.interval.high,
                "p_t": result.p_t,
                "p_wilcoxon": result.p_wilcoxon,
                "p_equivalence": equivalence_p(difference[~np.isnan(difference)], EQUIVALENCE_MARGIN),
                "cohens_d": result.cohens_d,
                "n_nodes": result.n_nodes,
                "verdict": result.interval.verdict,
                "degenerate": result.degenerate,
            }
        )
    names = ("delta_f1", "ci_low", "ci_high", "p_t", "p_wilcoxon", "p_holm", "p_equivalence", "cohens_d", "n_nodes")
    table = pd.DataFrame(rows, columns=[*cell, *names, "verdict", "degenerate"])
    table["p_holm"] = holm_per_protocol(table["protocol"], table["p_t"].to_numpy(dtype=float))
    return table


def holm_per_protocol(protocol: "pd.Series[Any]", p: np.ndarray) -> np.ndarray:
    """Holm's correction within each protocol: a reader reads one protocol's table at a time."""
    corrected = np.full(len(p), np.nan)
    for rows in protocol.groupby(protocol).indices.values():
        corrected[rows] = holm(p[rows])
    return corrected


def _where(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return ", ".join(f"{name}={row[name]}" for name in KEY_COLUMNS)
