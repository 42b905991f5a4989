"""Stage detectors: of every paradigm, the arm that did best before the test part, as a model folder."""

import shutil
from pathlib import Path

from ftl.config import Params, dataset_names
from ftl.data.fleet import read_fleet
from ftl.experiment.detectors import export_detectors
from ftl.tracking.lineage import lineage_of
from pipelines.stage import run


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    shutil.rmtree(at / "detectors", ignore_errors=True)
    for dataset in dataset_names(params):
        fleet, (local, federated, transfer) = (
            at / "fleets" / dataset,
            (at / stage / dataset for stage in ("local", "federated", "transfer")),
        )
        lineage = lineage_of(params, {dataset: read_fleet(fleet)}).tags(dataset)
        folders = export_detectors(fleet, local, federated, transfer, params, at / "detectors" / dataset, lineage)
        print(f"{dataset}: {', '.join(folders)}")


if __name__ == "__main__":
    run(main)
