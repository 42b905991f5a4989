import dataclasses

import numpy as np
import pytest

from ftl.reporting.blocks import ReportTable
from ftl.reporting.label_tables import label_blocks, label_rows, label_sentences
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def run():
    return synthetic_run(n_nodes=8, n_participants=(2,), datasets=("d1",), quiet_nodes=1)


def with_results(run, change):
    results = run.results.copy()
    change(results)
    return dataclasses.replace(run, results=results)


def of(results, **where):
    return np.logical_and.reduce([results[name] == value for name, value in where.items()])


def row_of(numbers, **where):
    (row,) = numbers[of(numbers, **where)].to_dict("records")
    return row


def test_every_paradigm_with_labels_stands_against_its_own_and_the_unsupervised_local_model(run):
    numbers = label_rows(run)
    assert len(numbers) == 2 * 2 * 2  # paradigm, arm, reference
    assert (numbers["n_nodes"] == 7).all()  # the quiet node has no AUROC
    assert len(label_sentences(run, numbers)) == 4


def test_labels_that_cost_every_node_a_tenth_are_said_to_hurt(run):
    def hurt(results):
        local = results[of(results, paradigm="unsupervised", arm="local")].set_index(["seed", "node"])
        arm = of(results, paradigm="supervised", arm="transfer")
        for metric in ("auroc", "auprc"):
            keys = list(zip(results.loc[arm, "seed"], results.loc[arm, "node"], strict=True))
            results.loc[arm, metric] = local.loc[keys, metric].to_numpy() - 0.1

    numbers = label_rows(changed := with_results(run, hurt))
    row = row_of(numbers, paradigm="supervised", arm="transfer", against="unsupervised")
    assert row["auroc_delta"] == pytest.approx(-0.1)
    (said,) = [s for s in label_sentences(changed, numbers) if "supervised, `transfer`" in s and "semi" not in s]
    assert "d1 (simulated)" in said
    assert "against the unsupervised local model labels of other nodes **hurt** (AUROC -0.100 [-0.100, -0.100]" in said


def test_where_test_rows_differ_nothing_is_compared_and_the_reason_is_said(run):
    def lend(results):
        results.loc[(results["paradigm"] == "supervised").to_numpy(), "n_test_rows"] -= 100

    numbers = label_rows(changed := with_results(run, lend))
    supervised = numbers[numbers["paradigm"] == "supervised"].set_index(["arm", "against"])
    assert supervised.loc[("transfer", "unsupervised"), "apart"] > 0
    assert np.isnan(supervised.loc[("transfer", "unsupervised"), "auroc_delta"])
    assert supervised.loc[("transfer", "own"), "apart"] == 0
    assert np.isfinite(supervised.loc[("transfer", "own"), "auroc_delta"])
    said = " ".join(label_sentences(changed, numbers))
    assert "against the unsupervised local model they cannot be compared: labels were lent" in said


def test_participants_have_no_part_in_it(run):
    def spoil(results):
        results.loc[(results["role"] == "participant").fillna(False).to_numpy(dtype=bool), "auroc"] = 0.0

    assert label_rows(with_results(run, spoil)).equals(label_rows(run))


def test_the_section_holds_sentences_and_a_table_per_dataset_with_its_origin(run):
    said, table = label_blocks(run)
    assert len(said.lines) == 4
    assert isinstance(table, ReportTable)
    assert "d1 (simulated, 8 nodes)" in table.caption
    assert len(table.shown) == len(table.numbers) == 8


def test_without_a_paradigm_that_uses_labels_words_say_so():
    run = synthetic_run(n_nodes=4, n_participants=(2,), seeds=(0,), datasets=("d1",), paradigms=("unsupervised",))
    (words,) = label_blocks(run)
    assert "nothing to compare" in words.text
