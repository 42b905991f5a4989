"""The classical baselines as a stage: scored on the same rows as the unsupervised models."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ftl.baselines.run import BASELINES, run_baselines
from ftl.config import section, words
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings, ScoringSettings
from ftl.errors import ConfigError
from ftl.experiment.progress import UnitReport
from ftl.experiment.scored import ScoredNode, ScoredWriter, write_components
from ftl.experiment.seeds import seeds_of
from ftl.experiment.units import Unit, run_stage


def baseline_units(fleet: Path, names: tuple[str, ...], seeds: tuple[int, ...], scoring: ScoringSettings) -> list[Unit]:
    """One unit per baseline.

    Raises:
        ConfigError: If a name is unknown.
    """
    for name in names:
        if name not in BASELINES:
            raise ConfigError(f"baselines: unknown {name!r}; known: {', '.join(BASELINES)}")
    return [Unit(name, partial(score_baseline, fleet, name, seeds, scoring)) for name in names]


def baseline_stage(params: Mapping[str, Any], fleet: Path, out: Path, work: Path) -> None:
    """Fit and score the baselines that the parameters name."""
    names, seeds = words(params, "baselines"), seeds_of(params)
    scoring, opened = section(params, "detection", DetectionSettings).scoring, read_fleet(fleet)
    units = baseline_units(fleet, names, seeds, scoring)
    run_stage(f"baselines {opened.name}", units, out, work, opened.fingerprint, names, seeds, scoring)


def score_baseline(
    fleet: Path, name: str, seeds: tuple[int, ...], scoring: ScoringSettings, folder: Path, report: UnitReport
) -> None:
    """Fit one baseline to every node and score the node's test rows; results stand under the unsupervised paradigm."""
    opened = read_fleet(fleet)
    n_nodes = len(opened.node_ids)
    n_components: int | None = None
    with ScoredWriter(folder) as writer:
        for done, scored in enumerate(run_baselines(opened, [name], seeds, scoring), start=1):
            report(name, done, n_nodes * len(seeds))
            n_components = scored.n_components
            writer.write(
                [
                    ScoredNode(
                        paradigm="unsupervised",
                        seed=scored.seed,
                        arm=name,
                        policy=None,
                        n_participants=None,
                        draw=None,
                        role=None,
                        node=scored.node,
                        scores=scored.score.astype(np.float32),
                        earlier=scored.earlier.astype(np.float32),
                        earlier_rows=scored.earlier_rows,
                        n_train_rows=scored.n_train_rows,
                        n_train_steps=0,
                        training_seconds=scored.train_seconds,
                    )
                ]
            )
    if n_components is not None:
        write_components(folder, n_components)
