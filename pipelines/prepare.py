"""Stage prepare: a source of telemetry to a prepared fleet."""

from pathlib import Path

from ftl.config import Params, dataset_spec, protocol_of, section
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.prepare_report import describe_report
from ftl.data.sources import open_source
from ftl.experiment.measured import measured
from ftl.experiment.progress import node_progress
from pipelines.stage import run


def main(params: Params, dataset: str, out: str, cost_file: str) -> None:
    source = open_source(dataset, dataset_spec(params, dataset))
    settings = section(params, "prepare", PrepareSettings)
    with measured(Path(cost_file)), node_progress() as progress:
        fleet = prepare_fleet(source, settings, protocol_of(params), Path(out), progress)
    print("\n".join(describe_report(fleet.report)))


if __name__ == "__main__":
    run(main)
