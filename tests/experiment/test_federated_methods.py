"""Every federated method goes the whole way on the small fleet: cohorts, rounds, targets, results."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from ftl.config import override, section
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError
from ftl.experiment.checks import check_params
from ftl.experiment.federated import train_federated
from ftl.experiment.settings import TransferSettings, training_settings
from ftl.experiment.transfer import transfer_to_targets
from ftl.federation.methods import METHODS
from ftl.federation.settings import FederationSettings, SelectionSettings
from ftl.models.network import ENCODER
from tests.experiment.conftest import ONE, params_of

NEEDS = {"fedrep": ("federate.n_local_epochs=2",), "ditto": ("transfer.proximal=0.5",)}
FEW = ("federate.n_rounds=1", "local.n_epochs=1", "select.policies=[top_n]", "transfer.arms=[zero_shot,transfer]")
PARADIGM = "unsupervised"
UNIT = f"{PARADIGM}-seed0"
GLOBAL = f"stages/federated/{UNIT}/global.safetensors"


@pytest.fixture(scope="module")
def whole(run_once):
    """A run by fedper, whose targets receive what no client holds; its first stages serve the other methods."""
    return run_once(*FEW, "federate.n_rounds=2", "federate.method=fedper")


@pytest.fixture
def train(whole, tmp_path, monkeypatch):
    """Makes the two units that a method changes, on the fleet and the local models of that run."""
    monkeypatch.setattr("ftl.experiment.task.give_memory_back", lambda: None)  # longer than these fits take

    def run(*assignments: str) -> Path:
        params, stages = params_of(*FEW, *assignments, base=ONE), whole.out / "stages"
        federated, transferred = (tmp_path / str(len(list(tmp_path.iterdir()))) / name for name in ("federated", "to"))
        federated.mkdir(parents=True)
        transferred.mkdir()
        given = (stages / "fleet", stages / "local" / UNIT)
        training = training_settings(params)
        select = section(params, "select", SelectionSettings)
        federate = section(params, "federate", FederationSettings)
        train_federated(*given, PARADIGM, 0, training, select, federate, federated, lambda *done: None)
        transfer = section(params, "transfer", TransferSettings)
        scoring = section(params, "detection", DetectionSettings).scoring
        transfer_to_targets(
            *given, federated, PARADIGM, 0, training, transfer, scoring, True, transferred, lambda *done: None
        )
        torch.set_flush_denormal(False)  # a fit flushes them in its whole process: here, in all tests that follow
        return federated.parent

    return run


def test_a_run_with_private_decoders_has_results_for_every_target(whole) -> None:
    assert whole.arm("transfer")["auroc"].notna().all()
    assert len(whole.arm("transfer")) == 4


def test_a_private_decoder_is_sent_once_and_an_encoder_every_round(whole) -> None:
    sizes = {name: value.nbytes for name, value in load_file(whole.out / GLOBAL).items()}
    encoder = sum(size for name, size in sizes.items() if name.startswith(ENCODER))
    decoder, ranking, n_rounds = sum(sizes.values()) - encoder, 8, 2
    participants = whole.arm("zero_shot", role="participant")
    assert (participants["bytes_sent"] == n_rounds * encoder + decoder + ranking).all()
    assert (participants["bytes_received"] == (n_rounds + 1) * encoder + decoder).all()


@pytest.mark.parametrize("method", METHODS)
def test_cohorts_and_targets_train_by_every_method(method, train) -> None:
    out = train(f"federate.method={method}", *NEEDS.get(method, ()))
    model = load_file(out / "federated" / "global.safetensors")
    assert all(value.shape[0] == 1 and torch.isfinite(value).all() for value in model.values())
    assert (out / "to" / "personalised.safetensors").exists()
    assert pd.read_csv(out / "federated" / "rounds.csv")["train_loss"].between(0, 1).all()


def test_ditto_is_no_name_for_plain_fine_tuning() -> None:
    params = params_of("federate.method=ditto", base=ONE)
    with pytest.raises(ConfigError, match=re.escape("transfer.proximal > 0")):
        check_params(params)
    check_params(override(params, ["transfer.proximal=0.1"]))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"proximal": -0.1}, "transfer.proximal"),
        ({"proximal": float("inf")}, "transfer.proximal"),
        ({"proximal": 0.1, "decoder_init": "reinitialise"}, "decoder_init: keep"),
    ],
    ids=str,
)
def test_a_pull_that_cannot_be_is_refused(wrong, named) -> None:
    with pytest.raises(ConfigError, match=named):
        TransferSettings(**wrong)


def test_a_target_held_near_the_global_model_stays_near_it(train) -> None:
    def moved(strength: str) -> float:
        out = train(f"transfer.proximal={strength}")
        received = load_file(out / "federated" / "global.safetensors")
        tuned = load_file(out / "to" / "personalised.safetensors")
        return float((tuned["transfer/decoder.0.weight"] - received["decoder.0.weight"]).square().mean().sqrt())

    assert moved("100.0") < 0.5 * moved("0.0")
