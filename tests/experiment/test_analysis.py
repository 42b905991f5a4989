"""The tables behind the pictures: similar models, nodes as points, timelines of a few nodes, bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from ftl.config import override, read_profile
from ftl.data.fleet import GAP, TEST, TRAIN, VALIDATION, Fleet
from ftl.evaluation.cost import Traffic
from ftl.evaluation.results import results_frame
from ftl.experiment.projection import PROJECTION_COLUMNS, node_points, projection_table
from ftl.experiment.similarity import SIMILARITY_COLUMNS, probe_rows, similarity_table
from ftl.experiment.timelines import (
    TIMELINES_SCHEMA,
    Shown,
    choose_nodes,
    choose_shown,
    timelines_table,
    write_timelines,
)
from ftl.experiment.traffic import FleetTraffic, model_bytes
from ftl.models.network import ModelSettings, initial_state
from ftl.models.state import StackedState, repeat

N_NODES, N_ROWS, N_FEATURES = 5, 40, 6
PARTS = np.repeat([TRAIN, VALIDATION, GAP, TEST], [20, 8, 2, 10]).astype(np.int8)
SMALL = ModelSettings(hidden=(8, 5, 4), latent=4)


def make_fleet(raw: np.ndarray, **changes: Any) -> Fleet:
    """Raw telemetry (K, T, F) as a fleet, each node scaled to [0, 1] by its own train rows."""
    n_nodes, n_rows, n_features = raw.shape
    train = raw[:, PARTS == TRAIN]
    offset = train.min(axis=1).astype(np.float32)
    span = np.ptp(train, axis=1).astype(np.float32)
    muted = span == 0
    scale = np.where(muted, 1, span).astype(np.float32)
    x = np.where(muted[:, None], 0, (raw - offset[:, None]) / scale[:, None]).astype(np.float32)
    label = np.zeros((n_nodes, n_rows), np.int8)
    label[:, 33:36], label[:, 39] = 1, -1
    content: dict[str, Any] = {
        "name": "toy",
        "origin": "simulated",
        "protocol": "rigorous",
        "node_ids": tuple(f"n{k}" for k in range(n_nodes)),
        "racks": (None,) * n_nodes,
        "features": tuple(f"f{k}" for k in range(n_features)),
        "time_unit": "steps",
        "window_seconds": None,
        "labels_borrowed": False,
        "x": x.reshape(-1, n_features),
        "label": label.ravel(),
        "time": np.tile(np.arange(n_rows, dtype=np.int64), n_nodes),
        "part": np.tile(PARTS, n_nodes),
        "lent": np.zeros(n_nodes * n_rows, bool),
        "start": np.arange(n_nodes + 1, dtype=np.int64) * n_rows,
        "offset": offset,
        "scale": scale,
        "muted": muted,
        "report": {},
        "fingerprint": "toy",
    }
    return Fleet(**content | changes)


def random_raw(seed: int = 0) -> np.ndarray:
    """Nodes of unlike levels and spreads."""
    random = np.random.default_rng(seed)
    level, spread = random.normal(size=(N_NODES, 1, N_FEATURES)), random.uniform(1, 3, (N_NODES, 1, N_FEATURES))
    return 10 * level + spread * random.normal(size=(N_NODES, N_ROWS, N_FEATURES))


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet(random_raw())


def five_models(fleet: Fleet) -> StackedState:
    """The first two alike, the third with its code's units in another order, the others on their own."""
    state = repeat(initial_state("autoencoder", N_FEATURES, SMALL, seed=0), N_NODES)
    for name, value in initial_state("autoencoder", N_FEATURES, SMALL, seed=1).items():
        state[name][3] = value[0]
    for name, value in initial_state("autoencoder", N_FEATURES, SMALL, seed=2).items():
        state[name][4] = value[0]
    last = "encoder.2."
    assert f"{last}weight" in state
    for name in ("weight", "bias"):
        state[last + name][2] = state[last + name][2][..., torch.tensor([1, 2, 3, 0])]
    return state


