"""What a user chooses out of a release: metrics by name or pattern, nodes by number; refused where nothing fits."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ftl.data.column_readers import could_be_label_or_index
from ftl.data.m100.layout import Layout
from ftl.data.m100.summary import some
from ftl.errors import ConfigError, TelemetryError


def choose_metrics(
    layout: Layout, plugins: Sequence[str], patterns: Sequence[str] | None, path: Path
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The metrics of each plugin in natural order, and those that are left out because they could be labels.

    Args:
        layout: What is there.
        plugins: Without ``_pub``.
        patterns: Names or patterns such as ``p?_core*_temp``; None takes all.
        path: Where it lies, for messages.

    Raises:
        TelemetryError: If these plugins have no metric in any chosen month.
        ConfigError: If a pattern matches nothing, or a metric is in two plugins.
    """
    months = layout.months.values()
    there = {plugin: {name for month in months for name in month.get(plugin, {})} for plugin in plugins}
    refused = sorted(name for found in there.values() for name in found if could_be_label_or_index(name))
    names = {plugin: sorted(found.difference(refused), key=_natural) for plugin, found in there.items()}
    if not any(names.values()):
        found = sorted({plugin for month in months for plugin in month})
        raise TelemetryError(
            f"{path}: no metric of {' or '.join(plugins)} in {', '.join(layout.months)}; "
            f"plugins that are there: {', '.join(found)}"
        )
    every = [name for found in names.values() for name in found]
    for pattern in patterns or ():
        if not fnmatch.filter(every, pattern):
            raise ConfigError(
                f"metrics: {pattern!r} matches no metric of {', '.join(plugins)}; there are {some(every, 20)}"
            )
    chosen = [name for name in every if patterns is None or any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    twice = sorted(name for name in chosen if chosen.count(name) > 1)
    if twice:
        raise ConfigError(f"metrics: {twice[0]!r} is a metric of {' and of '.join(plugins)}; choose one plugin")
    return {plugin: tuple(name for name in found if name in chosen) for plugin, found in names.items()}, tuple(refused)


def known(key: str, names: Sequence[str], choices: Collection[str]) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        ConfigError: If one is not among the choices, or none is given.
    """
    chosen = tuple(dict.fromkeys(names))
    strange = [name for name in chosen if name not in choices]
    if strange or not chosen:
        raise ConfigError(f"{key}: {some(strange) or 'none given'}: must be out of {', '.join(choices)}")
    return chosen


def node_numbers(nodes: Sequence[str | int]) -> tuple[int, ...]:
    """Node ids as numbers, ascending.

    Raises:
        ConfigError: If one is no number, or none is given.
    """
    strange = [node for node in nodes if not (str(node).isascii() and str(node).isdecimal())]
    if strange or not nodes:
        raise ConfigError(f"nodes: must be node numbers such as 17; got {some(strange) or 'none'}")
    return tuple(sorted({int(node) for node in nodes}))


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]
