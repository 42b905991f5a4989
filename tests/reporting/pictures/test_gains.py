import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from ftl.reporting.pictures.gains import delta_f1_bars, delta_f1_by_node, gains_in_order, pictures
from ftl.reporting.pictures.subject import Subject, node_gains


@pytest.fixture
def cells() -> pd.DataFrame:
    rows = [
        {"dataset": "d1", "protocol": "rigorous", "paradigm": paradigm, "policy": policy, "n_participants": n,
         "arm": "transfer", "delta_f1": n / 100, "ci_low": n / 100 - 0.02, "ci_high": n / 100 + 0.05,
         "delta_f1_vs_local_long": -n / 100, "ci_low_vs_local_long": -n / 100 - 0.01,
         "ci_high_vs_local_long": -n / 100 + 0.01}
        for paradigm in ("supervised", "unsupervised") for policy in ("random_n", "top_n") for n in (3, 5)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"n_participants": "Int64"})


@pytest.fixture
def results() -> pd.DataFrame:
    """Two seeds, two draws; node a gains .1, node b .3 on average over draws and seeds, node c has no anomaly."""
    key = {"dataset": "d1", "protocol": "rigorous", "paradigm": "unsupervised", "n_test_rows": 9, "n_test_anomalies": 2}
    rows = []
    for seed in (0, 1):
        for node, f1 in (("a", 0.2), ("b", 0.4), ("c", np.nan), ("p", 0.5)):
            for arm, more in (("local", 0.0), ("local_long", 0.2)):
                rows.append(key | {"arm": arm, "role": None, "node": node, "seed": seed, "f1": f1 + more + seed / 10})
        for draw in (0, 1):
            cohort = {"policy": "random_n", "n_participants": 3, "draw": draw, "seed": seed}
            for node, f1 in (("a", 0.3), ("b", 0.6 + draw / 5), ("c", np.nan)):
                rows.append(key | cohort | {"arm": "transfer", "role": "target", "node": node, "f1": f1 + seed / 10})
            rows.append(key | cohort | {"arm": "transfer", "role": "participant", "node": "p", "f1": 1.0})
    return pd.DataFrame(rows).astype({"n_participants": "Int64", "draw": "Int64"})


def test_a_nodes_gain_is_its_mean_over_draws_and_seeds_against_the_reference_of_the_same_seed(
    results: pd.DataFrame,
) -> None:
    gains = node_gains(results).set_index("node")
    assert gains["delta_f1"].to_dict() == {"a": pytest.approx(0.1), "b": pytest.approx(0.3)}
    assert gains["delta_f1_vs_local_long"].to_dict() == {"a": pytest.approx(-0.1), "b": pytest.approx(0.1)}
    without = node_gains(results[results["arm"] != "local_long"])
    assert without["delta_f1_vs_local_long"].isna().all()
    assert without["delta_f1"].tolist() == gains["delta_f1"].tolist()


def test_bars_have_the_height_and_interval_of_the_summary(cells: pd.DataFrame) -> None:
    unsupervised = delta_f1_bars(cells, "d1").axes[0]
    assert unsupervised.get_title() == "unsupervised"
    assert [t.get_text() for t in unsupervised.get_xticklabels()] == ["3", "5"]
    heights = [[bar.get_height() for bar in container.patches] for container in unsupervised.containers[1::2]]
    assert heights == [[0.03, 0.05], [-0.03, -0.05]] * 2
    (whiskers,) = unsupervised.containers[0].lines[2]
    np.testing.assert_allclose(whiskers.get_segments()[0][:, 1], [0.01, 0.08])


def test_bars_are_told_apart_without_colour(cells: pd.DataFrame) -> None:
    bars = [container.patches[0] for container in delta_f1_bars(cells, "d1").axes[0].containers[1::2]]
    assert [bar.get_hatch() for bar in bars] == [None, "////"] * 2
    brightness = [np.dot(to_rgb(bar.get_facecolor()), [0.299, 0.587, 0.114]) for bar in bars]
    assert abs(brightness[0] - brightness[2]) > 0.2


def test_bars_without_the_control_or_without_an_interval_still_stand(cells: pd.DataFrame) -> None:
    cells.loc[0, ["ci_low", "ci_high"]] = np.nan
    figure = delta_f1_bars(cells.drop(columns=[c for c in cells if "local_long" in c]), "d1")
    assert [len(axes.containers) for axes in figure.axes] == [4, 4]


def test_the_distribution_shows_every_target_once(results: pd.DataFrame) -> None:
    axes = delta_f1_by_node(node_gains(results), "d1").axes[0]
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.sort(points.get_ydata()), [0.1, 0.3])


def test_nodes_stand_from_the_largest_loss_to_the_largest_gain_and_losses_are_hatched(subject: Subject) -> None:
    axes = gains_in_order(subject.headline_gains, "d1").axes[0]
    bars = sorted((patch for container in axes.containers for patch in container), key=lambda bar: bar.get_x())
    np.testing.assert_allclose([bar.get_height() for bar in bars], [-0.1, 0.0, 0.0, 0.1], atol=1e-12)
    assert [bool(bar.get_hatch()) for bar in bars] == [True, False, False, False]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "c", "d", "a"]
    (diamonds,) = (line for line in axes.lines if line.get_marker() == "D")
    np.testing.assert_allclose(diamonds.get_ydata(), [-0.1, 0.0, 0.0, 0.0], atol=1e-12)


def test_captions_count_the_cells_and_name_who_lost_most(subject: Subject) -> None:
    said = {picture.kind: picture.caption for picture in pictures(subject)}
    assert "against local it was better in 0, worse in 0 and no difference shown in 2 of 2 cells" in said["delta_f1"]
    assert "1 of 4 nodes lost, 1 gained, the largest loss -0.100 on b" in said["delta_f1_harmed"]


def test_axes_and_titles_say_what_is_shown(cells: pd.DataFrame, subject: Subject) -> None:
    for draw, table in (
        (delta_f1_bars, cells), (delta_f1_by_node, subject.gains), (gains_in_order, subject.headline_gains)
    ):  # fmt: skip
        figure = draw(table, "d1 (simulated), rigorous protocol: gain")
        assert figure.get_suptitle() == "d1 (simulated), rigorous protocol: gain"
        assert figure.axes[0].get_ylabel()
        assert all(axes.get_xlabel() for axes in figure.axes)


def test_nothing_to_draw_draws_nothing(cells: pd.DataFrame, results: pd.DataFrame) -> None:
    assert delta_f1_bars(cells.assign(delta_f1=np.nan), "d1") is None
    undefined = node_gains(results.assign(f1=np.nan))
    assert delta_f1_by_node(undefined, "d1") is None
    assert gains_in_order(undefined, "d1") is None
