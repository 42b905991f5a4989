"""`dvc repro` on a tiny fleet, in a copy of this checkout: it does nothing twice, and survives being killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ftl.config import override, read_profile
from ftl.evaluation.results import read_results, results_digest

pytestmark = pytest.mark.slow

CODE = ("ftl", "pipelines", ".dvc/config", ".dvc/.gitignore", ".dvcignore", "dvc.yaml")
DATASET = "d1"
SETTINGS = [
    "paradigms=[unsupervised, semi_supervised]",
    "seeds=[0]",
    "baselines=[random]",
    "training.max_steps_per_epoch=5",
    "select.n_participants=[2]",
    "select.n_draws=1",
    "transfer.arms=[zero_shot, transfer]",
]
LIMIT = 120  # seconds for a repro that should take ten


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout with its own parameters, outs and DVC cache."""

    path: Path

    def repro(self, *arguments: str) -> str:
        """What a finished `dvc repro` printed."""
        done = subprocess.run(
            self._command(*arguments),
            env=self._environment(),
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def asked(self, assignment: str) -> str:
        """What `dvc repro` says that it would do with other parameters."""
        self.set(assignment)
        try:
            return self.repro("--dry", "evaluate")
        finally:
            self.set()

    def killed_repro(self, when: Callable[[], bool]) -> None:
        """Starts `dvc repro` and kills it with all its processes at that moment."""
        command = subprocess.Popen(
            self._command(),
            env=self._environment(),
            cwd=self.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + LIMIT
            while not when():
                assert command.poll() is None, "dvc repro ended before it could be killed"
                assert time.monotonic() < end, "waited in vain for the moment to kill"
                time.sleep(0.005)
        finally:
            os.killpg(command.pid, signal.SIGKILL)
            command.wait()

    def set(self, *assignments: str) -> None:
        params = read_profile("smoke")
        params["datasets"] = {
            DATASET: {**params["datasets"][DATASET], "n_nodes": 5, "n_windows": 480, "n_train_windows": 288}
        }
        params = override(params, [*SETTINGS, *assignments])
        (self.path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def forget(self, *stages: str) -> None:
        """As if these stages had never run."""
        lock = yaml.safe_load((self.path / "dvc.lock").read_text())
        for name in [name for name in lock["stages"] if name.split("@")[0] in stages]:
            for out in lock["stages"].pop(name)["outs"]:
                path = self.path / out["path"]
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.path / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
        shutil.rmtree(self.path / ".dvc" / "cache" / "runs")

    def digest(self) -> str:
        return results_digest(read_results(self.path / "artifacts" / "results.parquet"))

    def part_is_done(self, stage: str) -> bool:
        """Has this stage finished one of its parts, and is at work on the next?"""
        folders = self.path.glob(f"work/{stage} {DATASET}-*/*")
        return any(folder.is_dir() and folder.suffix != ".partial" for folder in folders)

    def _command(self, *arguments: str) -> list[str]:
        heal_and_repro = (
            f'"{sys.executable}" -m ftl.interruption && exec "{sys.executable}" -m dvc repro "$@"'  # as in the Makefile
        )
        return ["bash", "-c", heal_and_repro, "repro", *(arguments or ("evaluate",))]

    def _environment(self) -> dict[str, str]:
        folder = Path(sys.executable).parent
        # Stages are started as `python`. One worker does one part after the other, so that a kill falls between two.
        return {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.path),
            "FTL_WORKERS": "1",
        }


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkout) -> Copy:
    """A copy in which the pipeline ran once."""
    copy = Copy(tmp_path_factory.mktemp("checkout"))
    for name in CODE:
        source, target = checkout / name, copy.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (copy.path / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    pipeline = (copy.path / "dvc.yaml").read_text()
    (copy.path / "dvc.yaml").write_text(re.sub(r"dataset: \[.*\]", f"dataset: [{DATASET}]", pipeline))
    copy.set()
    copy.repro()
    return copy


def run_stages(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)", output)


def test_a_second_repro_does_nothing(finished):
    output = finished.repro()
    assert run_stages(output) == []
    assert "up to date" in output


def test_a_new_n_participants_trains_no_local_model(finished):
    output = finished.asked("select.n_participants=[3]")
    assert run_stages(output)[0] == "federate"
    assert f"Stage 'local@{DATASET}' didn't change, skipping" in output


def test_another_rule_of_alarms_trains_nothing(finished):
    for change in ("detection.threshold=pot", "detection.percentile=99", "detection.smoothing_half_life=3"):
        assert run_stages(finished.asked(change)) == ["evaluate"]
    assert run_stages(finished.asked("detection.score=mse"))[:2] == ["baselines", "local"]


def test_a_killed_repro_goes_on_and_comes_to_the_same_results(finished):
    uninterrupted = finished.digest()
    finished.forget("federate", "transfer", "evaluate")
    finished.killed_repro(lambda: finished.part_is_done("federate"))
    finished.killed_repro(lambda: finished.part_is_done("transfer"))
    output = finished.repro()
    assert run_stages(output) == ["transfer", "evaluate"]
    assert f"transfer {DATASET}: 1 of 2 parts are done already" in output
    assert finished.digest() == uninterrupted
