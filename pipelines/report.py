"""Stage report: the page, the tables and the figures of all datasets."""

from pathlib import Path

from ftl.config import Params
from ftl.reporting.report import write_report
from ftl.reporting.run_tables import read_run
from pipelines.stage import run


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    print(f"Read {write_report(at / 'report', read_run(at))}")


if __name__ == "__main__":
    run(main)
