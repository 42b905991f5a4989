"""The audit: the findings follow from the tables, and from nothing else."""

import json
from collections.abc import Callable

import pandas as pd
import pytest

from ftl.paper import tables
from ftl.paper.audit import CHECKS, audit_tables, tally
from ftl.paper.findings import CANNOT_BE_DECIDED, DOES_NOT_HOLD, HOLDS, Finding

Audit = dict[str, Finding]
Mend = Callable[..., Audit]

# What the tables come to, worked out independently of this code.
EXPECTED: dict[str, dict[str, float]] = {
    "delta-f1-identity": {"n_rows": 72, "n_true": 72},
    "table-5-means": {"n_entries": 12, "largest_gap": 0.072},
    "before-by-strategy": {"n_pairs": 36, "n_differ": 6, "n_blocks_differ": 1},
    "random-above-top": {"n_cells": 36, "n_impossible": 7},
    "fleet-total": {"n_broken": 6, "largest_spread": 35.33},
    "implied-rank-f1": {
        "semi_supervised_D1_before_ranks_4_5": 3.33,
        "supervised_D1_ae_ranks_21_25": -0.01,
        "supervised_D2_ae_ranks_21_25": -0.01,
    },
    "recall-one": {"n_cells": 144, "n_one": 144},
    "f1-of-pooled-counts": {
        "rmse_pooled": 0.463,
        "rmse_accuracy": 0.033,
        "rmse_bimodal": 0.027,
        "best_single_prevalence": 0.20,
        "rmse_at_best_prevalence": 0.098,
        "mean_abs_precision_minus_tnr": 0.019,
        "mean_f1_minus_precision": 0.034,
    },
    "implied-prevalence": {"lowest": 0.09, "highest": 0.55, "example_precision_expected": 0.048},
    "f1-range": {"n_outside": 2},
    "precision-bound": {"n_above_by_more_than_01": 19, "largest_excess": 0.049},
    "asterisks": {"n_without": 4, "largest_gain_without": 0.21, "sd_needed_there": 0.74},
    "effect-size-unit": {
        "sd_implied_low": 0.157,
        "sd_implied_high": 0.348,
        "d_over_runs_low": 15.5,
        "d_over_runs_high": 25.5,
    },
    "strongest-paradigms": {
        "mean_d_semi_supervised": 1.885,
        "mean_d_unsupervised": 1.4375,
        "mean_d_supervised": 1.435,
    },
    "effect-size-range": {"printed_low": 1.29, "printed_high": 2.10},
    "largest-gain": {"stated": 0.50, "largest": 0.72},
    "range-of-f1-before": {"D1_f1_before_low": 0.21, "D1_f1_before_high": 0.48, "D2_f1_before_high": 0.54},
    "tnr-gain": {"stated": 0.52, "random_n": 0.43, "top_n": 0.52},
    "gain-follows-baseline": {"correlation": 0.91},
    "top-beats-random": {"n_cells": 36, "n_random_wins": 16, "n_random_wins_supervised": 9},
    "amortisation": {"targets_few_by_time": 383, "targets_many_by_time": 774, "hours_low": 5.0, "hours_high": 6.7},
}


@pytest.fixture(scope="module")
def audit() -> Audit:
    return {finding.id: finding for finding in audit_tables()}


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> Mend:
    """The audit of other tables: file name -> change of the table as printed."""
    read = tables._read

    def run(**changes: Callable[[pd.DataFrame], pd.DataFrame]) -> Audit:
        def changed(name: str) -> pd.DataFrame:
            table = read(name).copy()
            change = changes.get(name.removesuffix(".csv"))
            return table if change is None else change(table)

        monkeypatch.setattr(tables, "_read", changed)
        return {finding.id: finding for finding in audit_tables()}

    return run


@pytest.mark.parametrize(("name", "numbers"), EXPECTED.items(), ids=EXPECTED)
def test_a_finding_has_the_numbers_of_the_tables(audit: Audit, name: str, numbers: dict[str, float]) -> None:
    for key, expected in numbers.items():
        digits = len(str(expected).partition(".")[2]) if isinstance(expected, float) else 0
        assert audit[name].numbers[key] == pytest.approx(expected, abs=0.5001 * 10**-digits), key


