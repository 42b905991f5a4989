"""One run with every statistic that nodes share beside weights: what it does to scores, detectors and bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from ftl.data.fleet import Fleet, read_fleet
from ftl.detection.detector import Detector
from ftl.experiment.detectors import CANDIDATES, export_detectors
from ftl.experiment.handover import LOCAL_FILE, Cohort, read_cohorts, read_global
from ftl.experiment.scored import ScoredNode, read_scored
from ftl.models.network import ModelSettings, StackedNetwork, build_network
from ftl.models.state import StackedState, n_models
from ftl.sharing import QuantileReport, residual_sums
from ftl.sharing.scale import FleetScale
from tests.experiment.conftest import Finished, RunFleet

PSEUDO_ROWS, FLOOR = 60, 1e-4
UNIT = "unsupervised-seed0"


@pytest.fixture(scope="module")
def run(run_once: RunFleet) -> Finished:
    return run_once(
        f"detection.variance_shrinkage={PSEUDO_ROWS}",
        "detection.threshold=federated_summary",
        "prepare.scaler=fleet_quantile",
        "baselines=[pca]",
        dump_scores=True,
    )


@pytest.fixture(scope="module")
def fleet(run: Finished) -> Fleet:
    return read_fleet(run.out / "stages" / "fleet")


@pytest.fixture(scope="module")
def cohort(run: Finished) -> Cohort:
    return read_cohorts(run.out / "stages" / "federated" / UNIT)[0]


def scored(run: Finished, arm: str, cohort: Cohort | None = None) -> dict[int, ScoredNode]:
    stage = "local" if arm in ("untrained", "local", "local_long") else "transfer"
    place = (None, None, None) if cohort is None else (cohort.policy, cohort.n_participants, cohort.draw)
    found = read_scored(run.out / "stages" / stage / UNIT)
    return {one.node: one for one in found if one.arm == arm and (one.policy, one.n_participants, one.draw) == place}


def network_of(fleet: Fleet, state: StackedState) -> StackedNetwork:
    network = build_network("autoencoder", n_models(state), len(fleet.features), ModelSettings([8, 6, 4], 4))
    network.load_state_dict(state)
    return network


def residual_of(fleet: Fleet, network: StackedNetwork, model: int, node: int, rows: np.ndarray) -> np.ndarray:
    x = np.array(fleet.x[rows])
    residual = x - network.output_rows(model, torch.from_numpy(x)).numpy()
    residual[:, fleet.muted[node]] = 0.0
    return residual


def by_hand(
    fleet: Fleet, network: StackedNetwork, models: dict[int, int], one: ScoredNode, before: dict[int, np.ndarray]
) -> np.ndarray:
    """Scores before the test part: squares over a variance of which the median of these models' nodes is a part."""
    variances = {
        node: residual_of(fleet, network, models.get(node, 0), node, rows).astype(np.float64).var(axis=0)
        for node, rows in before.items()
    }
    of_fleet = np.median([variances[node] for node in models], axis=0)
    n = len(before[one.node])
    variance = (n * variances[one.node] + PSEUDO_ROWS * of_fleet) / (n + PSEUDO_ROWS)
    residual = residual_of(fleet, network, models.get(one.node, 0), one.node, one.earlier_rows)
    return (np.square(residual, dtype=np.float64) / (variance + FLOOR)).mean(axis=1)


def normal_rows(fleet: Fleet, nodes: dict[int, ScoredNode]) -> dict[int, np.ndarray]:
    return {node: one.earlier_rows[fleet.label[one.earlier_rows] != 1] for node, one in nodes.items()}


def test_local_scores_are_shrunk_to_the_median_of_all_nodes_under_their_own_models(run: Finished, fleet: Fleet) -> None:
    nodes = scored(run, "local")
    network = network_of(fleet, load_file(run.out / "stages" / "local" / UNIT / LOCAL_FILE))
    own = {node: node for node in nodes}
    for one in nodes.values():
        np.testing.assert_allclose(
            one.earlier, by_hand(fleet, network, own, one, normal_rows(fleet, nodes)), rtol=1e-4, atol=1e-6
        )


def test_scores_of_a_cohort_are_shrunk_to_its_participants_under_the_global_model(
    run: Finished, fleet: Fleet, cohort: Cohort
) -> None:
    nodes = scored(run, "zero_shot", cohort)
    models = read_global(run.out / "stages" / "federated" / UNIT)
    network = network_of(fleet, {name: value[:1] for name, value in models.items()})
    participants = dict.fromkeys(cohort.participants, 0)
    assert 0 < len(participants) < len(nodes)
    for one in nodes.values():
        np.testing.assert_allclose(
            one.earlier, by_hand(fleet, network, participants, one, normal_rows(fleet, nodes)), rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("arm", CANDIDATES)
def test_a_detector_scores_as_the_run_did(
    run: Finished,
    tables: Callable[[], dict[str, pd.DataFrame]],
    tmp_path: Path,
    arm: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ftl.experiment.detectors.Choice.chosen", lambda choice: (arm, {"rule": "asked for"}))
    at = run.out / "stages"
    folders = export_detectors(
        at / "fleet", at / "local", at / "federated", at / "transfer", run.params, tmp_path / "detectors"
    )
    detector = Detector.load(folders["unsupervised"])
    scores = pd.read_parquet(run.out / "scores.parquet")
    for node, raw in tables().items():
        trained = node in detector.card.cohort.get("participants", ()) and arm in ("transfer", "full_fine_tune")
        cohort = detector.card.cohort.get("policy")
        stored = scores[(scores["arm"] == ("zero_shot" if trained else arm)) & (scores["node"] == node)]
        stored = stored if cohort is None else stored[stored["policy"] == cohort]
        mine = detector.score(raw, node).set_index("time").loc[stored["step"]]
        np.testing.assert_allclose(mine["score"], stored["score"], rtol=1e-4, atol=1e-6)


def test_bytes_of_the_results_are_those_of_the_messages(run: Finished, fleet: Fleet, cohort: Cohort) -> None:
    n = len(fleet.features)
    empty = np.zeros(n)
    scale_sent = QuantileReport(1, empty, empty, empty, empty).n_bytes
    scale_back = FleetScale(empty, empty + 1, -4, 5).n_bytes
    tells, hears = residual_sums(np.zeros((1, n))).n_bytes, empty.nbytes
    six, one = 6 * 8, 8

    def moved(arm: str, role: str | None = None) -> tuple[int, int]:
        rows = run.arm(arm) if role is None else run.arm(arm, role=role, policy=cohort.policy)
        return int(rows["bytes_sent"].unique().item()), int(rows["bytes_received"].unique().item())

    state = sum(int(v.nbytes) for v in load_file(run.out / "stages" / "local" / UNIT / LOCAL_FILE).values()) // 6
    ranked = 8 if cohort.policy == "top_n" else 0
    assert moved("local") == moved("untrained") == (scale_sent + tells + six, scale_back + hears + one)
    assert moved("pca") == (scale_sent + six, scale_back + one)
    assert moved("transfer", "target") == (ranked + scale_sent + six, state + scale_back + hears + one)
    assert moved("zero_shot", "participant") == (
        ranked + 2 * state + scale_sent + tells + six,
        3 * state + scale_back + hears + one,
    )
    assert moved("single_source") == (scale_sent + six, state + scale_back + hears + one)
