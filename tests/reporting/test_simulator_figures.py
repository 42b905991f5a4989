import numpy as np
import pytest
from PIL import Image

from ftl.data.simulation.reference import reference
from ftl.reporting import simulator_figures
from ftl.reporting.simulator_figures import Week


@pytest.fixture
def table():
    return reference().assign(simulated=reference()["real"])


@pytest.fixture
def coverage():
    share = np.ones((40, 60))
    share[3, 10:14] = 0
    share[:, 30] = np.nan
    return share


def test_outages_are_counted_without_the_days_of_the_whole_fleet(coverage):
    coverage[5, 29:32] = 0
    coverage[:, 30] = 0
    assert simulator_figures.outage_lengths(coverage).tolist() == [2, 4]


def test_the_real_side_is_drawn_where_there_are_recordings(coverage, table):
    assert [axes.get_title() for axes in simulator_figures.coverage_maps(coverage, None).axes] == [
        "simulated, 40 nodes, 60 days"
    ]
    titles = [axes.get_title() for axes in simulator_figures.coverage_maps(coverage, coverage[:20]).axes]
    assert titles == ["real, 20 nodes, 60 days", "simulated, 40 nodes, 60 days"]
    legend = simulator_figures.faults(table, np.linspace(0.01, 0.1, 20), coverage, coverage[:20]).axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["real, 1 outages", "simulated, 1 outages"]


def test_labelled_windows_are_shaded():
    rng = np.random.default_rng(0)
    day = np.arange(672) / 96
    anomalous = np.zeros(672, dtype=bool)
    anomalous[96:192] = anomalous[500] = True
    week = Week("node-000", day, rng.normal(700, 50, 672), rng.normal(40, 3, 672), np.full(672, 22.0), anomalous)
    shaded = [patch.get_extents().width for patch in simulator_figures.weeks([week]).axes[0].patches]
    assert len(shaded) == 2
    assert shaded[0] > 50 * shaded[1]


def test_pictures_are_small_and_equal_figures_are_equal_files(tmp_path, table):
    for name in ("a.png", "b.png"):
        simulator_figures.save_small(simulator_figures.variance_parts(table), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size < 150_000
    assert Image.open(tmp_path / "a.png").size[0] > 900
