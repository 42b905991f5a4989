import numpy as np
import pytest

from ftl.reporting.pictures.tuning import front_of, history_of, pictures
from ftl.reporting.run_tables import RunTables


def steps(figure) -> list[float]:
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == "best so far")
    return line.get_ydata().tolist()


@pytest.mark.parametrize(("maximise", "best"), [(True, [0.5, 0.5, 0.7]), (False, [0.5, 0.4, 0.4])])
def test_the_step_is_the_best_of_the_finished_trials_so_far(maximise: bool, best: list[float]) -> None:
    history = [[3, 0.7, "COMPLETE"], [0, 0.5, "COMPLETE"], [1, 0.4, "COMPLETE"], [2, 0.9, "PRUNED"], [4, None, "FAIL"]]
    assert steps(history_of(history, "f1", "study", maximise)) == best


def test_both_pictures_name_study_dataset_and_units(run: RunTables) -> None:
    history, pareto = pictures(run.tuning)
    assert "(threshold, d1)" in history.title
    assert "The first trial had 0.5000, the best has 0.7000 (trial 3)" in history.caption
    assert "2 finished trials, 1 pruned trial, 1 failed trial" in history.caption
    assert pareto.name == "tuning_pareto_d1"
    assert "2 trials" in pareto.caption


def test_the_front_is_drawn_over_the_second_objective() -> None:
    pareto = [{"number": 7, "values": [0.5, 10.0]}, {"number": 2, "values": [0.7, 90.0]}]
    axes = front_of(pareto, ["f1", "bytes"], "study").axes[0]
    np.testing.assert_allclose(axes.lines[1].get_xdata(), [10, 90])
    assert [text.get_text() for text in axes.texts] == ["7", "2"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("bytes", "f1")


def test_a_study_with_one_objective_has_no_front_and_one_without_values_no_picture(run: RunTables) -> None:
    single = {**run.tuning, "objectives": None, "objective": "f1", "direction": "maximize"}
    assert [picture.kind for picture in pictures(single)] == ["tuning_history"]
    assert [*pictures({"history": [[0, None, "FAIL"]], "pareto": []})] == []
    assert [*pictures(None)] == []
