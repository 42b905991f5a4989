"""Stage evaluate: scores of all datasets to the results table, the summary and all tables beside them."""

import json
from pathlib import Path
from typing import Any

from ftl.config import Params
from ftl.evaluation.headline import headline, overview_sentences
from ftl.experiment.results_folder import FleetFolders
from ftl.experiment.results_writer import write_results_folder
from pipelines.stage import run

METRICS = ("delta_f1", "delta_f1_vs_local_long", "auroc_best_arm", "auroc_best_baseline")


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    tables = write_results_folder(at, {name: FleetFolders.below(at, name) for name in params["datasets"]}, params)
    write_metrics(headline(tables.summary), at / "metrics")
    print("\n".join(overview_sentences(tables.summary)))


def write_metrics(protocols: dict[str, Any], folder: Path) -> None:
    """What `dvc metrics` compares, a file for every dataset and paradigm: `dvc metrics show` makes a row of each."""
    folder.mkdir(exist_ok=True)
    for datasets in protocols.values():  # one: params.yaml names the protocol
        for dataset, paradigms in datasets.items():
            for paradigm, numbers in paradigms.items():
                few = {name: numbers[name] for name in METRICS}
                (folder / f"{dataset}_{paradigm}.json").write_text(json.dumps(few, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
