import numpy as np

from ftl.reporting.pictures.arms import arms, arms_at_headline, pictures
from ftl.reporting.pictures.subject import Subject


def test_arms_stand_at_the_headline_cohort_and_those_without_a_cohort_beside_them(subject: Subject) -> None:
    cells = arms_at_headline(subject)
    assert sorted(cells["arm"]) == ["full_fine_tune", "local", "local_long", "pca", "transfer", "zero_shot"]
    assert set(cells["n_participants"].dropna()) == {2}


def test_dots_are_aurocs_and_whiskers_start_from_the_local_model(subject: Subject) -> None:
    cells = arms_at_headline(subject)
    axes = arms(cells, "d1").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "local", "local_long", "zero_shot", "transfer", "full_fine_tune", "pca"
    ]  # fmt: skip
    transfer = cells.set_index("arm").loc["transfer"]
    dots = {y: x for line in axes.lines if line.get_marker() in "os" for x, y in zip(*line.get_data(), strict=True)}
    assert dots[3] == transfer["auroc_after"]
    segments = {segment[0, 1]: segment[:, 0] for segment in axes.collections[0].get_segments()}
    expected = transfer["auroc_before"] + np.array([transfer["ci_low_auroc"], transfer["ci_high_auroc"]], dtype=float)
    np.testing.assert_allclose(segments[3], expected)
    assert 0 not in segments  # local has no difference to itself


def test_baselines_are_squares_and_the_caption_names_the_highest(subject: Subject) -> None:
    axes = arms(arms_at_headline(subject), "d1").axes[0]
    (squares,) = (line for line in axes.lines if line.get_marker() == "s")
    assert squares.get_ydata().tolist() == [5]
    (picture,) = pictures(subject)
    assert "and baseline pca (0.650)" in picture.caption
