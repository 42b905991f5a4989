"""Stage baselines: the classical detectors, under the same protocol."""

from pathlib import Path

from ftl.config import Params
from ftl.experiment.classical import baseline_stage
from pipelines.stage import WORK, run


def main(params: Params, fleet: str, out: str) -> None:
    baseline_stage(params, Path(fleet), Path(out), WORK)


if __name__ == "__main__":
    run(main)
