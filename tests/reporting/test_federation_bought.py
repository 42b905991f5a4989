import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation import summarise
from ftl.evaluation.significance import bootstrap_interval
from ftl.reporting.blocks import Bullets
from ftl.reporting.federation_bought import all_bought_sentences, bought_sentences, short_verdict, verdict
from ftl.reporting.opening import headline_cells, opening_blocks
from ftl.reporting.pictures.subject import node_gains
from tests.reporting.synthetic_run import STATE_BYTES, synthetic_run

SCOPE = ("d1", "rigorous")


def with_linear(run, shift=0.0):
    """The run with federated PCA: what pca found, moved by a shift of F1 and AUROC, and with its bytes."""
    linear = run.results[run.results["arm"] == "pca"].assign(arm="federated_pca", bytes_sent=40_000, bytes_received=900)
    linear = linear.assign(**{metric: linear[metric] + shift for metric in ("f1", "auroc")})
    results = pd.concat([run.results, linear.astype({"bytes_sent": "Int64", "bytes_received": "Int64"})])
    return replace(run, results=results.reset_index(drop=True))


@pytest.fixture(scope="module")
def run():
    return with_linear(synthetic_run(n_nodes=10, n_participants=(2, 3, 4), datasets=("d1",)))


def without(run, arm):
    return replace(run, results=run.results[run.results["arm"] != arm])


def of_nodes(run, arm, metric, cohort=("top_n", 3)):
    """Mean over seeds of each node, of the targets of a cohort where the arm has one."""
    rows = run.results[(run.results["arm"] == arm) & (run.results["paradigm"] == "unsupervised")]
    if arm == "transfer":
        rows = rows[(rows["policy"] == cohort[0]) & (rows["n_participants"] == cohort[1])]
    return rows.groupby("node")[metric].mean().dropna()


def shown(run, arm, reference, metric, digits):
    """A paired difference as the sentences show it, on the headline's targets, computed here anew."""
    nodes = of_nodes(run, "transfer", metric).index
    difference = of_nodes(run, arm, metric)[nodes] - of_nodes(run, reference, metric)[nodes]
    found = bootstrap_interval(difference.to_numpy(), [run.racks()["d1"][node] for node in nodes])
    text = f"{difference.mean():+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
    return text.replace("-0.00 ", "+0.00 ").replace("-0.000 ", "+0.000 ")


def test_there_are_three_sentences_and_each_is_one(run):
    for made in (run, without(run, "federated_pca"), without(run, "transfer"), without(run, "local_long")):
        sentences = bought_sentences(made, *SCOPE)
        assert len(sentences) == 3
        assert all(said.endswith(".") and not re.search(r"[.!?] ", said) for said in sentences)
        assert all("d1 (simulated" in said for said in sentences)


def test_federation_is_held_against_both_controls_in_f1_and_auroc(run):
    said = bought_sentences(run, *SCOPE)[0]
    assert "(simulated, unsupervised, top_n, N = 3, 7 target nodes)" in said
    for metric, name, digits in (("f1", "F1", 2), ("auroc", "AUROC", 3)):
        local, long = (shown(run, "transfer", control, metric, digits) for control in ("local", "local_long"))
        assert f"{name} by {local} and {long} (" in said


def test_the_numbers_are_those_of_the_headline_table(run):
    (cell,) = headline_cells(run)[lambda cells: cells["paradigm"] == "unsupervised"].to_dict("records")
    said = bought_sentences(run, *SCOPE)[0]
    assert f"F1 by {cell['delta_f1']:+.2f} [{cell['ci_low']:+.2f}, {cell['ci_high']:+.2f}]" in said
    assert f" and {cell['delta_auroc_vs_local_long']:+.3f} [{cell['ci_low_auroc_vs_local_long']:+.3f}" in said


@pytest.mark.parametrize(
    ("gap", "words"),
    [(0.3, "better than"), (-0.3, "worse than"), (0.0, "within the interval of")],
)
def test_federated_pca_is_plainly_better_worse_or_within_the_interval(run, gap, words):
    nodes = of_nodes(run, "transfer", "f1")
    shift = float((nodes - of_nodes(run, "federated_pca", "f1")[nodes.index]).mean()) + gap
    words = f"{words} transfer in F1"
    made = with_linear(without(run, "federated_pca"), shift)
    said = bought_sentences(made, *SCOPE)[1]
    assert f"it is {words} ({shown(made, 'federated_pca', 'transfer', 'f1', 2)})" in said
    assert shown(made, "federated_pca", "transfer", "auroc", 3) in said
    assert f"F1 by {shown(made, 'federated_pca', 'local', 'f1', 2)}" in said
    assert "the same 7 nodes" in said


