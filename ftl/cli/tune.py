"""``ftl tune``: a study of parameters."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftl.cli.options import Assignments, Profile, SourceName, SourceSettings, check, open_telemetry
from ftl.errors import UserError

if TYPE_CHECKING:
    from ftl.tracking.lineage import Lineage
    from ftl.tuning import Outcome, StudyPlan

SAY_SECONDS = 2.0


def tune(
    fleet: Annotated[Path, typer.Argument(help="Telemetry in any layout that ftl reads, or a prepared fleet.")],
    out: Annotated[
        Path, typer.Option(help="Where the study and its result go. The same command again goes on where it stopped.")
    ],
    study: Annotated[
        str | None, typer.Option(help="Name of the study; the space's and objective's without it.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="threshold, cohort, training or all; ranges of your own: -S tune.space={key: {low: ..}}"),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="f1, delta_f1, auprc, auroc, mcc or f1_at_budget: mean over nodes.")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Minimised beside the objective: bytes, seconds or energy_wh.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all, those of earlier commands counted.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; the result does not depend on it.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A database that several machines share, instead of a file in OUT/tune."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget a study of this name and begin anew.")] = False,
    profile: Profile = "default",
    source: SourceName = None,
    with_: SourceSettings = None,
    set_: Assignments = None,
    track: Annotated[
        bool,
        typer.Option("--track", help="Also record every trial in MLflow (MLFLOW_TRACKING_URI, else OUT/mlflow.db)."),
    ] = False,
) -> None:
    """Search for better parameters, judged on validation rows alone, then test the best ones once.

    Trials read a copy of the fleet in which the test rows are not: see docs/tune.md.

    Example: ftl tune telemetry/cluster-a --out results/cluster-a --space threshold --trials 200
    """
    began = time.monotonic()
    options = {"space": space, "objective": objective, "cost": cost, "n_trials": trials, "n_workers": workers}
    params = _params(profile, set_ or [], options)
    prepared = _prepared(fleet, source, with_, params, out)

    from ftl.tuning import finish_study, open_study, plan_study, run_study, study_storage

    name = study or f"{_space_name(params)}-{params['tune']['objective']}"
    plan = plan_study(params, prepared, out, name)
    for line in _opening(plan):
        typer.echo(line)
    from ftl.data.fleet import read_fleet
    from ftl.tracking.lineage import lineage_of

    lineage = lineage_of(plan.whole, {plan.dataset: read_fleet(prepared)})
    with study_storage(storage or plan.folder.with_name(f"{name}.journal")) as where:
        opened = open_study(plan, where, fresh)
        opened.set_user_attr("lineage", lineage.key(plan.dataset))
        progress = _Progress(plan)
        for fact in run_study(plan, opened):
            progress.say(opened, fact)
        elsewhere = sum(trial.state.name == "RUNNING" for trial in opened.get_trials(deepcopy=False))
        if elsewhere:
            typer.echo(f"{elsewhere} trials of this study are running in another command; they are not in the result.")
        outcome = finish_study(plan, opened, out)
    _close(outcome, out, time.monotonic() - began)
    if track:
        _track(plan, outcome, out, lineage)


def _params(profile: str, assignments: list[str], options: dict[str, Any]) -> dict[str, Any]:
    from ftl.config import override, read_profile
    from ftl.tuning.settings import with_tune_section

    params = override(with_tune_section(read_profile(profile)), assignments)
    params.pop("datasets")
    given = {name: value for name, value in options.items() if value is not None}
    params["tune"] = {**params["tune"], **given}
    check(params)
    return params


def _prepared(fleet: Path, source: str | None, with_: list[str] | None, params: dict[str, Any], out: Path) -> Path:
    """The folder of the prepared fleet, which is made in OUT unless one is given."""
    from ftl.config import protocol_of, section
    from ftl.data.fleet import CARD_FILE, is_prepared, read_fleet

    if is_prepared(fleet):
        if source or with_:
            raise UserError(f"{fleet} is a prepared fleet; --source and --with belong to `ftl data prepare`")
        return fleet
    if out.resolve() == fleet.resolve():
        raise UserError(
            f"--out {out}: the node tables are there, and results would pass for nodes; give another folder"
        )
    from ftl.data.prepare import PrepareSettings, fleet_fingerprint, prepare_fleet
    from ftl.experiment.progress import node_progress

    telemetry = open_telemetry(fleet, source, with_)
    settings, protocol, folder = (
        section(params, "prepare", PrepareSettings),
        protocol_of(params),
        out / "stages" / "fleet",
    )
    if (folder / CARD_FILE).exists() and read_fleet(folder).fingerprint == fleet_fingerprint(
        telemetry, settings, protocol
    ):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made: {error.strerror}") from error
    with node_progress() as progress:
        prepare_fleet(telemetry, settings, protocol, folder, progress)
    return folder


def _space_name(params: dict[str, Any]) -> str:
    space = params["tune"]["space"]
    return space if isinstance(space, str) else "own"


def _opening(plan: "StudyPlan") -> list[str]:
    split = plan.split.description
    rows = (
        "the first test rows of each node, since no anomaly precedes them (the test is made on the later ones)"
        if plan.split.labels_from == "lent"
        else f"the last {split['validation_fraction']:.0%} of the rows before the test part"
    )
    study = f"Study {plan.name} on {plan.dataset} ({plan.origin}): {plan.settings.n_trials} trials"
    judged = f"{split['n_nodes_with_anomalies']} of {split['n_nodes']} nodes with an anomaly"
    return [
        f"{study} over {', '.join(sorted(plan.space.ranges))}.",
        f"Trials are judged on {rows}: {split['n_judged_rows']:,} rows, {judged}.",
    ]


class _Progress:
    """A line for a better trial, and one now and then."""

    def __init__(self, plan: "StudyPlan") -> None:
        self.plan, self.best, self.spoken = plan, float("-inf"), 0.0

    def say(self, study: Any, fact: Any) -> None:
        from ftl.tuning import best_trial

        best = best_trial(study)
        value = best.values[0] if best is not None and best.values else float("-inf")
        better = value > self.best
        now = time.monotonic()
        if better or now - self.spoken > SAY_SECONDS:
            self.spoken, self.best = now, value
            best_so_far = f"best {value:.4f} (trial {best.number})" if best is not None else "none complete yet"
            tried = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))
            latest = f"trial {fact.number} {fact.state.lower()}"
            typer.echo(f"{tried} of {self.plan.settings.n_trials} trials; {latest}; {best_so_far}", err=True)


def _close(outcome: "Outcome", out: Path, seconds: float) -> None:
    from ftl.tuning.page import verdict_sentences

    for sentence in verdict_sentences(outcome.content):
        typer.echo(sentence)
    typer.echo(
        f"Done in {seconds:.0f} s. Read {out / 'tuning.md'}; parameters: {out / 'best.yaml'}"
        + (f"; next: ftl run FLEET -p {out / 'best.yaml'} --out RESULTS" if outcome.overlay else "")
    )


def _track(plan: "StudyPlan", outcome: "Outcome", out: Path, lineage: "Lineage") -> None:
    from ftl.tracking import record_runs, tracking_uri
    from ftl.tracking.study_records import study_records

    records = study_records(outcome.content, plan.base, lineage, outcome.folder)
    sent = record_runs(records, tracking_uri(out), out)
    typer.echo(f"MLflow: {sent.n_sent} runs recorded" + (f"; {sent.warning}" if sent.warning else ""))
