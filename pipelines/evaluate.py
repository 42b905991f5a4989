"""Stage evaluate: scores of all datasets to the results table, the summary, the metrics and the report."""

import json
from pathlib import Path
from typing import Any

from ftl.config import Params, words
from ftl.data.fleet import read_fleet
from ftl.evaluation.headline import headline, overview_sentences, verdict_sentences
from ftl.evaluation.results import merge_results, write_results
from ftl.evaluation.summary import write_summary
from ftl.experiment.evaluate import evaluate_fleet, scored_stages, summarise_results
from ftl.experiment.rounds import read_rounds
from ftl.reporting.report import write_report
from pipelines.stage import run

METRICS = ("delta_f1", "delta_f1_vs_local_long", "auroc_best_arm", "auroc_best_baseline")


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    datasets = list(params["datasets"])
    fleets = {name: read_fleet(at / "fleets" / name) for name in datasets}
    results = merge_results(
        [
            evaluate_fleet(fleets[name], [at / stage / name for stage in scored_stages(words(params, "paradigms"))])
            for name in datasets
        ]
    )
    summary = summarise_results(results, fleets)
    rounds = read_rounds({name: at / "federated" / name for name in datasets})
    sentences = overview_sentences(summary)
    write_results(results, at / "results.parquet")
    write_summary(summary, at / "summary.csv")
    rounds.to_csv(at / "rounds.csv", index=False)
    write_metrics(headline(summary), at / "metrics")
    reports = {name: fleet.report for name, fleet in fleets.items()}
    write_report(at / "report", summary, results, rounds, reports, sentences, verdict_sentences(summary), params)
    print("\n".join(sentences))


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