def test_bytes_are_those_of_the_headline_cohort_of_one_round_and_of_raw_rows(run):
    said = bought_sentences(run, *SCOPE)[2]
    sent, received, raw = 5 * STATE_BYTES / 1000, STATE_BYTES / 1000, 4 * 12 * 500 / 1000
    assert f"a participant of transfer sends {sent:.1f} kB in 5 rounds and a target receives {received:.1f} kB" in said
    assert "with federated PCA a node sends 40.0 kB in 1 round and receives 900 B" in said
    assert f"a node's raw rows would be {raw:.1f} kB" in said  # float32 of 500 training rows and 12 features
    pooled = run.results.assign(bytes_sent=run.results["bytes_sent"].where(run.results["arm"] != "centralised", 7000))
    assert "raw rows would be 7.0 kB" in bought_sentences(replace(run, results=pooled), *SCOPE)[2]


def test_what_is_not_known_is_said_with_the_reason(run):
    assert (
        "not known, since the baseline federated_pca was not run"
        in bought_sentences(without(run, "federated_pca"), *SCOPE)[1]
    )
    bare = bought_sentences(without(run, "transfer"), *SCOPE)
    assert "not known, since no arm was transferred" in bare[0]
    assert "not known, since there is no transfer to hold it against" in bare[1]
    assert "there was no transfer to pay for; with federated PCA" in bare[2]
    assert (
        "an unknown amount (local_long was not run) (no verdict)"
        in bought_sentences(without(run, "local_long"), *SCOPE)[0]
    )
    unpaid = replace(run, results=run.results.drop(columns=["bytes_sent", "bytes_received"]), fleets={})
    assert bought_sentences(unpaid, *SCOPE)[2].endswith(
        "on d1 (origin unknown): what transfer sends is not known, since this run did not count it; what federated PCA "
        "sends is not known; what a node's raw rows would be is not known."
    )


def test_without_a_test_anomaly_on_a_target_nothing_is_claimed(run):
    quiet = run.results.assign(n_test_anomalies=0, f1=np.nan, auroc=np.nan)
    federation, linear, _ = bought_sentences(replace(run, results=quiet), *SCOPE)
    assert "not known, since no target node has an anomaly among its test rows" in federation
    assert "not known, since no target node has an anomaly among its test rows" in linear


def test_of_one_node_the_difference_stands_without_a_verdict(run):
    node = run.results["node"] == "node-005"
    members = (run.results["role"] == "participant").fillna(False)
    said = bought_sentences(replace(run, results=run.results[node | members]), *SCOPE)
    delta = of_nodes(run, "transfer", "f1")["node-005"] - of_nodes(run, "local", "f1")["node-005"]
    assert f"F1 by {delta:+.2f} and " in said[0]
    assert "(no verdict)" in said[0]
    assert "it is for want of nodes not to be judged beside transfer in F1" in said[1]


def test_a_paradigm_with_other_test_rows_is_not_held_against_federated_pca(run):
    alone = run.results[(run.results["paradigm"] == "supervised") | (run.results["arm"] == "federated_pca")]
    federation, linear, _ = bought_sentences(replace(run, results=alone), *SCOPE)
    assert "(simulated, supervised, top_n, N = 3" in federation
    assert "federated_pca" not in linear
    assert "against the same two it changes F1" in linear  # same rows: paired across paradigms
    fewer = alone.assign(n_test_rows=alone["n_test_rows"] - 5 * (alone["arm"] == "federated_pca"))
    (_, linear, _) = bought_sentences(replace(run, results=fewer), *SCOPE)
    assert "not known, since it was not scored on the same nodes, seeds and test rows as transfer" in linear


def test_the_paper_protocol_is_named(run):
    paper = run.results.assign(protocol="paper")
    made = replace(run, results=paper, summary=summarise(paper))
    assert "d1 (simulated, paper protocol, unsupervised" in bought_sentences(made, "d1", "paper")[0]


def test_the_report_opens_with_the_sentences_of_every_dataset(run):
    first = opening_blocks(run, node_gains(run.results))[0]
    assert isinstance(first, Bullets)
    assert tuple(first.lines) == bought_sentences(run, *SCOPE)
    assert all_bought_sentences(run) == [said.replace("**", "") for said in first.lines]


@pytest.mark.parametrize(
    ("local", "long", "words"),
    [
        ("better", "better", "a gain over both"),
        ("no difference", "no difference", "no difference shown"),
        ("better", "no difference", "no gain over both"),
        ("worse", "worse", "a loss against both"),
        ("better", "worse", "a loss against local_long"),
        ("better", None, "no verdict"),
    ],
)
def test_a_short_verdict_claims_a_gain_only_over_both(local, long, words):
    assert short_verdict({"local": local, "local_long": long}) == words
    claimed = verdict({"verdict_vs_local": local, "verdict_vs_local_long": long}) == "gain over both"
    assert claimed == (words == "a gain over both")
