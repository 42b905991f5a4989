import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ftl.reporting.pictures.labels import place_labels
from ftl.reporting.pictures.projection import pictures, projection
from ftl.reporting.pictures.subject import Subject


def test_participants_are_stars_grey_where_only_some_seeds_chose_them(subject: Subject) -> None:
    shares = subject.shares.assign(share=subject.shares["node"].map({"p": 1.0, "q": 0.5}))
    axes = projection(subject.projection, shares, "d1").axes[0]
    drawn = {line.get_markerfacecolor(): [*line.get_xdata()] for line in axes.lines if line.get_marker() in "*o"}
    assert drawn == {"black": [4.0], "0.6": [5.0], "white": [0.0, 1.0, 2.0, 3.0]}
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c", "d", "p", "q"]
    assert axes.get_xlabel() == "first component (60% of the variance)"


def test_without_results_there_is_one_panel_without_participants(subject: Subject) -> None:
    (picture,) = pictures(Subject("d1", "rigorous", "d1", projection=subject.projection))
    assert "80% of the variance" in picture.caption
    assert "Spearman" not in picture.caption


def test_the_caption_correlates_closeness_with_local_f1(subject: Subject) -> None:
    (picture,) = pictures(subject)
    assert "unsupervised: with local F1 " in picture.caption
    assert "with ΔF1 undefined (4 nodes" in picture.caption


@pytest.mark.parametrize("n", [5, 60])
def test_names_cover_neither_each_other_nor_the_points(subject: Subject, n: int) -> None:
    figure = projection(subject.projection, subject.shares.iloc[:0], "d1")
    (axes,) = figure.axes
    for text in [*axes.texts]:
        text.remove()
    points = np.random.default_rng(0).random((n, 2)) * [5, 1]
    place_labels(axes, points, range(n), {k: f"node-{k}" for k in range(n)})
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == n if n == 5 else 5 < len(boxes) < n
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