def test_every_finding_has_a_verdict_and_a_name_of_its_own(audit: Audit) -> None:
    assert len(audit) == len(CHECKS)
    assert {finding.verdict for finding in audit.values()} == {HOLDS, DOES_NOT_HOLD, CANNOT_BE_DECIDED}
    assert audit["delta-f1-identity"].verdict == audit["targets-complement"].verdict == HOLDS


def test_the_tally_counts_verdicts(audit: Audit) -> None:
    assert tally(list(audit.values())) == (
        "24 statements checked: 2 hold, 19 do not hold, 3 cannot be decided from the tables."
    )


def test_rows_at_fault_are_named(audit: Audit) -> None:
    asterisks = audit["asterisks"].rows
    assert list(zip(asterisks["paradigm"], asterisks["dataset"], asterisks["n"], strict=True)) == [
        ("semi_supervised", "D2", 25),
        ("semi_supervised", "D2", 50),
        ("unsupervised", "D1", 25),
        ("unsupervised", "D2", 25),
    ]
    outside = audit["f1-range"].rows
    assert list(zip(outside["paradigm"], outside["dataset"], outside["n"], strict=True)) == [
        ("supervised", "D2", 3),
        ("supervised", "D2", 50),
    ]
    assert len(audit["random-above-top"].rows) == 7
    assert audit["before-by-strategy"].rows["n"].to_list() == [3, 5, 10, 20, 25, 50]


def test_findings_are_plain_json(audit: Audit) -> None:
    content = json.loads(json.dumps([finding.as_json() for finding in audit.values()], allow_nan=False))
    assert [finding["id"] for finding in content] == list(audit)


def test_a_wrong_gain_is_found(mended: Mend) -> None:
    def misprint(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[10, "delta_f1"] += 0.02
        return table

    finding = mended(tables_2_3_4=misprint)["delta-f1-identity"]
    assert (finding.verdict, finding.numbers["n_true"], len(finding.rows)) == (DOES_NOT_HOLD, 71, 1)


def test_table_5_holds_once_it_has_the_means(mended: Mend) -> None:
    means = tables.tables_2_to_4().groupby(["paradigm", "dataset", "strategy"])["delta_f1"].mean()

    def of_means(table: pd.DataFrame) -> pd.DataFrame:
        for strategy in ("top_n", "random_n"):
            keys = zip(table["paradigm"], table["dataset"], strict=True)
            table[f"{strategy}_delta_f1"] = [round(means[(*key, strategy)], 2) for key in keys]
        return table

    assert mended(table_5=of_means)["table-5-means"].verdict == HOLDS


def test_tables_of_one_consistent_fleet_pass(mended: Mend) -> None:
    """100 nodes whose local F1 falls from 1 to 0 by rank; one row per cell computed from them, recall below 1."""

    def consistent(table: pd.DataFrame) -> pd.DataFrame:
        f1 = [1 - rank / 99 for rank in range(100)]
        top = [sum(f1[:n]) / n for n in table["n"]]
        rest = [sum(f1[n:]) / (100 - n) for n in table["n"]]
        is_top = table["strategy"] == "top_n"
        table["f1_local_participants"] = [round(a if b else 0.3, 2) for a, b in zip(top, is_top, strict=True)]
        table["f1_before"] = [round(value, 2) for value in rest]
        table[["precision_before", "tnr_before"]] = 0.3
        table["recall_after"] = 0.9
        table["f1_after"] = (table["f1_before"] + 0.1).round(2)
        table["delta_f1"], table["significant"] = 0.1, True
        return table

    found = mended(tables_2_3_4=consistent)
    names = ("fleet-total", "implied-rank-f1", "random-above-top", "before-by-strategy", "recall-one", "asterisks")
    assert {name: found[name].verdict for name in names} == dict.fromkeys(names, HOLDS)


def test_cheap_rounds_would_pay(mended: Mend) -> None:
    def cheap(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["stage"] == "fedavg_round_total", ["time_s_low", "time_s_high"]] = 1
        return table

    assert mended(table_7=cheap)["amortisation"].verdict == HOLDS


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict must be one of"):
        Finding("x", "Table 1", "all is well", "perhaps", "nothing", {})
