from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ftl.evaluation.significance import bootstrap_interval
from ftl.reporting.blocks import Paragraph, ReportTable
from ftl.reporting.coldstart_subject import cold_subjects
from ftl.reporting.coldstart_tables import (
    CHIEF,
    coldstart_blocks,
    commonest_reason,
    decision_tables,
    difference_tables,
    length_tables,
    usable_tables,
)
from ftl.reporting.coldstart_words import (
    best_without_weights,
    cold_sentences,
    federation_clause,
    linear_clause,
    worst_sentence,
)
from ftl.reporting.federation_bought import bought_sentences
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.coldstart.tables import tables_of
from tests.reporting.synthetic_coldstart import CARD, F1, NODES, SHIFT, rows, synthetic_coldstart
from tests.reporting.synthetic_run import synthetic_run


def subject(tables):
    (only,) = cold_subjects(tables, {"d1": CARD}, {}, "origin unknown")
    return only


@pytest.fixture(scope="module")
def cold():
    return subject(synthetic_coldstart())


def changed(arm, **columns):
    """The cold start with columns of an arm's rows set, and its tables computed anew."""
    table = rows()
    table.loc[table["arm"] == arm, list(columns)] = list(columns.values())
    return subject(tables_of(table, ColdStartSettings(), {}))


def test_lengths_of_history_stand_shortest_first_and_the_whole_one_last(cold):
    assert cold.lengths["hours"].tolist() == [2, 24, 168, 500]
    assert cold.lengths["full"].tolist() == [False, False, False, True]
    assert cold.where == "d1 (real, 6 nodes), rigorous protocol"
    for table, n_rows in ((cold.tables.summary, len(F1)), (cold.tables.decisions, 2 * len(NODES))):
        assert [len(cold.at(table, length)) for _, length in cold.lengths.iterrows()] == [n_rows] * 4


def test_hours_until_usable_are_told_of_the_policy_of_a_node_alone_and_of_the_best_without_weights(cold):
    assert federation_clause(cold) == (
        "a node that joins has usable alarms (F1 at least 0.36, false-positive rate at most 6%) after 2 h with the "
        "transfer policy, after 20.8 d alone (local) and after 24 h with the best arm that shares no weights "
        "(local_rehearsed)"
    )
    assert linear_clause(cold) == "with it a node that joins has usable alarms after 7 d"


def test_of_arms_usable_at_the_same_hours_the_one_of_higher_f1_is_the_best(cold):
    usable = cold.tables.usable.copy()
    usable.loc[usable["arm"] == "local_fleet", ["hours_until_usable", "f1"]] = [24.0, 0.99]
    assert best_without_weights(replace(cold, tables=replace(cold.tables, usable=usable))) == "local_fleet"


def test_an_arm_that_is_never_usable_is_told_so():
    never = changed("transfer_policy", fpr=0.5)
    assert "at no length of history that was tried with the transfer policy" in federation_clause(never)
    (table,) = usable_tables(never)
    assert table.shown.iloc[-1][["Arm", "Usable after", "F1 there"]].tolist() == ["transfer_policy", "never", "-"]


