"""The command `ftl`: what it says before it computes anything. On telemetry it is tested in experiment/."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import ftl.cli
from ftl.config import read_params, read_profile

Ftl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ftl_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ftl:
    """The command in this process: exit code, output, errors."""

    def command(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def ftl_in_shell(*words: str | Path, at: Path, module: str = "ftl.cli") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=at,
        env={"PATH": "", "PYTHONPATH": str(Path(ftl.cli.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--help"], ["Example: ftl run", "run", "params", "ui"]),
        (["run", "--help"], ["Example: ftl run", "--out", "--profile", "-S", "--dump-scores", "n_participants=[2,4]"]),
        (["params", "--help"], ["Example: ftl params", "--out"]),
        (["ui", "--help"], ["Example: ftl ui", "--port"]),
    ],
)
def test_help_has_an_example(ftl_: Ftl, words: list[str], parts: list[str]) -> None:
    code, out, _ = ftl_(*words)
    assert code == 0
    for part in parts:
        assert part in " ".join(out.split())  # as wide as the terminal


def subcommands() -> list[list[str]]:
    """The words of every command of ftl, groups too."""
    found: list[list[str]] = []

    def walk(command: Any, words: list[str]) -> None:
        for name, below in getattr(command, "commands", {}).items():
            found.append([*words, name])
            walk(below, [*words, name])

    walk(typer.main.get_command(ftl.cli.app), [])
    return found


@pytest.mark.parametrize("words", subcommands(), ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_it(ftl_: Ftl, words: list[str]) -> None:
    code, out, _ = ftl_(*words, "--help")
    assert code == 0
    assert f"Example: ftl {' '.join(words)}" in " ".join(out.split())


def test_every_command_is_known_to_the_test_of_examples() -> None:
    known = {tuple(words) for words in subcommands()}
    assert {("run",), ("rethreshold",), ("report",), ("score",), ("tune",), ("data", "simulate")} <= known
    assert {("paper", "audit"), ("paper", "compare"), ("mlflow", "merge"), ("mlflow", "sync")} <= known


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["rum"], "No such command 'rum'"),
        (["run"], "Missing argument 'fleet'"),
        (["run", "fleet"], "Missing option '--out'"),
        (["run", "fleet", "--out", "x", "--sed", "3"], "No such option"),
    ],
)
def test_wrong_words_end_with_the_usage_and_code_2(ftl_: Ftl, words: list[str], part: str) -> None:
    code, _, err = ftl_(*words)
    assert code == 2
    assert part in err


BAD_SETTINGS = [
    (["-S", "federate.n_round=3"], "unknown key 'federate.n_round'; did you mean 'n_rounds'?"),
    (["-S", "fedrate.n_rounds=3"], "unknown key 'fedrate'; did you mean 'federate'?"),
    (["-S", "federate.n_rounds"], "-S takes section.key=value; got 'federate.n_rounds', for example -S"),
    (["-S", "select.n_participants=[2,"], "-S select.n_participants: the value is not valid YAML"),
    (["-S", "federate.n_rounds=many"], "federate.n_rounds must be a whole number; got 'many'"),
    (["-S", "federate.n_rounds=0"], "federate.n_rounds must be >= 1; got 0"),
    (["-S", "federate=3"], "federate is a section, set one of its keys: n_rounds"),
    (["-S", "paradigms=[clairvoyant]"], "paradigms: unknown 'clairvoyant'; known: unsupervised, semi_supervised"),
    (["-S", "protocol=strict"], "protocol: unknown 'strict'; known: rigorous, paper"),
    (["-S", "detection.score=best"], "detection.score: unknown 'best'; known: nres"),
    (["-S", "baselines=[oracle]"], "baselines: unknown 'oracle'; known: random"),
    (["-S", "optimizer.learning_rate=-1"], "optimizer.learning_rate must be > 0; got -1"),
    (["-p", "tiny"], "unknown profile 'tiny'; known: default, paper, smoke"),
    (["-p", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file"),
]


@pytest.mark.parametrize("command", ["run", "params"])
@pytest.mark.parametrize(("words", "message"), BAD_SETTINGS, ids=[" ".join(words) for words, _ in BAD_SETTINGS])
def test_wrong_settings_end_with_a_sentence_and_code_2(
    ftl_: Ftl, tmp_path: Path, words: list[str], message: str, command: str
) -> None:
    """Also where the folder is wrong too: settings are looked at first, and nothing is made."""
    if command == "run":
        code, out, err = ftl_("run", tmp_path / "nowhere", "--out", tmp_path / "out", *words)
    else:
        profile = [words[1]] if words[0] == "-p" else words
        code, out, err = ftl_("params", *profile)
    assert (code, out) == (2, "")
    assert err.startswith("ftl: ")
    assert message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1", "mine.yaml: not valid YAML"),
        ("", "mine.yaml: must hold sections"),
        ("fedrate: {n_rounds: 3}", "unknown key 'fedrate'; did you mean 'federate'?"),
        ("federate: {n_rounds: x}", "federate.n_rounds must be a whole number; got 'x'"),
        ("federate: 3", "federate is a section"),
    ],
)
def test_a_wrong_profile_of_ones_own_is_named(ftl_: Ftl, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    code, _, err = ftl_("run", tmp_path, "--out", tmp_path / "out", "-p", tmp_path / "mine.yaml")
    assert code == 2
    assert message in err


def test_params_prints_a_whole_file(ftl_: Ftl) -> None:
    code, out, _ = ftl_("params", "smoke", "-S", "federate.n_rounds=3", "-S", "datasets.d1.n_nodes=5")
    values = yaml.safe_load(out)
    expected = read_profile("smoke")
    expected["federate"] = expected["federate"] | {"n_rounds": 3}
    expected["datasets"] = expected["datasets"] | {"d1": expected["datasets"]["d1"] | {"n_nodes": 5}}
    assert code == 0
    assert values == expected


def test_params_writes_a_file_that_can_be_read_again(ftl_: Ftl, tmp_path: Path) -> None:
    code, out, _ = ftl_("params", "paper", "--out", tmp_path / "params.yaml")
    assert (code, out.strip()) == (0, f"wrote {tmp_path / 'params.yaml'}")
    assert read_params(tmp_path / "params.yaml") == read_profile("paper")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_the_real_command_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    ended = ftl_in_shell("run", "nowhere", "--out", "out", at=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == "ftl: nowhere: no such folder; give the folder that holds the telemetry\n"


def test_help_and_wrong_settings_do_not_wait_for_torch(tmp_path: Path) -> None:
    code = "import sys, ftl.cli; sys.argv = ['ftl', 'run', '--help']\ntry: ftl.cli.main()\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules and 'mlflow' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "params.yaml: cannot be read: No such file or directory"),
        ("federate: [1", "params.yaml: not valid YAML"),
        ("- 1", "params.yaml: must hold sections of parameters; got list"),
        ("local: {n_epochs: many}", "local.n_epochs must be a whole number; got 'many'"),
        ("local: {n_epoch: 3}", "unknown key 'local.n_epoch'; did you mean 'n_epochs'?"),
        ("local: 3", "local must be a section; got 3"),
        ("REMOVE local", "'local' is missing; `ftl params default` prints a whole file"),
        ("fedrate: {n_rounds: 3}", "params.yaml: unknown key 'fedrate'; did you mean 'federate'?"),
    ],
)
def test_a_stage_refuses_wrong_parameters_with_a_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: str | None,
    message: str,
) -> None:
    import pipelines.local
    from pipelines.stage import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pipelines/local.py", "artifacts/fleets/d1", "artifacts/local/d1"])
    if content is not None:
        (tmp_path / "params.yaml").write_text(params_with(content))
    with pytest.raises(SystemExit) as ended:
        run(pipelines.local.main)
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert err.startswith("local: ")
    assert message in err


def params_with(content: str) -> str:
    """A whole params.yaml with a section replaced or removed; what is no section stands for itself."""
    if content.startswith("REMOVE "):
        return yaml.safe_dump({key: value for key, value in read_profile("default").items() if key != content[7:]})
    try:
        return yaml.safe_dump(read_profile("default") | yaml.safe_load(content))
    except (yaml.YAMLError, TypeError):
        return content


def test_a_real_stage_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("prepare: [")
    ended = ftl_in_shell("d1", "out", at=tmp_path, module="pipelines.prepare")
    assert ended.returncode == 2
    assert ended.stderr.startswith("prepare: params.yaml: not valid YAML")
    assert "Traceback" not in ended.stderr
