"""Stage track: every summary cell as a run in MLflow."""

import json
from pathlib import Path

import pandas as pd

from ftl.config import Params
from ftl.data.fleet import read_fleet
from ftl.evaluation.results import read_results
from ftl.evaluation.summary import read_summary
from ftl.tracking import lineage_of, log_summary, tracking_uri
from pipelines.stage import run


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    fleets = {name: read_fleet(at / "fleets" / name) for name in params["datasets"]}
    lineage = lineage_of(params, fleets)
    run_ids = log_summary(
        read_summary(at / "summary.csv"),
        read_results(at / "results.parquet"),
        params,
        pd.read_csv(at / "rounds.csv"),
        lineage,
        tracking_uri(Path.cwd()),
    )
    (at / "tracked.json").write_text(
        json.dumps({"runs": len(run_ids), "params_hash": lineage.params_hash}, indent=1) + "\n"
    )
    print(f"{len(run_ids)} runs in MLflow; `make ui` shows them")


if __name__ == "__main__":
    run(main)
