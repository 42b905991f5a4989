import numpy as np
import pandas as pd
import pytest

from ftl.reporting.pictures.costs import bytes_per_node, cost_bars, pictures, stage_costs
from ftl.reporting.pictures.subject import Subject


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_time_is_summed_over_units_and_memory_is_that_of_the_largest(subject: Subject) -> None:
    stages = stage_costs(subject.costs)
    assert stages.index.tolist() == ["local", "transfer"]
    assert stages["wall_seconds"].tolist() == [5.0, 1.0]
    assert stages["peak_memory_bytes"].tolist() == [3e8, 1e8]
    assert stages["energy_wh"].isna().all()


def test_bytes_are_those_of_the_headline_cohort_by_role(subject: Subject) -> None:
    traffic = bytes_per_node(subject).set_index("label")
    assert traffic.loc["zero_shot: a participant", ["sent", "received"]].tolist() == [8000, 8000]
    assert traffic.loc["transfer: a target", ["sent", "received"]].tolist() == [0, 500]
    assert traffic.loc["local: every node", ["sent", "received"]].tolist() == [0, 0]


def test_energy_that_was_not_measured_is_said_in_words_and_a_measured_one_in_numbers(subject: Subject) -> None:
    (picture,) = pictures(subject)
    assert "Energy was not measured" in picture.caption
    stages = stage_costs(subject.costs)
    assert texts(cost_bars(stages, pd.DataFrame(), "d1")).count("not measured") == 2
    costs = subject.costs.assign(energy_wh=[0.5, np.nan, 2.0], energy_source=["rapl", "not measured", "rapl"])
    (picture,) = pictures(Subject("d1", "rigorous", "d1", costs=costs))
    assert "Energy was read from rapl for a part of the units" in picture.caption
    assert texts(cost_bars(stage_costs(costs), pd.DataFrame(), "d1"))[-2:] == ["2.00", "0.5"]


def test_interrupted_units_are_told(subject: Subject) -> None:
    costs = subject.costs.assign(resumed=[False, True, False])
    (picture,) = pictures(Subject("d1", "rigorous", "d1", costs=costs))
    assert "Interrupted and resumed: 1 unit," in picture.caption


def test_arms_that_send_nothing_are_named_and_have_no_bar(subject: Subject) -> None:
    (picture,) = pictures(subject)
    assert "Nothing at all is sent by local, local_long and pca." in picture.caption


def test_bytes_alone_and_times_alone_make_a_picture_and_nothing_makes_none(subject: Subject) -> None:
    (alone,) = pictures(Subject("d1", "rigorous", "d1", results=subject.results))
    assert "Time, memory and energy were not measured" in alone.caption
    (times,) = pictures(Subject("d1", "rigorous", "d1", costs=subject.costs))
    assert "Bytes per node are not known" in times.caption
    assert [*pictures(Subject("d1", "rigorous", "d1"))] == []


@pytest.mark.parametrize("column", ["wall_seconds", "peak_memory_bytes"])
def test_a_column_that_was_not_measured_leaves_the_others(subject: Subject, column: str) -> None:
    (picture,) = pictures(Subject("d1", "rigorous", "d1", costs=subject.costs.assign(**{column: np.nan})))
    assert picture.kind == "costs"
