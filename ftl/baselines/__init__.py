"""Classical detectors under the same protocol as the deep models."""

from ftl.baselines.run import BASELINES, Baseline, ScoredNode, run_baselines

__all__ = ["BASELINES", "Baseline", "ScoredNode", "run_baselines"]
