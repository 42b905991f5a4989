"""What a study may vary: names of parameters, as in params.yaml, and a range of values for each."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftl.config import Params, read_profile
from ftl.detection.settings import DetectionSettings
from ftl.detection.thresholds import threshold_name
from ftl.errors import ConfigError
from ftl.experiment.checks import check_params
from ftl.tuning.named_spaces import ARM_IDLE_KEYS, RULE_KEYS, named_spaces
from ftl.tuning.settings import DEFAULT_SPACE, tune_settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

TRAINING_SECTIONS = ("model", "training", "optimizer", "supervision", "local", "select", "federate", "transfer")
SECTIONS = (*TRAINING_SECTIONS, "detection")
RANGE_WORDS = ("low", "high", "log", "step")
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; whole numbers if ``whole``."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def extremes(self) -> tuple[Value, ...]:
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-9


@dataclass(frozen=True)
class Choices:
    """One of these words or numbers."""

    values: tuple[Value, ...]

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def extremes(self) -> tuple[Value, ...]:
        return self.values

    def __contains__(self, value: Any) -> bool:
        return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in self.values)


@dataclass(frozen=True)
class Space:
    """Ranges by the names of parameters, ``section.key``."""

    ranges: Mapping[str, Range | Choices]

    @property
    def trains(self) -> bool:
        """Whether trials differ in more than how stored scores become alarms."""
        return any(not key.startswith("detection.") or key in _SCORING for key in self.ranges)

    @property
    def varies_cohort(self) -> bool:
        """Whether trials may have different participants, hence different targets."""
        return any(key.startswith("select.") for key in self.ranges)

    def distributions(self) -> dict[str, BaseDistribution]:
        return {key: self.ranges[key].distribution() for key in sorted(self.ranges)}

    def applied(self, params: Mapping[str, Any], values: Mapping[str, Value]) -> Params:
        """The parameters with a trial's values; a list of parameters takes the value as its one element."""
        result = dict(params)
        for key, value in values.items():
            name, leaf = key.split(".", 1)
            old = result[name][leaf]
            result[name] = {**result[name], leaf: [value] if isinstance(old, list | tuple) else value}
        return result

    def values_of(self, params: Mapping[str, Any], protocol: str, paradigm: str) -> dict[str, Value]:
        """The values that parameters have now; those that are outside of their range are left out."""
        found = {key: _value(params, key, protocol, paradigm) for key in self.ranges}
        return {key: value for key, value in found.items() if value in self.ranges[key]}

    def read_keys(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of a trial's values that do something: not the settings of rules and arms that it does not use."""
        rule, idle = values.get("detection.threshold"), set(ARM_IDLE_KEYS.get(str(values.get("tune.arm")), ()))
        if rule is not None:
            idle |= {key for keys in RULE_KEYS.values() for key in keys} - set(RULE_KEYS[str(rule)])
        return {key: value for key, value in values.items() if key not in idle}

    def described(self) -> dict[str, Any]:
        """The ranges as params.yaml has them."""
        return {key: _described(of_key) for key, of_key in sorted(self.ranges.items())}


_SCORING = ("detection.score", "detection.variance_floor", "detection.variance_shrinkage")


def space_of(params: Mapping[str, Any], n_nodes: int, has_days: bool) -> Space:
    """The space that `tune.space` describes or names, every value in it checked.

    Args:
        params: All parameters.
        n_nodes: Nodes of the fleet; cohorts must leave a target.
        has_days: Whether the length of a telemetry window is known, so that alarms can be counted by the day.

    Raises:
        ConfigError: If a key is unknown, or a range is wrong or holds a value that the parameter may not have.
    """
    wanted = params.get("tune", {}).get("space", DEFAULT_SPACE)
    if isinstance(wanted, str):
        named = named_spaces(params, n_nodes, has_days)
        if wanted not in named:
            raise ConfigError(
                f"tune.space: unknown {wanted!r}; known: {', '.join(named)}, or ranges by key, such as "
                "{detection.percentile: {low: 90, high: 99.9}}"
            )
        wanted = named[wanted]
    if not isinstance(wanted, Mapping) or not wanted:
        raise ConfigError(f"tune.space must be a name or hold ranges by key; got {wanted!r}")
    space = Space({str(key): _parsed(params, str(key), of_key) for key, of_key in wanted.items()})
    for key, of_key in space.ranges.items():
        for value in of_key.extremes():
            _check(space, params, key, value, n_nodes)
    return space


def check_tune(params: Mapping[str, Any]) -> None:
    """Refuse a wrong section `tune`, as far as that can be told without a fleet.

    Raises:
        ConfigError: Naming the key.
    """
    tune_settings(params)
    apart = {name: value for name, value in params.items() if name != "datasets"}  # no parameter of a trial
    space_of(apart, n_nodes=sys.maxsize, has_days=True)


def _parsed(params: Mapping[str, Any], key: str, spec: Any) -> Range | Choices:
    section, _, leaf = key.partition(".")
    known = [f"{name}.{inner}" for name in SECTIONS for inner in params.get(name, {})] + ["tune.arm"]
    if key not in known:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; sections that can be tuned: {', '.join(SECTIONS)}"
        raise ConfigError(f"tune.space: unknown key {key!r}{hint}")
    if not isinstance(spec, Mapping):
        raise ConfigError(f"tune.space.{key} must be {{low: .., high: ..}} or {{choices: [..]}}; got {spec!r}")
    if set(spec) == {"choices"}:
        return _choices(key, spec["choices"])
    unknown = [word for word in spec if word not in RANGE_WORDS]
    if unknown or "low" not in spec or "high" not in spec:
        raise ConfigError(f"tune.space.{key} takes low, high, log and step, or choices alone; got {dict(spec)!r}")
    return _range(key, spec, _element(_as_shipped(params, section, leaf)) if section != "tune" else None)


def _as_shipped(params: Mapping[str, Any], section: str, leaf: str) -> Any:
    """The value in the default profile, which tells a number's kind: `-S detection.smoothing_half_life=3` does not."""
    return read_profile("default").get(section, {}).get(leaf, params[section][leaf])


def _choices(key: str, values: Any) -> Choices:
    if not isinstance(values, list | tuple) or not values:
        raise ConfigError(f"tune.space.{key}: choices must be a list of values; got {values!r}")
    if not all(value is None or isinstance(value, str | int | float | bool) for value in values):
        raise ConfigError(f"tune.space.{key}: choices must be words or numbers; got {list(values)!r}")
    if len(set(values)) < len(values):
        raise ConfigError(f"tune.space.{key}: a choice stands twice in {list(values)!r}")
    return Choices(tuple(values))


def _range(key: str, spec: Mapping[str, Any], now: Any) -> Range:
    low, high, log, step = spec["low"], spec["high"], spec.get("log", False), spec.get("step")
    numbers = [low, high, *([] if step is None else [step])]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers):
        raise ConfigError(f"tune.space.{key}: low, high and step must be numbers; got {dict(spec)!r}")
    if not isinstance(log, bool):
        raise ConfigError(f"tune.space.{key}: log must be true or false; got {log!r}")
    if isinstance(now, str | bool):
        raise ConfigError(f"tune.space.{key} is {now!r} now, no number; give {{choices: [..]}}")
    whole = isinstance(now, int) or (now is None and all(isinstance(value, int) for value in numbers))
    if whole and not all(isinstance(value, int) for value in numbers):
        raise ConfigError(f"tune.space.{key} is a whole number; got {dict(spec)!r}")
    if not low < high:
        raise ConfigError(f"tune.space.{key}: low must be below high; got low {low!r}, high {high!r}")
    if log and (low <= 0 or step is not None):
        raise ConfigError(f"tune.space.{key}: log needs low > 0 and no step; got {dict(spec)!r}")
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(f"tune.space.{key}: step must be in (0, high - low]; got {step!r}")
    if step is not None:
        high = low + int((high - low) / step + 1e-9) * step  # the last step that is inside
    return Range(low, high, log, step, whole)


