"""The seeds of an experiment."""

from collections.abc import Mapping
from typing import Any

from ftl.config import numbers
from ftl.errors import ConfigError


def seeds_of(params: Mapping[str, Any]) -> tuple[int, ...]:
    """The ``seeds``: different whole numbers >= 0."""
    seeds = numbers(params, "seeds")
    if not seeds or len(set(seeds)) < len(seeds) or any(seed < 0 for seed in seeds):
        raise ConfigError(f"seeds must list different numbers >= 0; got {list(seeds)!r}")
    return seeds
