import numpy as np
import pandas as pd
import pytest

from ftl.reporting.figures import (
    delta_f1_bars,
    delta_f1_by_node,
    draw_figures,
    node_differences,
    save,
    training_loss,
)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def summary():
    rows = [
        {"dataset": "d1", "protocol": "rigorous", "paradigm": paradigm, "policy": policy, "n_participants": n,
         "arm": "transfer", "delta_f1": n / 100, "ci_low": n / 100 - 0.02, "ci_high": n / 100 + 0.05,
         "delta_f1_vs_local_long": -n / 100, "ci_low_vs_local_long": -n / 100 - 0.01,
         "ci_high_vs_local_long": -n / 100 + 0.01}
        for paradigm in ("supervised", "unsupervised") for policy in ("random_n", "top_n") for n in (3, 5)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"n_participants": "Int64"})


@pytest.fixture
def results():
    """Two seeds, two draws; node a gains .1, node b .3 on average over draws and seeds, node c has no anomaly."""
    key = {"dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "n_test_rows": 9, "n_test_anomalies": 2}
    rows = []
    for seed in (0, 1):
        for node, f1 in (("a", 0.2), ("b", 0.4), ("c", np.nan), ("p", 0.5)):
            rows.append(key | {"arm": "local", "role": None, "node": node, "seed": seed, "f1": f1 + seed / 10})
        for draw in (0, 1):
            cohort = {"policy": "random_n", "n_participants": 3, "draw": draw, "seed": seed}
            for node, f1 in (("a", 0.3), ("b", 0.6 + draw / 5), ("c", np.nan)):
                rows.append(key | cohort | {"arm": "transfer", "role": "target", "node": node, "f1": f1 + seed / 10})
            rows.append(key | cohort | {"arm": "transfer", "role": "participant", "node": "p", "f1": 1.0})
    return pd.DataFrame(rows).astype({"n_participants": "Int64", "draw": "Int64"})


@pytest.fixture
def rounds():
    rows = [
        {"dataset": "d1", "paradigm": "unsupervised", "policy": "top_n", "n_participants": 3, "draw": 0, "seed": seed,
         "round": r, "train_loss": (1 + seed) / r}
        for seed in (0, 1) for r in range(1, 6)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"n_participants": "Int64"})


def test_a_nodes_gain_is_its_mean_over_draws_and_seeds_against_local_of_the_same_seed(results):
    gains = node_differences(results).set_index("node")["delta_f1"]
    assert gains.to_dict() == {"a": pytest.approx(0.1), "b": pytest.approx(0.3)}


def test_bars_have_the_height_and_interval_of_the_summary(summary):
    figure = delta_f1_bars(summary, "d1 (simulated), rigorous protocol")
    unsupervised = figure.axes[0]
    assert unsupervised.get_title() == "unsupervised"
    assert [t.get_text() for t in unsupervised.get_xticklabels()] == ["3", "5"]
    heights = [[bar.get_height() for bar in container.patches] for container in unsupervised.containers[1::2]]
    assert heights == [[0.03, 0.05], [-0.03, -0.05]] * 2
    (whiskers,) = unsupervised.containers[0].lines[2]
    np.testing.assert_allclose(whiskers.get_segments()[0][:, 1], [0.01, 0.08])


def test_bars_against_local_long_are_told_apart_without_colour(summary):
    bars = delta_f1_bars(summary, "d1").axes[0].containers[1::2]
    assert [container.patches[0].get_hatch() for container in bars] == [None, "////"] * 2


def test_bars_without_the_control_or_without_an_interval_still_stand(summary):
    summary.loc[0, ["ci_low", "ci_high"]] = np.nan
    figure = delta_f1_bars(summary.drop(columns=[c for c in summary if "local_long" in c]), "d1")
    assert [len(axes.containers) for axes in figure.axes] == [4, 4]


def test_the_distribution_shows_every_target_once(results):
    axes = delta_f1_by_node(node_differences(results), "d1").axes[0]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(np.sort(np.concatenate([p.get_ydata() for p in points])), [0.1, 0.3])


def test_training_loss_is_the_mean_over_seeds(rounds):
    (line,) = training_loss(rounds, "d1").axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), [1.5 / r for r in range(1, 6)])
    assert line.get_label() == "top_n, N = 3"


def test_axes_and_titles_say_what_is_shown(summary, results, rounds, tmp_path):
    where = "d1 (simulated telemetry), rigorous protocol"
    for figure in (
        delta_f1_bars(summary, where), delta_f1_by_node(node_differences(results), where), training_loss(rounds, where)
    ):  # fmt: skip
        assert figure.get_suptitle().startswith(where)
        assert figure.axes[0].get_ylabel()
        assert all(axes.get_xlabel() for axes in figure.axes)


def test_equal_numbers_give_equal_files(summary, tmp_path):
    for name in ("one.png", "two.png"):
        save(delta_f1_bars(summary, "d1"), tmp_path / name)
    one = (tmp_path / "one.png").read_bytes()
    assert one.startswith(PNG)
    assert one == (tmp_path / "two.png").read_bytes()


def test_each_dataset_has_its_own_files_under_safe_names(summary, results, tmp_path):
    both = pd.concat([summary, summary.assign(dataset="../real fleet")])
    drawn = draw_figures(tmp_path / "figures", both, results, None, {"d1": "simulated"})
    assert set(drawn) == {("d1", "rigorous"), ("../real fleet", "rigorous")}
    assert set(drawn["d1", "rigorous"]) == {"delta_f1", "delta_f1_nodes"}
    files = [path for kinds in drawn.values() for path in kinds.values()]
    assert all(path.parent == tmp_path / "figures" and path.exists() for path in files)
    assert len(set(files)) == 3


def test_nothing_to_draw_draws_nothing(summary, results, rounds):
    assert delta_f1_bars(summary.assign(delta_f1=np.nan), "d1") is None
    assert delta_f1_by_node(node_differences(results.assign(f1=np.nan)), "d1") is None
    assert training_loss(rounds.iloc[:0], "d1") is None
