"""Stage transfer: targets receive the global models, and every arm is scored."""

from pathlib import Path

from ftl.config import Params
from ftl.experiment.transfer import transfer_stage
from pipelines.stage import WORK, run


def main(params: Params, fleet: str, local: str, federated: str, out: str) -> None:
    transfer_stage(params, Path(fleet), Path(local), Path(federated), Path(out), WORK)


if __name__ == "__main__":
    run(main)
