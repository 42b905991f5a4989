"""A study before it begins: the fleets it may see, the parameters it starts from and what it may vary."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftl.config import Params, overlay, protocol_of, read_profile
from ftl.data.fleet import Fleet, read_fleet
from ftl.errors import ConfigError
from ftl.experiment.alarms import seconds_per_unit
from ftl.experiment.checks import check_params
from ftl.experiment.tuning_split import TuningSplit, split_for_tuning
from ftl.experiment.units import digest
from ftl.learning.paradigms import PARADIGMS
from ftl.tuning.settings import TuneSettings, tune_settings, with_tune_section
from ftl.tuning.space import Space, Value, space_of
from ftl.tuning.trial import Trials

CHANGES_NOTHING = ("enabled", "n_trials", "n_workers")
"""Settings that a study taken up again may have changed."""


@dataclass(frozen=True)
class StudyPlan:
    """All that a study's result depends on.

    Attributes:
        name: The study's.
        folder: Where its fleets and stages are kept.
        whole: The parameters as they were given.
        base: Those that trials vary: one paradigm, one policy and number of participants, no baseline.
        enqueued: Values that are tried first, and why: the ones of the parameters now, then the paper's.
    """

    name: str
    folder: Path
    dataset: str
    origin: str
    protocol: str
    settings: TuneSettings
    space: Space
    split: TuningSplit
    whole: Params
    base: Params
    enqueued: tuple[tuple[str, dict[str, Value]], ...]

    @property
    def trials(self) -> Trials:
        """What trials share; they are given the tuning fleet and nothing else."""
        return _trials(self.split.tuning, self.folder / "stages", self.base, self.space)

    def final(self) -> Trials:
        """The same on the fleet of the final test, with all seeds of the parameters."""
        base = {**self.base, "seeds": list(self.whole["seeds"])}
        return _trials(self.split.final, self.folder / "final-stages", base, self.space)

    def facts(self) -> dict[str, Any]:
        """What makes it this study and not another one of the same name, by parameter."""
        settings = {name: value for name, value in asdict(self.settings).items() if name not in CHANGES_NOTHING}
        base = {name: value for name, value in self.base.items() if name != "tune"}
        flat = {
            f"{name}.{key}": v for name, part in base.items() if isinstance(part, Mapping) for key, v in part.items()
        }
        flat |= {name: value for name, value in base.items() if not isinstance(value, Mapping)}
        flat |= {f"tune.{name}": value for name, value in settings.items()}
        flat |= {f"tune.space.{key}": value for key, value in self.space.described().items()}
        data = read_fleet(self.split.tuning).fingerprint[:16]
        return json.loads(json.dumps(flat | {"data": data}))

    def fingerprint(self) -> str:
        return digest(self.facts())


def _trials(fleet: Path, store: Path, base: Params, space: Space) -> Trials:
    return Trials(fleet, store, base, space.varies_cohort, read_fleet(fleet).fingerprint)


def plan_study(params: Mapping[str, Any], fleet: Path, out: Path, name: str) -> StudyPlan:
    """Check everything, and cut the fleet in two.

    Args:
        params: All parameters, the section `tune` among them or left to its defaults.
        fleet: A prepared fleet's folder; only read.
        out: The study is kept in ``out/tune``.
        name: Of the study; a word that may be a file's name.

    Raises:
        ConfigError: If parameters are wrong, or the fleet has nothing to be tuned on.
    """
    if not name or any(sign in name for sign in "/\\") or name.startswith("."):
        raise ConfigError(f"--study must be a word that can be a file's name; got {name!r}")
    whole = {key: value for key, value in with_tune_section(params).items() if key != "datasets"}
    settings = tune_settings(whole)
    check_params(whole)
    opened = read_fleet(fleet)
    if opened.protocol != protocol_of(whole):
        raise ConfigError(
            f"{fleet} was prepared under protocol {opened.protocol!r}, this study asks for {whole['protocol']!r}; "
            f"run with -S protocol={opened.protocol}, or prepare it again"
        )
    whole["prepare"] = opened.report["settings"]
    if settings.objective == "f1_at_budget" and seconds_per_unit(opened) is None:
        raise ConfigError(
            "tune.objective: f1_at_budget counts alarms by the day, and the fleet's time is in steps of unknown "
            "length; say the length of a window (window_seconds in fleet.yaml), or choose another objective"
        )
    folder = out / "tune" / name
    keep_lent = PARADIGMS[settings.paradigm].needs_labels
    split = split_for_tuning(
        fleet, folder / "fleets", settings.labels_from, settings.validation_fraction, keep_lent=keep_lent
    )
    tuning = read_fleet(split.tuning)
    space = space_of(whole, len(tuning.node_ids), seconds_per_unit(opened) is not None)
    base = base_params(whole, settings, len(tuning.node_ids))
    return StudyPlan(
        name=name,
        folder=folder,
        dataset=opened.name,
        origin=opened.origin,
        protocol=opened.protocol,
        settings=settings,
        space=space,
        split=split,
        whole=whole,
        base=base,
        enqueued=_enqueued(base, space, opened, settings.paradigm),
    )


def base_params(whole: Params, settings: TuneSettings, n_nodes: int) -> Params:
    """The parameters of trials: of several cohorts the headline's, of paradigms and arms what is judged."""
    select = whole["select"]
    policy = "top_n" if "top_n" in select["policies"] else select["policies"][0]
    sizes = sorted(n for n in select["n_participants"] if n < n_nodes)
    if not sizes:
        raise ConfigError(
            f"select.n_participants must be below the number of nodes to tune on, so that a target remains: there are "
            f"{n_nodes}; got {', '.join(map(str, select['n_participants']))}"
        )
    return {
        **whole,
        "paradigms": [settings.paradigm],
        "seeds": list(whole["seeds"])[: settings.n_seeds],
        "baselines": [],
        "select": {**select, "policies": [policy], "n_participants": [sizes[(len(sizes) - 1) // 2]]},
        "transfer": {**whole["transfer"], "arms": ["zero_shot"]},
    }


def overlay_of(plan: StudyPlan, values: Mapping[str, Value]) -> Params:
    """The parameters that a trial changes, as a profile that lies over the study's own.

    Values that do nothing (settings of a rule of thresholds that is not used) and values that are as they were are not
    in it.
    """
    applied = plan.space.applied(plan.base, values)
    now = plan.space.values_of(plan.base, plan.protocol, plan.settings.paradigm)
    changed: Params = {}
    for key, value in sorted(plan.space.read_keys(values).items()):
        if key in now and now[key] == value and type(now[key]) is type(value):
            continue
        section, leaf = key.split(".", 1)
        changed.setdefault(section, {})[leaf] = applied[section][leaf]
    return changed


def _enqueued(base: Params, space: Space, fleet: Fleet, paradigm: str) -> tuple[tuple[str, dict[str, Value]], ...]:
    """The first trials: the parameters now, if all of them lie in the space, and with the paper's where those do."""
    now = space.values_of(base, fleet.protocol, paradigm)
    first = [("baseline", now)] if now.keys() == space.ranges.keys() else []
    paper = with_tune_section(overlay(base, {k: v for k, v in _paper().items() if k in base}))
    printed = now | space.values_of(paper, "paper", paradigm)
    if printed.keys() == space.ranges.keys() and printed != now:
        first.append(("paper", printed))
    return tuple(first)


def _paper() -> Params:
    return {key: value for key, value in read_profile("paper").items() if key not in ("datasets", "tune")}
