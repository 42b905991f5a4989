import json

import numpy as np
import pytest

from ftl.evaluation.headline import headline, overview_sentences, verdict_sentences
from ftl.evaluation.results import results_frame
from ftl.evaluation.summary import summarise

EVEN, PERFECT, NO_ANOMALY = (2, 2, 14, 2), (4, 0, 16, 0), (0, 2, 18, 0)
NEARLY = (4, 1, 15, 0)  # F1 8/9


@pytest.fixture
def make_summary(result_row, cohort):
    """Six targets; transfer under top_n for N = 1, 2, 3, its F1 near 1 against .5 of local and given of local_long."""

    def make(long=EVEN, pca_auroc=0.7, anomalies=True):
        rows = []
        for number, node in enumerate(f"t{i}" for i in range(6)):
            shape = (lambda counts: counts) if anomalies else (lambda counts: NO_ANOMALY)
            auroc = (lambda value: {"auroc": value}) if anomalies else (lambda value: {})
            rows.append(result_row("local", node, shape(EVEN)))
            rows.append(result_row("local_long", node, shape(long)))
            rows.append(result_row("pca", node, shape(EVEN), **auroc(pca_auroc)))
            rows.append(result_row("random", node, shape(EVEN), **auroc(0.5)))
            for n in (1, 2, 3):
                counts = NEARLY if (number + n) % 2 else PERFECT
                key = cohort("target", n_participants=n)
                rows.append(result_row("transfer", node, shape(counts), **auroc(0.8 + n / 100), **key))
        return summarise(results_frame(rows))

    return make


def test_the_headline_is_transfer_at_the_middle_n_and_the_best_of_each_kind(make_summary):
    numbers = headline(make_summary())["rigorous"]["d1"]["unsupervised"]
    assert numbers["n_participants"] == 2
    assert numbers["delta_f1"] == pytest.approx((1 + 8 / 9) / 2 - 0.5)
    assert numbers["verdict_vs_local_long"] == "better"
    assert (numbers["best_arm"], numbers["auroc_best_arm"]) == ("transfer", pytest.approx(0.82))
    assert (numbers["best_baseline"], numbers["auroc_best_baseline"]) == ("pca", pytest.approx(0.7))


def test_the_headline_is_json_also_where_nothing_is_defined(make_summary):
    numbers = json.loads(json.dumps(headline(make_summary(anomalies=False)), allow_nan=False))
    found = numbers["rigorous"]["d1"]["unsupervised"]
    assert found.pop("n_participants") == 2
    assert set(found.values()) == {None}


def test_a_summary_without_transfer_still_has_a_headline(make_summary):
    summary = make_summary()
    numbers = headline(summary[summary["policy"].isna()])["rigorous"]["d1"]["unsupervised"]
    assert numbers["n_participants"] is None
    assert numbers["delta_f1"] is None
    assert numbers["best_baseline"] == "pca"


def test_a_gain_is_claimed_where_both_controls_are_beaten(make_summary):
    overview, verdicts = overview_sentences(make_summary()), verdict_sentences(make_summary())
    assert overview[0] == "d1 (rigorous): transfer beat both local and local_long in 3 of 3 cells."
    assert verdicts[1].startswith(
        "d1, unsupervised, top_n, N = 2: transfer helped: better than local (ΔF1 +0.444, 95 %"
    )
    assert verdicts[1].endswith("(6 nodes).")
    assert len(verdicts) == 3


def test_a_gain_over_local_that_longer_local_training_also_has_is_no_help(make_summary):
    summary = make_summary(long=PERFECT)
    overview, verdicts = overview_sentences(summary), verdict_sentences(summary)
    assert "0 of 3 cells" in overview[0]
    assert "against local ΔF1 +0.444 to +0.444, better in 3, worse in 0 of 3 cells" in overview[1]
    assert "transfer did not help: better than local" in verdicts[0]
    assert "local_long" in verdicts[0]


def test_the_best_baseline_is_held_against_local_long_on_the_same_nodes(make_summary):
    rows = [sentence for sentence in overview_sentences(make_summary(pca_auroc=0.9)) if "baseline" in sentence]
    assert len(rows) == 1
    assert rows[0].startswith("d1, unsupervised: the best simple baseline, pca, has AUROC 0.900: ")


def test_cells_that_cannot_be_judged_are_not_called_failures(make_summary):
    sentences = verdict_sentences(make_summary(anomalies=False))
    assert all("cannot be judged" in sentence for sentence in sentences[1:])


def test_where_no_target_has_an_anomaly_one_sentence_says_so(make_summary):
    assert overview_sentences(make_summary(anomalies=False)) == [
        (
            "d1 (rigorous): transfer could not be scored: no target node has an anomaly among its test rows, "
            "so that F1 is undefined and nothing can be said about a gain."
        )
    ]


def test_an_arm_that_was_not_run_is_said_not_to_have_been(make_summary):
    (sentence,) = overview_sentences(make_summary(), arm="full_fine_tune")
    assert sentence == "d1 (rigorous): the arm full_fine_tune was not run, so that there is nothing to judge."


def test_sentences_survive_the_round_trip_through_csv(make_summary, tmp_path):
    from ftl.evaluation.summary import read_summary, write_summary

    summary = make_summary()
    write_summary(summary, tmp_path / "summary.csv")
    read = read_summary(tmp_path / "summary.csv")
    assert verdict_sentences(read) == verdict_sentences(summary)
    assert headline(read) == headline(summary)
    assert not np.isnan(read["delta_f1"]).any()
