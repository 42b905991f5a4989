from collections import Counter

import pandas as pd
import pytest
import torch

from ftl.cli.study_methods import methods
from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.errors import ConfigError
from ftl.federation.methods import METHODS
from ftl.learning.training import FederatedTraining, FineTuning, LocalTraining
from ftl.models.network import ENCODER
from ftl.models.state import join
from ftl.studies.comparison.fine_tuning import Arm, adapt
from ftl.studies.comparison.methods import MethodStudy
from ftl.studies.comparison.protocol import Training
from ftl.studies.comparison.runs import study_methods
from ftl.studies.comparison.settings import MethodStudySettings
from tests.studies.comparison.conftest import LEAST


@pytest.fixture(scope="module")
def steps() -> Counter:
    """Gradient steps of all models by kind of training and method, as they were made; filled by the study."""
    return Counter()


@pytest.fixture(scope="module")
def out(six_folder, steps, tmp_path_factory):
    """What the command wrote, its steps counted."""
    folder = tmp_path_factory.mktemp("methods") / "out"
    step, federate = LocalTraining.training_step, MethodStudy.federate
    method = [""]

    def counted(self, batch, number):
        steps[type(self).__name__, method[0] if isinstance(self, FederatedTraining) else ""] += len(batch[0])
        return step(self, batch, number)

    def noted(self, name):
        method[0] = name
        return federate(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTL_WORKERS", "1")
        patch.setattr(LocalTraining, "training_step", counted)
        patch.setattr(MethodStudy, "federate", noted)
        methods(six_folder, folder, "default", None, None, list(LEAST))
    return folder


@pytest.fixture(scope="module")
def rows(out) -> pd.DataFrame:
    return pd.read_parquet(out / "methods.parquet")


def test_all_methods_make_equally_many_steps(rows, steps) -> None:
    n_folds, n_participants, n_rounds, steps_per_round = 2, 2, 2, 4
    made = {method: steps[FederatedTraining.__name__, method] for method in METHODS}
    assert set(made.values()) == {n_folds * n_participants * n_rounds * steps_per_round}
    assert set(rows["n_steps"]) == {n_rounds * steps_per_round}
    n_nodes, fine_tune_steps, fresh = 6, 3, 3  # fresh decoders: fedavg, fedper and fedrep
    assert steps[FineTuning.__name__, ""] == n_nodes * fine_tune_steps * (len(METHODS) + fresh)


def test_all_methods_have_the_same_targets_and_cohorts(rows) -> None:
    of_method = rows[rows["arm"] != "fresh_decoder"].groupby("method")
    assert of_method.size().to_dict() == dict.fromkeys(METHODS, 12)
    assert set(of_method["node"].agg(lambda nodes: " ".join(nodes))) == {
        " ".join(rows.loc[(rows["method"] == "fedavg") & (rows["arm"] != "fresh_decoder"), "node"])
    }


def test_ditto_is_fedavg_until_a_target_fine_tunes(rows) -> None:
    def auroc(method: str, arm: str) -> list[float]:
        return rows.loc[(rows["method"] == method) & (rows["arm"] == arm), "auroc"].tolist()

    assert auroc("ditto", "zero_shot") == auroc("fedavg", "zero_shot")


def test_private_decoders_are_sent_once(rows) -> None:
    cost = rows.drop_duplicates("method").set_index("method")
    whole = cost.loc["fedavg", "bytes_per_round"]
    for method in ("fedper", "fedrep"):
        encoder = cost.loc[method, "bytes_per_round"]
        assert 0 < encoder < whole
        assert cost.loc[method, "bytes_sent"] == 2 * encoder + (whole - encoder)
    assert cost.loc["fedavg", "bytes_sent"] == 2 * whole


def test_the_command_leaves_costs_and_differences_to_fedavg(out) -> None:
    summary, table = (pd.read_csv(out / f"methods_{name}.csv") for name in ("summary", "differences"))
    assert summary.loc[summary["arm"] == "fresh_decoder", "method"].tolist() == ["fedavg", "fedper", "fedrep"]
    assert summary[["bytes_sent", "seconds", "n_steps"]].notna().all().all()
    assert set(table["method"]) == set(METHODS) - {"fedavg"}
    assert set(table["against"]) == {"fedavg"}


def test_a_strong_pull_keeps_a_target_near_what_it_received(recipe, begun, like_telemetry) -> None:
    nodes = like_telemetry.nodes(range(2))
    rows, start = [node.history for node in nodes], begun(like_telemetry.n_features)
    received = join([start, {name: value + 0.01 for name, value in start.items()}])

    def moved(proximal: float) -> float:
        tuned = adapt(recipe, Arm("tuned", 20, proximal=proximal), received, start, rows, [1, 2])
        return max(float((tuned[name] - received[name]).abs().max()) for name in received)

    assert moved(1e4) < moved(0.0) / 2


def test_a_fresh_decoder_is_trained_on_the_received_encoder_as_it_is(recipe, begun, like_telemetry) -> None:
    start = begun(like_telemetry.n_features)
    received = {name: value + 0.5 for name, value in start.items()}
    tuned = adapt(recipe, Arm("fresh", 1, fresh_decoder=True), received, start, [like_telemetry.node(0).history], [1])
    for name, value in tuned.items():
        if name.startswith(ENCODER):
            assert torch.equal(value, received[name])
        else:
            assert float((value - start[name]).abs().max()) < 0.01, "one step from the fresh one"


def test_a_budget_that_a_method_cannot_keep_to_is_refused_before_any_work(six_fleet, least, tmp_path) -> None:
    with pytest.raises(ConfigError, match="head_epochs must be below federate.n_local_epochs"):
        study_methods(least("study_methods.n_local_epochs=1"), six_fleet, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_reference_is_there_whether_it_is_asked_for_or_not(least) -> None:
    settings = section(least("study_methods.methods=[fedper]"), "study_methods", MethodStudySettings)
    assert settings.compared == ("fedavg", "fedper")


def test_folds_leave_the_targets_out(least, six_fleet) -> None:
    params = least()
    study = MethodStudy(six_fleet, section(params, "study_methods", MethodStudySettings), Training.of(params))
    for fold in study.folds(len(read_fleet(six_fleet).node_ids)):
        assert len(fold.participants) == 2
        assert not set(fold.targets) & set(fold.participants)
