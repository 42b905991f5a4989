"""What one trial computes: the same as the method itself, each part once."""

from pathlib import Path

import numpy as np
import pytest

from ftl.config import section
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError
from ftl.experiment.fleet_run import FleetRun
from ftl.tuning.pruning import NODE_STEP, Rivals
from ftl.tuning.stages import TrialStages
from ftl.tuning.trial import NO_RIVALS, Trials, _bench, all_metrics, run_trial
from tests.tuning.conftest import RATES, RULES, MakePlan


def values(trials: Trials, params: dict, rivals: Rivals = NO_RIVALS) -> tuple[float, ...]:
    result = run_trial(trials, params, rivals)
    assert result.error is None
    assert result.values is not None
    return result.values


def test_a_trial_comes_to_what_the_method_comes_to(plan: MakePlan, tmp_path: Path) -> None:
    """Judged on the tuning fleet, `ftl run` and a trial give every target the same F1 and AUPRC."""
    planned = plan(RULES)
    run = FleetRun(planned.split.tuning, {**planned.base, "transfer": {**planned.base["transfer"], "arms": [
        "zero_shot", "transfer"]}}, tmp_path / "run")  # fmt: skip
    run.prepare()
    run.train()
    run.evaluate(dump_scores=False)
    rows = run.results[(run.results["arm"] == "transfer") & run.results["f1"].notna()].set_index("node")
    found = all_metrics(planned.trials, planned.base)
    ids = read_fleet(planned.split.tuning).node_ids
    for metric in ("f1", "auprc", "mcc"):
        by_node = {ids[node]: value for node, value in found[metric].items()}
        assert by_node == pytest.approx(rows[metric].to_dict(), rel=1e-6), metric
    assert values(planned.trials, planned.base) == pytest.approx((rows["f1"].mean(),), rel=1e-6)


def test_going_on_from_rounds_and_node_by_node_comes_to_the_same(plan: MakePlan, tmp_path: Path) -> None:
    whole, pieces = plan(RATES, "federate.n_rounds=2"), plan(RATES, "federate.n_rounds=2", out=tmp_path / "pieces")
    result = run_trial(pieces.trials, pieces.base, Rivals((), {}, prune_rounds=True, prune_nodes=True))
    assert result.values == pytest.approx(values(whole.trials, whole.base), rel=1e-6)
    steps = [step for step, _ in result.reports]
    assert steps[0] == 1
    assert {step - NODE_STEP for step in steps[1:]} <= set(range(6))
    assert np.mean([value for step, value in result.reports if step >= NODE_STEP]) == pytest.approx(result.values[0])


def stage_names(planned) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (planned.folder / "stages").iterdir() if path.name != "work")


def test_rules_of_alarms_are_tried_without_training(plan: MakePlan) -> None:
    planned = plan(RULES, anew=True)
    found = {
        values(planned.trials, planned.space.applied(planned.base, {"detection.percentile": p})) for p in (90.0, 99.0)
    }
    assert len(found) == 2
    assert stage_names(planned) == ["federated", "local", "targets"]


def test_a_stage_is_made_anew_only_for_what_it_depends_on(plan: MakePlan) -> None:
    planned = plan("tune.space=all")
    values(planned.trials, planned.base)
    for change, added in (
        ({"transfer.n_epochs": 2}, ["targets"]),
        ({"federate.n_rounds": 1}, ["federated", "targets"]),
        ({"optimizer.learning_rate": 0.002}, ["federated", "local", "targets"]),
        ({"detection.smoothing_half_life": 3.0}, []),
    ):
        before = stage_names(planned)
        values(planned.trials, planned.space.applied(planned.base, change))
        after = stage_names(planned)
        for name in before:
            after.remove(name)
        assert after == added, change


def test_a_zero_shot_target_is_not_made_again_for_its_tuning(plan: MakePlan) -> None:
    planned = plan("tune.space=all", "tune.arm=zero_shot", anew=True)
    first = values(planned.trials, planned.base)
    assert values(planned.trials, planned.space.applied(planned.base, {"transfer.n_epochs": 2})) == first
    assert stage_names(planned).count("targets") == 1


def test_participants_count_where_cohorts_differ(plan: MakePlan) -> None:
    targets, everyone = plan(RULES), plan("tune.space=cohort")
    ids = range(6)
    assert set(all_metrics(targets.trials, targets.base)["f1"]) < set(ids)
    assert set(all_metrics(everyone.trials, everyone.base)["f1"]) == set(ids)


def test_delta_f1_is_the_difference_to_the_nodes_own_model(plan: MakePlan) -> None:
    planned = plan(RULES, "tune.objective=delta_f1")
    found = all_metrics(planned.trials, planned.base)
    stages = TrialStages(planned.trials.fleet, planned.trials.store, planned.base, planned.trials.fingerprint)
    bench = _bench(planned.trials, (stages.local(planned.base),))
    local = bench.node_values(bench.of("local", None), section(planned.base, "detection", DetectionSettings), "f1")
    for node, delta in found["delta_f1"].items():
        assert delta == pytest.approx(found["f1"][node] - local[node])
    assert values(planned.trials, planned.base) == pytest.approx((np.mean([*found["delta_f1"].values()]),))


def test_bytes_grow_with_rounds_and_participants(plan: MakePlan) -> None:
    planned = plan("tune.space=all", "tune.cost=bytes")
    of = {}
    for n_rounds, n in ((1, 2), (2, 2), (1, 3)):
        changed = planned.space.applied(planned.base, {"federate.n_rounds": n_rounds, "select.n_participants": n})
        of[n_rounds, n] = values(planned.trials, changed)[1]
    one = (of[2, 2] - of[1, 2]) / 4  # a round more, both ways, of two participants
    assert of[1, 2] == one * (2 * 3 + 4)  # a round both ways and the model to begin with; 4 targets receive it
    assert of[1, 3] == one * (3 * 3 + 3)


def test_seconds_are_those_of_the_stages(plan: MakePlan) -> None:
    planned = plan(RULES, "tune.cost=seconds")
    first, again = values(planned.trials, planned.base), values(planned.trials, planned.base)
    assert first == again  # not of a second reading
    assert first[1] > 0


def test_a_sum_over_the_fleet_is_over_the_whole_run(plan: MakePlan) -> None:
    planned = plan(RATES, "detection.threshold=federated_summary")
    result = run_trial(planned.trials, planned.base, Rivals((), {}, prune_nodes=True))
    assert result.values == values(planned.trials, planned.base)


def test_a_budget_of_alarms_needs_days(plan: MakePlan) -> None:
    with pytest.raises(ConfigError, match="f1_at_budget counts alarms by the day"):
        plan(RULES, "tune.objective=f1_at_budget")
