"""Other rules of alarms, without training: the same as having asked for them at once."""

from pathlib import Path

import pandas as pd
import pytest

from ftl.data.fleet_folder import FleetFolder
from ftl.errors import ConfigError, UserError
from ftl.evaluation.results import read_results
from ftl.experiment.fleet_run import FleetRun
from ftl.experiment.results_folder import read_results_folder
from ftl.experiment.rethreshold import rethreshold
from ftl.experiment.rule_comparison import compare_rules

OTHER = {"threshold": "fixed_on_scaled", "smoothing_half_life": 2.0}


def test_the_same_rule_gives_the_same_tables(whole_run, tmp_path: Path) -> None:
    tables, _ = rethreshold(whole_run.out, tmp_path / "same", {})
    pd.testing.assert_frame_equal(tables.results, whole_run.results)
    assert (tmp_path / "same" / "summary.csv").read_bytes() == (whole_run.out / "summary.csv").read_bytes()


def test_another_rule_gives_what_a_run_that_asked_for_it_gives(run_fleet, tmp_path: Path) -> None:
    first = run_fleet(out=tmp_path / "first")
    asked = run_fleet(*(f"detection.{key}={value}" for key, value in OTHER.items()), out=tmp_path / "asked")
    tables, params = rethreshold(first.out, tmp_path / "later", OTHER)
    measured = ["training_seconds"]
    pd.testing.assert_frame_equal(tables.results.drop(columns=measured), asked.results.drop(columns=measured))
    assert params["detection"]["threshold"] == "fixed_on_scaled"
    assert not tables.results["threshold"].equals(first.results["threshold"])


def test_its_folder_is_a_results_folder_of_its_own(whole_run, tmp_path: Path) -> None:
    rethreshold(whole_run.out, tmp_path / "once", OTHER)
    tables, _ = rethreshold(tmp_path / "once", tmp_path / "back", {"threshold": "protocol", "smoothing_half_life": 0.0})
    pd.testing.assert_frame_equal(tables.results, whole_run.results)
    datasets, params = read_results_folder(tmp_path / "once")
    assert params["detection"]["smoothing_half_life"] == 2.0
    assert datasets["small"].fleet.resolve() == (whole_run.out / "stages" / "fleet").resolve()


def test_a_folder_that_was_moved_still_knows_its_stages(run_fleet, tmp_path: Path) -> None:
    moved = run_fleet(out=tmp_path / "here").out.rename(tmp_path / "there")
    tables, _ = rethreshold(moved, tmp_path / "out", {})
    pd.testing.assert_frame_equal(tables.results, read_results(moved / "results.parquet"))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"score": "mse"}, "made by training"),
        ({"percentil": 9.0}, "percentile"),
        ({"percentile": 101.0}, "detection.percentile"),
        ({"threshold": "magic"}, "unknown 'magic'"),
    ],
)
def test_what_cannot_be_changed_afterwards_is_refused(whole_run, tmp_path: Path, changes, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        rethreshold(whole_run.out, tmp_path / "out", changes)
    assert not (tmp_path / "out").exists()


def test_results_are_not_written_over(whole_run) -> None:
    with pytest.raises(ConfigError, match="another folder"):
        rethreshold(whole_run.out, whole_run.out, OTHER)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fleets\.json is missing"):
        rethreshold(tmp_path, tmp_path / "out", OTHER)


def test_results_whose_stages_are_gone_are_refused(run_fleet, tmp_path: Path) -> None:
    import shutil

    run = run_fleet(out=tmp_path / "run")
    shutil.rmtree(run.out / "stages" / "local")
    with pytest.raises(UserError, match="stages/local is missing or not finished"):
        rethreshold(run.out, tmp_path / "out", OTHER)


def test_scores_that_a_later_run_has_replaced_are_not_taken_for_those_of_the_results(run_fleet, fleet_folder) -> None:
    run = run_fleet()
    later = FleetRun(FleetFolder(fleet_folder), {**run.params, "local": {"n_epochs": 1}}, run.out)
    later.prepare()
    later.train()  # and killed before it evaluates
    with pytest.raises(UserError, match="computed the stage local anew"):
        rethreshold(run.out, run.out / "other", OTHER)
    with pytest.raises(UserError, match="computed the stage local anew"):
        compare_rules(run.out, {"as run": {}})


def test_other_rules_kept_beside_their_results_move_with_them(run_fleet, tmp_path: Path) -> None:
    first = run_fleet(out=tmp_path / "here")
    rethreshold(first.out, first.out / "rethresholded" / "once", OTHER)
    moved = first.out.rename(tmp_path / "there") / "rethresholded" / "once"
    back = {"threshold": "protocol", "smoothing_half_life": 0.0}
    tables, _ = rethreshold(moved, tmp_path / "back", back)
    pd.testing.assert_frame_equal(tables.results, first.results)
