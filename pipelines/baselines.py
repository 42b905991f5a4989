"""Stage baselines: the classical detectors, under the same protocol."""

from pathlib import Path

from ftl.config import Params, section, words
from ftl.data.fleet import read_fleet
from ftl.detection.settings import DetectionSettings
from ftl.experiment.classical import baseline_units
from ftl.experiment.seeds import seeds_of
from ftl.experiment.units import run_stage
from pipelines.stage import WORK, run


def main(params: Params, fleet: str, out: str) -> None:
    names, seeds, detection = (
        words(params, "baselines"),
        seeds_of(params),
        section(params, "detection", DetectionSettings),
    )
    opened = read_fleet(Path(fleet))
    units = baseline_units(Path(fleet), names, seeds, detection)
    run_stage(f"baselines {opened.name}", units, Path(out), WORK, opened.fingerprint, names, seeds, detection)


if __name__ == "__main__":
    run(main)
