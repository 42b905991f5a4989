"""A study: trials are proposed a batch at a time, judged by any number of processes, and told in their order.

What is proposed depends on the seed, the number of the trial and what earlier batches came to, and never on which
worker was faster: one worker and many come to the same trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftl.errors import ConfigError, UserError
from ftl.randomness import derive_seed
from ftl.tuning.plan import StudyPlan
from ftl.tuning.pruning import NODE_STEP, Rivals
from ftl.tuning.space import Value
from ftl.tuning.storage import is_gone, owner
from ftl.tuning.trial import TrialResult
from ftl.tuning.workers import evaluator

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

STARTUP_TRIALS = 10  # proposed at random before earlier ones are learned from
FINGERPRINT, FACTS, BASELINE = "fingerprint", "facts", "baseline"
TRIAL, ERROR = "ftl", "error"  # of a trial: slot (its place in the study), why, owner; and why it failed


@dataclass(frozen=True)
class TrialFact:
    """One finished trial, for whoever wants to record it.

    Attributes:
        state: COMPLETE, PRUNED or FAIL.
        why: ``baseline``, ``paper`` or ``proposed``.
        values: Of the objectives; None unless complete.
        start, end: Seconds since 1970.
    """

    number: int
    state: str
    why: str
    params: Mapping[str, Value]
    values: tuple[float, ...] | None
    error: str | None
    start: float
    end: float


def open_study(plan: StudyPlan, storage: BaseStorage, fresh: bool = False) -> Study:
    """Make the study, or take it up where it was left.

    Raises:
        ConfigError: If a study of this name has other parameters, data or space; the message names the first of them.
    """
    import optuna

    names = [study.study_name for study in optuna.get_all_study_summaries(storage)]
    if fresh and plan.name in names:
        optuna.delete_study(study_name=plan.name, storage=storage)
    directions: list[Literal["maximize", "minimize"]] = ["maximize", "minimize"]
    study = optuna.create_study(
        study_name=plan.name,
        storage=storage,
        directions=directions[: len(plan.settings.objectives)],
        load_if_exists=True,
    )
    known = study.user_attrs.get(FINGERPRINT)
    if known is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that naming them is experimental
            study.set_metric_names(list(plan.settings.objectives))
        study.set_user_attr(FACTS, plan.facts())
        study.set_user_attr(FINGERPRINT, plan.fingerprint())
    elif known != plan.fingerprint():
        raise ConfigError(
            f"a study {plan.name!r} is there already, with other parameters: {_difference(study, plan)}; give another "
            "--study NAME, or --fresh to forget that one"
        )
    return study


def run_study(plan: StudyPlan, study: Study) -> Iterator[TrialFact]:
    """Run trials until the study has as many as it shall have; yields each as it is told.

    A trial that a killed process left running is marked as failed and tried again.

    Raises:
        UserError: If the parameters as they are now cannot be judged.
    """
    n_workers = min(plan.settings.n_workers, plan.settings.batch_size)
    with evaluator(plan.trials, n_workers) as evaluate:
        if "baseline" not in dict(plan.enqueued) and BASELINE not in study.user_attrs:
            (result,) = evaluate([(plan.base, Rivals())])
            _require_baseline(result.values, result.error)
            study.set_user_attr(BASELINE, list(result.values or ()))
        lost = _take_lost(study)
        while batch := _ask_batch(plan, study, lost):
            rivals = _rivals(plan, study)
            jobs = [(plan.space.applied(plan.base, trial.params), rivals) for trial in batch]
            for trial, result in zip(batch, evaluate(jobs), strict=True):
                fact = _tell(study, trial, result)
                yield fact
                if fact.why == "baseline":
                    _require_baseline(fact.values, fact.error)
            lost = []


def facts_of(study: Study) -> list[TrialFact]:
    """All trials that have ended, less those of killed processes, which were tried again."""
    return [_fact(trial) for trial in _counted(study) if trial.state.is_finished()]


def best_trial(study: Study) -> TrialFact | None:
    """The complete trial with the highest objective, of several the first; None without one."""
    complete = [fact for fact in facts_of(study) if fact.values is not None]
    return max(complete, key=lambda fact: ((fact.values or (0.0,))[0], -fact.number), default=None)


def baseline_values(study: Study) -> tuple[float, ...]:
    """What the parameters as they are now come to."""
    known = study.user_attrs.get(BASELINE)
    if known is not None:
        return tuple(known)
    return next(fact.values for fact in facts_of(study) if fact.why == "baseline" and fact.values is not None)


def _ask_batch(plan: StudyPlan, study: Study, lost: Sequence[tuple[int, str, dict[str, Value]]]) -> list[Trial]:
    """Propose trials up to the end of a batch, those of killed processes first; none if the study has them all."""
    asked = [_ask(plan, study, slot, why, values) for slot, why, values in lost]
    size, first = plan.settings.batch_size, _next_slot(study)
    unfinished = -(-first // size) * size  # end of the batch that the lost trials are of
    last = min(unfinished if lost else first // size * size + size, plan.settings.n_trials)
    for slot in range(first, last):
        why, values = plan.enqueued[slot] if slot < len(plan.enqueued) else ("proposed", None)
        asked.append(_ask(plan, study, slot, why, values))
    return asked


def _ask(plan: StudyPlan, study: Study, slot: int, why: str, values: Mapping[str, Value] | None) -> Trial:
    """One trial, with these values or with proposed ones.

    Its proposer is made anew, so that it knows nothing but the seed and the trials that are there.
    """
    from optuna.samplers import PartialFixedSampler, TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # multivariate proposals and fixed values are called experimental
        study.sampler = TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            constant_liar=True,
            seed=derive_seed(plan.settings.seed, "proposal", slot) % 2**32,
            warn_independent_sampling=False,
        )
        if values is not None:
            study.sampler = PartialFixedSampler(dict(values), study.sampler)
        trial = study.ask(plan.space.distributions())
    trial.set_user_attr(TRIAL, {"slot": slot, "why": why, "owner": owner()})
    return trial


def _tell(study: Study, trial: Trial, result: TrialResult) -> TrialFact:
    from optuna.trial import TrialState

    if len(study.directions) == 1:
        for step, value in result.reports:
            trial.report(value, step)
    if result.error is not None:
        trial.set_user_attr(ERROR, result.error)
    if result.values is not None:
        return _fact(study.tell(trial, list(result.values)))
    return _fact(study.tell(trial, state=TrialState.PRUNED if result.state == "pruned" else TrialState.FAIL))


def _fact(trial: FrozenTrial) -> TrialFact:
    complete = trial.state.name == "COMPLETE"
    begin, end = trial.datetime_start, trial.datetime_complete
    return TrialFact(
        number=trial.number,
        state=trial.state.name,
        why=trial.user_attrs.get(TRIAL, {}).get("why", "proposed"),
        params=dict(trial.params),
        values=tuple(trial.values) if complete else None,
        error=trial.user_attrs.get(ERROR),
        start=begin.timestamp() if begin else 0.0,
        end=end.timestamp() if end else 0.0,
    )


def _take_lost(study: Study) -> list[tuple[int, str, dict[str, Value]]]:
    """Mark the trials of ended processes as failed; returns the slot, reason and values of those to be tried again."""
    from optuna.trial import TrialState

    lost = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        known = trial.user_attrs.get(TRIAL)
        if known is not None and not is_gone(known["owner"]):
            continue
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        if known is not None:
            lost.append((known["slot"], known["why"], dict(trial.params)))
    return sorted(lost, key=lambda one: one[0])


def _counted(study: Study) -> list[FrozenTrial]:
    """All trials but those that a killed process left behind."""
    return [trial for trial in study.get_trials(deepcopy=False) if TRIAL in trial.user_attrs and not _was_lost(trial)]


def _was_lost(trial: FrozenTrial) -> bool:
    """Whether a trial failed without a reason of its own: its process was killed."""
    return trial.state.name == "FAIL" and ERROR not in trial.user_attrs


def _next_slot(study: Study) -> int:
    return max((trial.user_attrs[TRIAL]["slot"] for trial in _counted(study)), default=-1) + 1


def _rivals(plan: StudyPlan, study: Study) -> Rivals:
    """What trials that are judged now are compared with: the complete ones of earlier batches."""
    pruning = plan.settings.pruning if plan.space.trains and plan.settings.cost == "none" else ()
    if not pruning:
        return Rivals()
    complete = [trial for trial in _counted(study) if trial.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)
    rounds = [{s: v for s, v in trial.intermediate_values.items() if s < NODE_STEP} for trial in complete]
    of_best = {} if best is None else {s: v for s, v in best.intermediate_values.items() if s >= NODE_STEP}
    return Rivals(tuple(one for one in rounds if one), of_best, "rounds" in pruning, "nodes" in pruning)


def _require_baseline(values: tuple[float, ...] | None, error: str | None) -> None:
    if values is None:
        raise UserError(f"the parameters as they are now cannot be judged: {error}")


def _difference(study: Study, plan: StudyPlan) -> str:
    """The first parameters in which a study and a plan differ."""
    known, now = study.user_attrs.get(FACTS, {}), plan.facts()
    keys = [key for key in sorted(known.keys() | now.keys()) if known.get(key) != now.get(key)]
    named = [f"{key} was {known.get(key)!r}, is {now.get(key)!r}" for key in keys[:3]]
    return "; ".join(named) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")
