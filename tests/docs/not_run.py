"""Commands of the documents that a test cannot run as they stand, and why; everything else is run."""

import re
from dataclasses import dataclass

from tests.docs.commands import ROOT, Command


@dataclass(frozen=True)
class NotRun:
    """A reason, and where the same is tested by other means (empty: nowhere)."""

    why: str
    tested_by: str = ""


ENVIRONMENT = NotRun("it makes or enters the environment in which the tests run", "docker/try.sh")
DOWNLOAD = NotRun("it asks Zenodo; the tests ask a server of their own", "tests/data/fetch/test_command.py")
SERVER = NotRun("it serves until Ctrl-C", "tests/tracking/test_ui.py")
MODEL_SERVER = NotRun("it serves until Ctrl-C", "tests/tracking/test_registry.py")
CONTAINER = NotRun("there is no container engine", "tests/test_compose.py")
PIPELINE = NotRun("it runs the whole pipeline", "tests/test_dvc_repro.py")
EXPERIMENT = NotRun("it runs the whole pipeline", "tests/docs/test_dvc_experiment.py")
TESTS = NotRun("it runs the tests", "tests/benchmarks")
ELSEWHERE = NotRun("it fetches from a repository of somebody's own, or from Zenodo")
HOURS = NotRun("it made a page of results once, in hours", "tests/experiment/test_fleet_run.py")
MINUTES = NotRun("it made the tables of its page once, in minutes", "tests/studies/labels")
REAL_DATA = NotRun("it reads recordings that do not come with the repository", "tests/data/simulation")

NOT_RUN: dict[str, NotRun] = {
    r"make setup|source \.venv/bin/activate": ENVIRONMENT,
    r"make (test|bench)": TESTS,
    r"make repro.*|dvc repro": PIPELINE,
    r"make ui|ftl ui( .*)?": SERVER,
    r"dvc (exp run|exp show|metrics diff).*|git add dvc\.lock|git commit -m baseline": EXPERIMENT,
    r"dvc (import|import-url|update) .*": ELSEWHERE,
    r"mlflow models serve .*": MODEL_SERVER,
    r"ftl data fetch .*": DOWNLOAD,
    r"docker compose .*": CONTAINER,
    r"ftl study labels (\.\./shared/data|artifacts/fleets)/.*": MINUTES,
    r"python scripts/simulator_page\.py --real .*": REAL_DATA,
}
"""Whole commands, as patterns."""

PAGES_OF_RESULTS: dict[str, NotRun] = {"docs/results/paper_literal.md": HOURS}
"""Pages that tell how long results were made."""


def reason_not_to_run(command: Command) -> NotRun | None:
    """The reason why this command is not run; None: it is."""
    if command.page in PAGES_OF_RESULTS:
        return PAGES_OF_RESULTS[command.page]
    return next((reason for pattern, reason in NOT_RUN.items() if re.fullmatch(pattern, command.text)), None)


def is_there(path: str) -> bool:
    """Is what tests it in the repository?"""
    return not path or (ROOT / path).exists()
