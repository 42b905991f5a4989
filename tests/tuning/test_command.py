"""``ftl tune`` from the command line, and the commands of docs/tune.md."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from ftl.config import overlay, override, read_params, read_profile
from ftl.tuning import with_tune_section
from tests.experiment.conftest import SMALL, as_options
from tests.experiment.conftest import ftl as ftl
from tests.tuning.conftest import RULES

SAID = Callable[..., object]
FEW = as_options((*SMALL, "seeds=[0]"))
DEAF = ("-S", "detection.percentile=99.9")  # a threshold that almost nothing passes: easily bettered


def test_a_study_from_the_command_line(ftl: SAID, fleet: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = ftl("tune", fleet, "--out", out, "--trials", "8", "-S", RULES, *FEW, *DEAF)
    assert said.code == 0, said.err
    assert "Trials are judged on the last 30% of the rows before the test part" in said.out
    assert re.search(r"\d of 8 trials; trial \d+ complete; best 0\.\d+ \(trial \d+\)", said.err)
    assert "On the test part F1 changes by" in said.out

    content = json.loads((out / "tuning.json").read_text())
    assert content["study"] == "own-f1"
    assert len(content["history"]) == content["n_trials"] == 8
    best = read_params(out / "best.yaml")
    assert best == content["overlay"]
    assert best.keys() == {"detection"}
    overlaid = overlay(with_tune_section(override(read_profile("default"), [])), best)
    assert overlaid["detection"]["percentile"] == content["best"]["params"]["detection.percentile"]
    assert "# Study own-f1 on small" in (out / "tuning.md").read_text()

    again = ftl("tune", fleet, "--out", out, "--trials", "8", "-S", RULES, *FEW, *DEAF)
    assert again.code == 0
    assert "trial" not in again.err
    other = ftl(
        "tune", fleet, "--out", out, "--trials", "8", "-S", RULES, *FEW, "--objective", "auprc", "--study", "own-f1"
    )
    assert other.code == 2
    assert "tune.objective was 'f1', is 'auprc'; give another --study NAME, or --fresh" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--space", "everything"], "tune.space: unknown 'everything'"),
        (["--objective", "accuracy"], "tune.objective: unknown 'accuracy'"),
        (["--trials", "0"], "tune.n_trials must be >= 1"),
        (["-S", "tune.trials=3"], "unknown key 'tune.trials'"),
        (["--study", "a/b"], "--study must be a word"),
        (["--storage", "magic://x"], "check --storage"),
        (["-S", "protocol=paper"], "was prepared under protocol 'rigorous'"),
        (["-S", "select.n_participants=[9]"], "select.n_participants must be below the number of nodes"),
    ],
)
def test_a_mistake_ends_with_a_message(ftl: SAID, fleet: Path, tmp_path: Path, words: list[str], message: str) -> None:
    said = ftl("tune", fleet, "--out", tmp_path / "out", *FEW, *words)
    assert said.code == 2
    assert message in said.err


@pytest.mark.slow
def test_every_tune_command_of_the_page_runs(ftl: SAID, fleet: Path, tmp_path: Path, checkout: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (checkout / "docs" / "tune.md").read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("ftl tune")]
    assert len(commands) >= 3
    for number, words in enumerate(commands):
        places = {"telemetry/cluster-a": str(fleet), "sqlite:///studies.db": f"sqlite:///{tmp_path / 'studies.db'}"}
        words = [places.get(word, word).replace("results/", f"{tmp_path}/{number}-") for word in words]
        said = ftl(*words, *FEW, "--trials", "2")
        assert said.code == 0, (words, said.err)
