"""The classical baselines as a stage: scored on the same rows as the unsupervised models."""

from functools import partial
from pathlib import Path

from ftl.baselines.run import BASELINES, run_baselines
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.errors import ConfigError
from ftl.experiment.progress import UnitReport
from ftl.experiment.scored import ScoredNode, ScoredWriter
from ftl.experiment.units import Unit


def baseline_units(
    fleet: Path, names: tuple[str, ...], seeds: tuple[int, ...], detection: DetectionSettings
) -> list[Unit]:
    """One unit per baseline.

    Raises:
        ConfigError: If a name is unknown.
    """
    for name in names:
        if name not in BASELINES:
            raise ConfigError(f"baselines: unknown {name!r}; known: {', '.join(BASELINES)}")
    return [Unit(name, partial(score_baseline, fleet, name, seeds, detection)) for name in names]


def score_baseline(
    fleet: Path, name: str, seeds: tuple[int, ...], detection: DetectionSettings, folder: Path, report: UnitReport
) -> None:
    """Fit one baseline to every node and score the node's test rows; results stand under the unsupervised paradigm."""
    opened = read_fleet(fleet)
    n_nodes = len(opened.node_ids)
    with ScoredWriter(folder) as writer:
        for done, scored in enumerate(run_baselines(opened, [name], seeds, detection), start=1):
            report(name, done, n_nodes * len(seeds))
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
                        threshold=scored.threshold,
                        scores=scored.score,
                        n_train_rows=scored.n_train_rows,
                        n_train_steps=0,
                        training_seconds=scored.train_seconds,
                    )
                ]
            )