@pytest.fixture
def local(fleet: Fleet, tmp_path: Path) -> Path:
    folder = tmp_path / "local" / "unsupervised-seed3"
    folder.mkdir(parents=True)
    save_file(five_models(fleet), folder / "local.safetensors")
    return tmp_path / "local"


def test_every_pair_of_local_models_stands_once(fleet: Fleet, local: Path) -> None:
    table = similarity_table(fleet, local, ["unsupervised", "supervised"], 3, SMALL)
    assert tuple(table.columns) == SIMILARITY_COLUMNS
    assert set(table["paradigm"]) == {"unsupervised"}, "the others were not trained"
    pairs = list(zip(table["node_a"], table["node_b"], strict=True))
    assert pairs == [(a, b) for a in fleet.node_ids for b in fleet.node_ids if a < b]


def test_cka_sees_through_the_order_of_units_and_cosine_does_not(fleet: Fleet, local: Path) -> None:
    table = similarity_table(fleet, local, ["unsupervised"], 3, SMALL).set_index(["node_a", "node_b"])
    equal, reordered, other = (table.loc[pair] for pair in (("n0", "n1"), ("n0", "n2"), ("n0", "n3")))
    assert equal["cosine"] == pytest.approx(1)
    assert equal["cka"] == pytest.approx(1)
    assert reordered["cka"] == pytest.approx(1)
    assert reordered["cosine"] < 0.9
    assert other["cka"] < 0.999
    assert other["cosine"] < 0.5


def test_decoders_have_no_part_in_it(fleet: Fleet, local: Path) -> None:
    before = similarity_table(fleet, local, ["unsupervised"], 3, SMALL)
    state = five_models(fleet)
    for name in state:
        if name.startswith("decoder"):
            state[name] *= torch.arange(N_NODES).reshape(-1, 1, 1)
    save_file(state, local / "unsupervised-seed3" / "local.safetensors")
    pd.testing.assert_frame_equal(similarity_table(fleet, local, ["unsupervised"], 3, SMALL), before)


def test_a_stage_without_local_models_gives_an_empty_table(fleet: Fleet, tmp_path: Path) -> None:
    table = similarity_table(fleet, tmp_path, ["unsupervised"], 0, SMALL)
    assert tuple(table.columns) == SIMILARITY_COLUMNS
    assert len(table) == 0


