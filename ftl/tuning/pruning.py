"""When a trial is given up: between rounds against the median of finished trials, between nodes against the best one.

Optuna's pruners decide, on a study in memory that holds what was known when the trial was proposed: so a decision does
not depend on which worker happens to be faster.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NODE_STEP = 1_000_000
"""Reports of rounds stand at the round's number, reports of nodes at NODE_STEP plus the node's position."""

STARTUP_TRIALS = 4  # finished trials before a median means something
P_THRESHOLD = 0.1


@dataclass(frozen=True)
class Rivals:
    """Finished trials, to which a running one is compared; larger values are better.

    Attributes:
        rounds: Of each finished trial, the value reported at each of its rungs.
        best: The best one's values by node; empty where there is none.
        prune_rounds, prune_nodes: Where a trial may be given up.
    """

    rounds: tuple[Mapping[int, float], ...] = ()
    best: Mapping[int, float] | None = None
    prune_rounds: bool = False
    prune_nodes: bool = False

    def too_bad_after(self, reports: Sequence[tuple[int, float]]) -> bool:
        """Whether a trial with these values, by round, is worse than the median at its last rung."""
        from optuna.pruners import MedianPruner

        pruner = MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=0)
        return self.prune_rounds and _should_prune(pruner, self.rounds, dict(reports))

    def worse_on_nodes(self, values: Mapping[int, float]) -> bool:
        """Whether a trial with these values, by node, is worse than the best trial on the same nodes (Wilcoxon)."""
        from optuna.pruners import WilcoxonPruner

        if not self.prune_nodes or not self.best:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nodes that the best trial does not have, and of being experimental
            pruner = WilcoxonPruner(p_threshold=P_THRESHOLD, n_startup_steps=4)
            return _should_prune(pruner, [self.best], values)


def _should_prune(pruner: object, finished: Sequence[Mapping[int, float]], reports: Mapping[int, float]) -> bool:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", pruner=pruner)  # type: ignore[arg-type]
    for values in finished:
        value = sum(values.values()) / len(values) if values else 0.0
        study.add_trial(optuna.trial.create_trial(value=value, intermediate_values=dict(values)))
    trial = study.ask()
    for step, value in reports.items():
        trial.report(value, step)
    return trial.should_prune()
