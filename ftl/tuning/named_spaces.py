"""The spaces that have a name: threshold, cohort, training, and all of them."""

from collections.abc import Mapping
from typing import Any

from ftl.experiment.settings import DECODER_INITS
from ftl.tuning.settings import ARMS, tune_settings

RULE_KEYS = {
    "percentile": ("detection.percentile",),
    "conformal": ("detection.conformal_alpha",),
    "pot": ("detection.pot_level", "detection.pot_risk"),
    "alarm_budget": ("detection.alarms_per_node_day",),
    "federated_summary": ("detection.summary_spread",),
    "fixed": ("detection.fixed_threshold",),
    "fixed_on_scaled": ("detection.fixed_threshold",),
    "fleet_percentile": ("detection.percentile",),
    "trailing": ("detection.percentile", "detection.trailing_days", "detection.trailing_lag_hours"),
    "trailing_fleet": ("detection.percentile", "detection.trailing_days", "detection.trailing_lag_hours"),
}
"""Rules of thresholds, and the parameters that each of them reads."""
ARM_IDLE_KEYS = {
    "zero_shot": ("transfer.n_epochs", "transfer.decoder_init"),
    "full_fine_tune": ("transfer.decoder_init",),
}
"""Parameters that an arm does not read."""
TRIED_RULES = ("percentile", "conformal", "pot", "alarm_budget", "federated_summary")
"""The rules of the space `threshold`; a fixed number means the same on all nodes for probabilities alone."""
RULE_RANGES: dict[str, dict[str, Any]] = {
    "detection.percentile": {"low": 95.0, "high": 99.95},
    "detection.conformal_alpha": {"low": 5e-4, "high": 0.05, "log": True},
    "detection.pot_risk": {"low": 1e-5, "high": 1e-2, "log": True},
    "detection.alarms_per_node_day": {"low": 0.05, "high": 5.0, "log": True},
    "detection.summary_spread": {"low": 1.0, "high": 10.0},
    "detection.fixed_threshold": {"low": 0.05, "high": 0.95},
}


def named_spaces(params: Mapping[str, Any], n_nodes: int, has_days: bool) -> dict[str, dict[str, Any]]:
    """The spaces that have a name, as params.yaml would have them."""
    tried = ("fixed", *TRIED_RULES) if tune_settings(params).paradigm == "supervised" else TRIED_RULES
    rules = [rule for rule in tried if has_days or rule != "alarm_budget"]
    keys = {key for rule in rules for key in RULE_KEYS[rule]} & RULE_RANGES.keys()
    threshold = {
        "detection.threshold": {"choices": rules},
        **{key: RULE_RANGES[key] for key in sorted(keys)},
        "detection.smoothing_half_life": {"low": 0.0, "high": 12.0, "step": 1.0},
    }
    sizes = [n for n in params["select"]["n_participants"] if n < n_nodes] or [max(1, n_nodes // 2)]
    cohort = {
        "select.n_participants": {"choices": sizes},
        "select.policies": {"choices": list(params["select"]["policies"])},
    }
    training = {
        "optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "federate.n_rounds": {"low": 1, "high": 10},
        "transfer.n_epochs": {"low": 1, "high": 5},
        "transfer.decoder_init": {"choices": list(DECODER_INITS)},
        "tune.arm": {"choices": list(ARMS)},
    }
    return {
        "threshold": threshold,
        "cohort": cohort,
        "training": training,
        "all": {**threshold, **cohort, **training},
    }