def test_every_node_gives_as_many_probes_and_none_of_its_test_rows(fleet: Fleet) -> None:
    rows = probe_rows(fleet, seed=0)
    assert len(set(rows)) == len(rows)
    assert set(fleet.part[rows]) == {TRAIN, VALIDATION}
    assert np.bincount(rows // N_ROWS).tolist() == [28] * N_NODES
    part = np.tile(PARTS, N_NODES)
    part[:25] = GAP  # of node 0, three validation rows are left
    assert np.bincount(probe_rows(make_fleet(random_raw(), part=part), 0) // N_ROWS).tolist() == [3] * N_NODES


def test_the_probes_are_many_and_not_too_many(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftl.experiment.similarity.MOST_PROBES", 52)
    assert np.bincount(probe_rows(fleet, 0) // N_ROWS).tolist() == [10] * N_NODES
    assert probe_rows(fleet, 0).tolist() == probe_rows(fleet, 0).tolist() != probe_rows(fleet, 1).tolist()


def test_points_are_means_and_deviations_in_raw_units(fleet: Fleet) -> None:
    """Against the raw telemetry, which the fleet holds node by node in units of its own."""
    train = random_raw()[:, PARTS == TRAIN]
    whole = train.reshape(-1, N_FEATURES).std(axis=0)
    expected = np.concatenate([train.mean(axis=1) / whole, train.std(axis=1) / whole], axis=1)
    np.testing.assert_allclose(node_points(fleet), expected, rtol=1e-4, atol=1e-4)


def test_nodes_of_equal_telemetry_are_one_point(fleet: Fleet) -> None:
    raw = random_raw()
    raw[1] = raw[0]
    table = projection_table(make_fleet(raw)).set_index("node")
    assert tuple(table.reset_index()[list(PROJECTION_COLUMNS)].columns) == PROJECTION_COLUMNS
    np.testing.assert_allclose(
        table.loc["n0", ["x", "y", "distance"]].astype(float), table.loc["n1", ["x", "y", "distance"]].astype(float)
    )
    assert (table["distance"] > 0).all()


def test_only_train_rows_place_a_node(fleet: Fleet) -> None:
    raw = random_raw()
    raw[:, PARTS != TRAIN] += 1000
    pd.testing.assert_frame_equal(projection_table(make_fleet(raw)), projection_table(fleet))


def test_a_node_that_mutes_a_feature_stands_where_the_others_are() -> None:
    raw = random_raw()
    raw[0, :, 2] = 5000.0  # constant on the node
    points = node_points(make_fleet(raw))
    np.testing.assert_allclose(points[0, 2], points[1:, 2].mean())
    np.testing.assert_allclose(points[0, 2 + N_FEATURES], points[1:, 2 + N_FEATURES].mean())
    raw[:, :, 2] = 5000.0
    assert node_points(make_fleet(raw)).shape == (N_NODES, 2 * (N_FEATURES - 1)), "nobody tells of it"


def test_a_fleet_of_one_node_is_a_point() -> None:
    table = projection_table(make_fleet(random_raw()[:1]))
    assert table[["x", "y", "distance"]].to_numpy().tolist() == [[0, 0, 0]]
    assert table[["share_x", "share_y"]].isna().all(axis=None)


@dataclass(frozen=True)
class Scored:
    """What timelines and traffic ask of a scored node."""

    arm: str
    node: int
    policy: str | None = None
    n_participants: int | None = None
    draw: int | None = None
    role: str | None = None
    paradigm: str = "unsupervised"
    seed: int = 0


def target(node: int, policy: str = "top_n", n: int = 2, draw: int = 0, **more: Any) -> Scored:
    return Scored("transfer", node, policy, n, draw, "target", **more)


F1 = {"n0": 0.2, "n1": 0.9, "n2": 0.5, "n3": 0.4, "n4": 0.6}  # ΔF1 over a local F1 of 0.5


@pytest.fixture
def results() -> pd.DataFrame:
    """Transfer to all five nodes, under two policies, three N, two draws and seeds; n3 has the most anomalies."""
    rows = []
    for seed in (1, 0):
        rows += [row("local", node, 0.5, seed) for node in F1]
        for policy in ("random_n", "top_n"):
            for n in (1, 2, 4, 8):
                for draw in (0, 1):
                    cohort = {"policy": policy, "n_participants": n, "draw": draw, "role": "target"}
                    best = (policy, n, draw, seed) == ("top_n", 2, 0, 0)
                    rows += [row("transfer", node, f1 if best else 1 - f1, seed, **cohort) for node, f1 in F1.items()]
    return results_frame(rows)


def row(arm: str, node: str, f1: float, seed: int, **more: Any) -> dict[str, Any]:
    measured = dict.fromkeys(("precision", "recall", "tnr", "mcc", "accuracy", "auroc", "auprc", "vus_pr"), 0.5)
    measured |= dict.fromkeys(("event_recall", "detection_delay", "alarms_per_node_day"), 0.5)
    counts = {"tp": 1, "fp": 0, "tn": 8, "fn": 0, "n_test_rows": 10, "n_test_anomalies": 4 if node == "n3" else 1}
    keys = {"dataset": "toy", "protocol": "rigorous", "paradigm": "unsupervised", "seed": seed, "arm": arm}
    return keys | measured | counts | {"node": node, "f1": f1, "threshold": 0.5} | more


def test_shown_are_the_headline_cohorts_extremes(results: pd.DataFrame) -> None:
    assert choose_shown(results, "toy") == [
        Shown("unsupervised", 0, "top_n", 2, 0, ("n3", "n2", "n0", "n1"))  # most anomalous, median, worst, best
    ]
    assert choose_shown(results, "another") == []


def test_without_top_n_the_first_policy_is_shown(results: pd.DataFrame) -> None:
    shown = choose_shown(results[results["policy"] != "top_n"], "toy")
    assert [one.policy for one in shown] == ["random_n"]


def test_a_node_that_is_extreme_twice_stands_once() -> None:
    table = pd.DataFrame({"node": ["b", "a"], "n_test_anomalies": [1, 1], "n_test_rows": 5, "delta_f1": [0.1, 0.1]})
    assert choose_nodes(table) == ("a", "b")
    assert choose_nodes(table.assign(delta_f1=np.nan)) == ("a",)
    assert choose_nodes(table.iloc[:1]) == ("b",)


@pytest.fixture
def judged(fleet: Fleet) -> Callable[[Scored], tuple[Scored, np.ndarray, float, np.ndarray]]:
    def make(scored: Scored) -> tuple[Scored, np.ndarray, float, np.ndarray]:
        rows = fleet.rows(scored.node, TEST)
        return scored, np.linspace(0, 1, len(rows)), 0.25 + scored.node, rows

    return make


def test_timelines_hold_the_shown_nodes_row_by_row(fleet: Fleet, judged, tmp_path: Path) -> None:
    shown = [Shown("unsupervised", 0, "top_n", 2, 0, ("n1", "n3"))]
    others = [target(1, n=3), target(1, draw=1), target(1, policy="random_n"), target(1, seed=1), target(2)]
    others += [target(1, paradigm="supervised"), Scored("local_long", 1), Scored("local", 0)]
    wanted = [Scored("local", 1), Scored("local", 3), target(1), target(3)]
    table = timelines_table(fleet, shown, map(judged, [*others, *wanted]))
    write_timelines([table, table.slice(0, 0)], tmp_path / "timelines.parquet")
    read = pq.read_table(tmp_path / "timelines.parquet")
    assert read.schema.equals(TIMELINES_SCHEMA)
    frame = read.to_pandas()
    arms = frame.groupby(["arm", "node"], sort=True).size()
    assert arms.to_dict() == {(arm, node): 10 for arm in ("local", "transfer") for node in ("n1", "n3")}
    one = frame[(frame["arm"] == "transfer") & (frame["node"] == "n3")]
    assert one["time"].tolist() == list(range(30, 40))
    assert one["score"].tolist() == np.linspace(0, 1, 10).tolist()
    assert set(one["threshold"]) == {3.25}
    assert one["label"].tolist()[:9] == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert np.isnan(one["label"].tolist()[9]), "unknown"
    assert one.iloc[0][["dataset", "protocol", "policy", "n_participants", "role"]].tolist() == [
        "toy", "rigorous", "top_n", 2, "target",
    ]  # fmt: skip
    assert frame[frame["arm"] == "local"][["policy", "n_participants", "draw", "role"]].isna().all(axis=None)


def test_nothing_shown_is_an_empty_table(fleet: Fleet, judged) -> None:
    table = timelines_table(fleet, [], map(judged, [target(1)]))
    assert table.schema.equals(TIMELINES_SCHEMA)
    assert table.num_rows == 0


def test_bytes_follow_from_parameters_and_fleet(fleet: Fleet) -> None:
    settings = ["model.hidden=[8,5,4]", "model.latent=4", "federate.n_rounds=3"]
    traffic = FleetTraffic(fleet, override(read_profile("default"), settings), n_components=2)
    inwards = [(6, 8), (8, 5), (5, 4)]
    encoder = sum(n_in * n_out + n_out for n_in, n_out in inwards)
    decoder = sum(n_in * n_out + n_in for n_in, n_out in inwards)
    whole = 4 * (encoder + decoder)
    assert model_bytes("autoencoder", 6, SMALL) == whole
    assert traffic(target(1)) == Traffic(8, whole)
    assert traffic(target(1, paradigm="supervised")) == Traffic(8, 4 * (encoder + 4 + 1))
    participant = Scored("zero_shot", 0, "random_n", 2, 0, "participant")
    assert traffic(participant) == Traffic(3 * whole, 4 * whole)
    assert traffic(Scored("centralised", 2)) == Traffic(sent=4 * 20 * N_FEATURES, received=whole)
    assert traffic(Scored("local", 2)) == Traffic(0, 0)