def test_a_cold_start_alone_opens_with_three_sentences_of_its_own(cold):
    federation, linear, cost = sentences = cold_sentences(cold)
    assert all(said.endswith(".") and ". " not in said and "d1 (real, 6 nodes)" in said for said in sentences)
    gains = np.array([F1["transfer_policy"][0] + SHIFT[node] - F1["local"][0] for node in NODES])
    found = bootstrap_interval(gains)
    f1 = f"F1 by {gains.mean():+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    assert f"with 2 h of history the policy changes {f1} and AUROC by +0.165" in federation
    beside = np.array([F1["federated_pca"][0] - F1["transfer_policy"][0] - SHIFT[node] for node in NODES])
    found = bootstrap_interval(beside)
    text = f"{beside.mean():+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    assert f"it is worse than the policy in F1 ({text}) and in AUROC (-0.040" in linear
    assert "sends 700.0 kB and a target receives 150.0 kB for the transfer policy" in cost
    assert "sends 4.0 kB and a target receives 1.2 kB for federated PCA" in cost
    assert f"would be {4 * 10 * 6000 / 1000:.1f} kB" in cost  # float32, 10 features, 500 h at 5 minutes


def test_federated_pca_within_the_interval_of_the_policy_is_told_so():
    table = rows()
    linear = table["arm"] == "federated_pca"
    table.loc[linear, "f1"] = F1["transfer_policy"][0]
    table.loc[linear, "auroc"] = 0.6 + F1["transfer_policy"][0] / 2
    said = cold_sentences(subject(tables_of(table, ColdStartSettings(), {})))[1]
    assert "it is within the interval of the policy in F1 (+0.00 [" in said
    assert "and in AUROC (+0.000 [" in said


def test_the_limit_on_what_the_policy_may_lose_is_held_or_not(cold):
    assert ": held; its mean difference is lowest at full: +0.000" in worst_sentence(cold)
    lost = changed("transfer_policy", auroc=0.5)
    assert ": not held; its mean difference is lowest at full: -0.300" in worst_sentence(lost)


def test_usable_arms_stand_soonest_first_with_what_they_share_and_send(cold):
    (table,) = usable_tables(cold)
    assert table.shown["Arm"].tolist()[:3] == ["transfer_policy", "zero_shot", "local_rehearsed"]
    hours = dict(zip(table.shown["Arm"], table.shown["Usable after"], strict=True))
    assert hours == {
        "transfer_policy": "2 h", "local_rehearsed": "24 h", "zero_shot": "24 h", "local_fleet": "7 d",
        "federated_pca": "7 d", "local": "20.8 d",
    }  # fmt: skip
    of_local = table.shown.set_index("Arm").loc["local"]
    assert of_local["Shared"] == "nothing"
    assert of_local["A participant sends"] == "0 B"
    assert table.caption.endswith("Dataset d1 (real, 6 nodes), rigorous protocol.")


def test_the_chief_arms_stand_at_every_length_and_all_arms_in_the_csv(cold):
    (table,) = length_tables(cold)
    assert table.shown["Arm"].tolist() == 4 * list(CHIEF)
    assert table.shown["History"].unique().tolist() == ["2 h", "24 h", "7 d", "all (20.8 d)"]
    first = table.shown.iloc[0]
    assert first[["F1", "FPR", "Event recall", "Nodes"]].tolist() == ["0.38", "0.040", "0.50", "6"]
    assert len(table.numbers) == 4 * len(F1)


def test_differences_are_those_of_the_policy_with_intervals(cold):
    f1, fpr, auroc = difference_tables(cold)
    assert "(negative is better)" in fpr.caption
    assert "AUROC" in auroc.caption
    gains = np.array([F1["transfer_policy"][1] + SHIFT[node] - F1["local_fleet"][1] for node in NODES])
    found = bootstrap_interval(gains)
    cell = f1.shown.loc[1, "minus local_fleet [95 % CI]"].replace("*", "")
    assert cell == f"{gains.mean():+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    assert set(f1.numbers["against"]) == {"local", "local_fleet", "local_rehearsed", "federated_pca"}


def test_decisions_are_counted_and_reasons_that_differ_in_numbers_are_one(cold):
    (table,) = decision_tables(cold)
    assert table.shown["History"].tolist() == ["2 h", "24 h", "7 d", "all (20.8 d)"]
    assert table.shown["Action"].tolist() == ["shared and own", "mostly own", "mostly own", "mostly own"]
    assert table.shown["Decided"].tolist() == 4 * ["100% (12 of 12)"]
    assert table.shown.iloc[0, -1] == "“2 h of history: 101 rows” (83%)"
    reasons = pd.Series(["far", "near 1.5 of 2", "near 3e-4 of 1"])
    assert commonest_reason(reasons) == ("near 1.5 of 2", 2)


def test_tables_that_the_folder_lacks_are_left_out(cold):
    bare = pd.DataFrame()
    tables = replace(cold.tables, differences=bare, usable=bare, decisions=bare, rows=bare)
    little = replace(cold, tables=tables)
    blocks = coldstart_blocks(little)
    assert "not known, since coldstart_usable.csv is missing" in blocks[0].text
    assert [type(block) for block in blocks].count(Paragraph) == 1
    assert not any(isinstance(block, ReportTable) for block in blocks)  # arms by length stand folded
    assert little.n_nodes == len(NODES)
    assert len(cold_sentences(little)) == 3


def test_a_run_tells_the_cold_start_of_the_same_dataset_alone():
    run = synthetic_run(n_nodes=6, n_participants=(2,), datasets=("d1", "d2"), paradigms=("unsupervised",))
    run = replace(run, coldstart=synthetic_coldstart("d2"))
    assert "usable alarms" not in bought_sentences(run, "d1", "rigorous")[0]
    said = bought_sentences(run, "d2", "rigorous")
    assert said[0].endswith(f"; {federation_clause(run.coldstarts[0])}.")
    assert said[1].endswith("; with it a node that joins has usable alarms after 7 d.")
    assert not any(". " in sentence for sentence in said)