def _check(space: Space, params: Mapping[str, Any], key: str, value: Value, n_nodes: int) -> None:
    try:
        applied = space.applied(params, {key: value})
        check_params(applied)
        tune_settings(applied)
    except ConfigError as error:
        raise ConfigError(f"tune.space.{key}: {error}") from error
    if key == "select.n_participants" and isinstance(value, int) and value >= n_nodes:
        raise ConfigError(
            f"tune.space.{key}: {value} participants leave no target: the fleet has {n_nodes} nodes to tune on"
        )


def _element(value: Any) -> Any:
    """The one element that a trial would have, of a list of them."""
    return value[0] if isinstance(value, list | tuple) and value else value


def _value(params: Mapping[str, Any], key: str, protocol: str, paradigm: str) -> Value:
    section, leaf = key.split(".", 1)
    value = params[section][leaf]
    if key == "detection.threshold":
        return threshold_name(protocol, paradigm, DetectionSettings(threshold=value))
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 1 else None
    return value


def _described(of_key: Range | Choices) -> dict[str, Any]:
    if isinstance(of_key, Choices):
        return {"choices": list(of_key.values)}
    low, high = of_key.extremes()
    words: dict[str, Any] = {"low": low, "high": high}
    return words | ({"log": True} if of_key.log else {}) | ({"step": of_key.step} if of_key.step else {})
