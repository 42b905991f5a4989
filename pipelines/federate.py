"""Stage federate: cohorts are chosen and train their global models."""

from pathlib import Path

from ftl.config import Params
from ftl.experiment.federated import federated_stage
from pipelines.stage import WORK, run


def main(params: Params, fleet: str, local: str, out: str) -> None:
    federated_stage(params, Path(fleet), Path(local), Path(out), WORK)


if __name__ == "__main__":
    run(main)
