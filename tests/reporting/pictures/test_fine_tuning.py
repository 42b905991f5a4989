import numpy as np
import pandas as pd

from ftl.reporting.pictures.fine_tuning import fine_tuning, paired_f1, pictures
from ftl.reporting.pictures.subject import Subject


def with_full(subject: Subject, shift: np.ndarray) -> Subject:
    """The subject with F1 of full fine-tuning moved, target by target."""
    results = subject.results.copy()
    full = results["arm"] == "full_fine_tune"
    moved = results.loc[full, "node"].map(dict(zip("abcd", shift, strict=True)))
    results.loc[full, "f1"] += moved.to_numpy()
    return Subject(subject.dataset, subject.protocol, subject.where, results=results)


def test_a_point_is_a_target_of_the_headline_cohort_with_its_means_over_seeds(subject: Subject) -> None:
    both = subject.at_headline(subject.results[subject.results["arm"].isin(["transfer", "full_fine_tune"])])
    nodes = paired_f1(both)
    assert nodes["node"].tolist() == ["a", "b", "c", "d"]
    axes = fine_tuning(nodes, "d1").axes[0]
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_ydata(), [0.3, 0.3, 0.5, 0.6])
    np.testing.assert_allclose(points.get_xdata(), [0.3, 0.3, 0.5, 0.6])


def test_small_differences_are_called_equivalent_and_large_ones_not(subject: Subject) -> None:
    small = np.array([0.001, -0.001, 0.002, -0.002])
    (near,) = pictures(with_full(subject, small))
    assert "equivalent within ±0.02 (TOST p " in near.caption
    assert "not shown to be equivalent" not in near.caption
    (far,) = pictures(with_full(subject, 0.2 + small))
    assert "mean difference -0.200" in far.caption
    assert "not shown to be equivalent" in far.caption


def test_equal_differences_cannot_be_tested(subject: Subject) -> None:
    (picture,) = pictures(subject)
    assert "equivalence cannot be tested" in picture.caption


def test_without_one_of_the_arms_there_is_no_picture(subject: Subject) -> None:
    results = subject.results[subject.results["arm"] != "full_fine_tune"]
    assert [*pictures(Subject("d1", "rigorous", "d1", results=results))] == []
    assert [*pictures(Subject("d1", "rigorous", "d1", results=pd.DataFrame()))] == []
