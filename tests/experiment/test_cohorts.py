"""Cohorts of every policy: who trains, who is served, where that stands; and the whole method with them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.data.fleet_folder import FleetFolder
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError
from ftl.evaluation.comparison import compare_policies
from ftl.evaluation.results import check_results
from ftl.experiment.candidates import encoder_updates
from ftl.experiment.cohorts import choose_cohorts
from ftl.experiment.detectors import Choice
from ftl.experiment.federated import one_row_per_place
from ftl.experiment.fleet_run import FleetRun
from ftl.experiment.handover import Cohort, headline, read_cohorts, read_global, unit_name, write_cohorts
from ftl.experiment.scored import read_scored
from ftl.experiment.scoring import Judge
from ftl.experiment.settings import training_settings
from ftl.experiment.task import Task
from ftl.federation.selection import SELECTION_POLICIES, Candidates
from ftl.federation.settings import SelectionSettings
from ftl.models.state import take
from ftl.randomness import generator
from tests.federation.selection.scenes import without_ties

N_NODES = 6
ALL = f"select.policies=[{','.join(SELECTION_POLICIES)}]"


def cohorts_of(policies, n_nodes=7, seed=0, known=None, **settings):
    settings = {"n_participants": (2, 3), **settings}
    return choose_cohorts(known or without_ties(n_nodes), SelectionSettings(policies=policies, **settings), seed)


def test_the_draws_of_the_papers_policies_are_those_of_the_seed_policy_size_and_draw():
    known = without_ties(7)
    for cohort in cohorts_of(("random_n",), known=known, seed=4):
        random = generator(4, "random_n", cohort.n_participants, cohort.draw)
        assert cohort.participants == tuple(SELECTION_POLICIES["random_n"](known, cohort.n_participants, random))
        assert cohort.served is None


def test_the_federations_of_clusters_have_one_place_and_count_together():
    cohorts = cohorts_of(("clustered",))
    places = {cohort.place for cohort in cohorts}
    assert places == {("clustered", 2, 0), ("clustered", 3, 0)}
    for place in places:
        mine = [cohort for cohort in cohorts if cohort.place == place]
        assert sum(len(cohort.participants) for cohort in mine) == place[1]
        members = [node for cohort in mine for node in (*cohort.participants, *cohort.targets(7))]
        assert sorted(members) == list(range(7))


def test_all_nodes_take_part_once_however_many_sizes_are_asked_for():
    one, other = cohorts_of(("all",))
    assert (one.place, other.place) == (("all", 3, 0), ("all", 3, 1))
    assert one.served == other.participants
    assert other.served == one.participants


def test_a_budget_that_allows_fewer_is_said_and_counted_once(capsys):
    known = Candidates(
        np.array([0.3, 0.2, 0.1, 0.0]), np.zeros(4), similarity=np.eye(4), cost=np.array([10.0, 10, 10, 10])
    )
    cohorts = cohorts_of(("facility_location",), known=known, cost_budget=25.0, n_participants=(1, 2, 3))
    assert [cohort.n_participants for cohort in cohorts] == [1, 2]
    assert [len(cohort.participants) for cohort in cohorts] == [1, 2]
    assert "facility_location: 2 instead of 3 participants" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"raise select\.cost_budget"):
        cohorts_of(("facility_location",), known=known, cost_budget=5.0)


def test_no_target_may_train_what_it_receives():
    with pytest.raises(ValueError, match=r"nodes \[1\] do"):
        Cohort("clustered", 2, 0, (0, 1), served=(1, 2))


def test_cohorts_come_back_as_they_were_written_and_older_files_can_be_read(tmp_path):
    cohorts = [Cohort("top_n", 2, 0, (0, 1)), Cohort("all", 3, 1, (0, 1, 2), (3, 4))]
    write_cohorts(tmp_path, cohorts)
    assert read_cohorts(tmp_path) == cohorts
    rows = json.loads((tmp_path / "cohorts.json").read_text())
    assert sorted(rows[0]) == ["draw", "n_participants", "participants", "policy"]
    assert cohorts[0].targets(4) == [2, 3]
    assert cohorts[1].targets(9) == [3, 4]


def test_the_headline_cohort_has_all_its_federations():
    cohorts = cohorts_of(("clustered", "all"))
    assert {cohorts[number].place for number in headline(cohorts)} == {("clustered", 2, 0)}
    assert len(headline(cohorts)) == 2
    assert len(headline(cohorts_of(("all",)))) == 1


def test_federations_of_one_place_have_one_row_per_round():
    key = {"policy": "clustered", "n_participants": 3, "draw": 0, "n_clients_left_out": 1}
    rounds = pd.DataFrame(
        [key | {"round": r, "train_loss": loss, "n_clients": n} for r in (1, 2) for loss, n in ((1.0, 1), (4.0, 2))]
    )
    merged = one_row_per_place(rounds)
    assert merged["round"].tolist() == [1, 2]
    assert merged["train_loss"].tolist() == [3.0, 3.0]
    assert merged["n_clients_left_out"].tolist() == [2, 2]
    alone = rounds[rounds["n_clients"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(one_row_per_place(alone), alone.drop(columns="n_clients"))


def test_an_update_is_what_training_changed_in_the_encoder():
    initial = {"encoder.0.weight": torch.ones(1, 2, 2), "decoder.0.weight": torch.ones(1, 2)}
    encoders = torch.stack([torch.ones(2, 2), torch.full((2, 2), 3.0)])
    trained = {"encoder.0.weight": encoders, "decoder.0.weight": torch.zeros(2, 2)}
    assert encoder_updates(trained, initial).tolist() == [[0, 0, 0, 0], [2, 2, 2, 2]]


@pytest.fixture(scope="module")
def run(run_once):
    return run_once(ALL, "select.n_participants=[2,3]")


def test_a_run_has_every_policy_and_its_results_hold(run):
    check_results(run.results)
    rows = run.arm("transfer")
    assert set(rows["policy"]) == set(SELECTION_POLICIES)
    assert set(rows.loc[rows["policy"] == "all", "n_participants"]) == {3}
    others = rows[rows["policy"] != "all"]
    assert (others.groupby("policy")["n_participants"].agg(set) == {2, 3}).all()
    assert not run.rounds.duplicated(["paradigm", "seed", "policy", "n_participants", "draw", "round"]).any()


def test_no_node_is_judged_on_a_model_that_it_trained(run):
    """Against the cohorts that federated training wrote: the federation that serves a node does not have it."""
    fleet = read_fleet(run.out / "stages" / "fleet")
    (folder,) = (run.out / "stages" / "federated").glob("*-seed0")
    cohorts = read_cohorts(folder)
    for policy in SELECTION_POLICIES:
        for n, draw in {cohort.place[1:] for cohort in cohorts if cohort.policy == policy}:
            mine = [cohort for cohort in cohorts if cohort.place == (policy, n, draw)]
            trained = {fleet.node_ids[node] for cohort in mine for node in cohort.participants}
            judged = run.arm("transfer", policy=policy, n_participants=n, draw=draw)["node"]
            assert sorted(judged) == sorted(set(fleet.node_ids) - trained)
    all_ = run.arm("transfer", policy="all")["node"]
    assert sorted(all_) == sorted(fleet.node_ids), "under all, every node is a target once"


def test_a_target_receives_the_model_of_its_cluster(run):
    """Its scores are those of the one global model, and not of the other."""
    stages = run.out / "stages"
    (folder,) = (stages / "federated").glob("*-seed0")
    cohorts, models = read_cohorts(folder), read_global(folder)
    task = Task.open(stages / "fleet", "unsupervised", 0, training_settings(run.params))
    scoring = section(run.params, "detection", DetectionSettings).scoring
    judge = Judge(task.fleet, task.paradigm, task.earlier_rows(), task.settings.model, scoring)
    numbers = [number for number, cohort in enumerate(cohorts) if cohort.place == ("clustered", 2, 0)]
    stored = {
        one.node: one.scores
        for one in read_scored(stages / "transfer" / folder.name)
        if one.arm == "zero_shot" and (one.policy, one.n_participants, one.draw) == ("clustered", 2, 0)
    }
    assert len(numbers) == 2
    assert sorted(stored) == list(range(N_NODES))
    for number in numbers:
        for node in (*cohorts[number].participants, *cohorts[number].targets(N_NODES)):
            for other in numbers:
                (scores,) = judge.judge(take(models, [other]), [node], [task.test_rows()[node]])
                assert np.array_equal(scores.scores, stored[node]) == (other == number)


def test_policies_that_take_all_nodes_are_compared_on_the_targets_of_the_other(run):
    table = compare_policies(run.arm("transfer"), "all", "random_n")
    assert table["n_participants"].tolist() == [3, 3]
    assert table["n_reference"].tolist() == [2, 3]
    targets = run.arm("transfer", policy="random_n").groupby("n_participants")["node"].nunique()
    assert table["n_nodes"].tolist() == targets.tolist()
    back = compare_policies(run.arm("transfer"), "random_n", "all")
    np.testing.assert_allclose(back["delta_f1"], -table["delta_f1"])


def test_the_models_of_clusters_can_go_into_operation(run_once, fleet_folder):
    """Each node's detector has the model that serves it, or that it trained."""
    done = run_once(
        "select.policies=[clustered]", "select.similarity=weights", "transfer.arms=[zero_shot,transfer]",
        "detection.variance_shrinkage=10.0",
    )  # fmt: skip
    again = FleetRun(FleetFolder(fleet_folder), done.params, done.out)
    again.prepare()
    assert set(again.export({})) == {"unsupervised"}
    local, federated, transfer = (done.out / "stages" / stage for stage in ("local", "federated", "transfer"))
    unit = unit_name("unsupervised", 0)
    choice = Choice(again.fleet, "unsupervised", 0, done.params, local / unit, federated / unit, transfer / unit)
    cohorts, models = read_cohorts(federated / unit), read_global(federated / unit)
    for number in headline(cohorts):
        for node in (*cohorts[number].participants, *cohorts[number].targets(N_NODES)):
            for name, value in choice.states["zero_shot"].items():
                assert torch.equal(value[node], models[name][number])
        for node in cohorts[number].participants:
            assert all(torch.equal(choice.states["transfer"][name][node], models[name][number]) for name in models)
