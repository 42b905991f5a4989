"""Where a source's labels, windows and columns are set, in words: in fleet.yaml, or with settings of its own."""

from __future__ import annotations

from dataclasses import dataclass

from ftl.data.node_table import TelemetrySource


@dataclass(frozen=True)
class SourceAdvice:
    """What to do where a source's labels, times or columns do not do; the defaults are those of node tables."""

    unlabelled: str = "name the label column under 'label' in fleet.yaml, if there is one"
    one_sided: str = "check how fleet.yaml maps the labels"
    swapped: str = "check that 'normal' and 'anomalous' are not swapped in fleet.yaml"
    leaking: str = "add them to 'ignore' in fleet.yaml"
    window: str = "correct window_minutes in fleet.yaml"
    clock: str = "time_unit in fleet.yaml is (seconds, milliseconds or steps)"
    column: str = "take the column out ('ignore' in fleet.yaml)"


_UNKNOWN = "reads Nagios' state 3 (unknown) as anomalous"
_RULES = "choose other reports with --with label=SERVICE, label=worst or label=nagiosdrained"
_NO_CLOCK = "the files are damaged: fetch them again"

_RAW = SourceAdvice(
    unlabelled=f"fetch the nagios plugin of these months, or {_RULES}; --with unknown_is_anomalous=true {_UNKNOWN}",
    one_sided=f"{_RULES}; --with unknown_is_anomalous=true {_UNKNOWN}",
    swapped=_RULES,
    leaking="name the metrics to use with --with metrics=[...]",
    window="choose another --with window_minutes=...",
    clock=_NO_CLOCK,
    column="name the metrics to use, without this one, with --with metrics=[...]",
)
_AGGREGATED = SourceAdvice(
    unlabelled=f"the label is the column 'value' of the release; --with unknown_is_anomalous=true {_UNKNOWN}",
    one_sided=f"bring more racks or nodes; --with unknown_is_anomalous=true {_UNKNOWN}",
    swapped="the label is the column 'value' of the release: 0 is normal; leave unknown_is_anomalous away",
    leaking="choose other --with statistics=[...]",
    window="the release has windows of 15 minutes; the files are of another release",
    clock=_NO_CLOCK,
    column="choose other --with statistics=[...], or leave nodes without it out with --with nodes=[...]",
)
_D1 = SourceAdvice(
    unlabelled="choose the other annotation with --with label_column=label or New_label",
    one_sided="choose the other annotation with --with label_column=label or New_label",
    swapped="choose the other annotation with --with label_column=label or New_label",
    leaking="leave them out with --with ignore=[...]",
    window="the dump is of another kind",
    clock=_NO_CLOCK,
    column="leave the column out with --with ignore=[...]",
)
_SIMULATED = SourceAdvice(
    unlabelled="simulate more windows (n_windows)",
    one_sided="simulate more windows (n_windows) or nodes (n_nodes)",
    column="simulate more windows (n_windows)",
)


def advice_for(source: TelemetrySource) -> SourceAdvice:
    """Where this source's labels, windows and columns are set."""
    from ftl.data.m100.aggregated import M100AggregatedSource
    from ftl.data.m100.d1 import M100D1Source
    from ftl.data.m100.raw import M100RawSource

    kinds = ((M100RawSource, _RAW), (M100AggregatedSource, _AGGREGATED), (M100D1Source, _D1))
    own = next((advice for kind, advice in kinds if isinstance(source, kind)), None)
    return own or (_SIMULATED if source.origin == "simulated" else SourceAdvice())
