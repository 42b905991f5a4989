"""Stage local: every node trains its own models, and is ranked."""

from pathlib import Path

from ftl.config import Params
from ftl.experiment.local import local_stage
from pipelines.stage import WORK, run


def main(params: Params, fleet: str, out: str) -> None:
    local_stage(params, Path(fleet), Path(out), WORK)


if __name__ == "__main__":
    run(main)
