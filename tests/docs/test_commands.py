"""Every command in the documents is run here, or stands in not_run.py with the reason why not."""

import gc
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.docs.commands import PAGES, ROOT, Command, commands_of, inline_commands
from tests.docs.conftest import Shell, quick, small
from tests.docs.not_run import NOT_RUN, PAGES_OF_RESULTS, is_there, reason_not_to_run

StandIns = dict[str, Callable[[Path], object]]
ALL = [command for page in PAGES for command in commands_of(page)]
PAGES_TO_RUN = [page for page in PAGES if any(reason_not_to_run(command) is None for command in commands_of(page))]
MADE_BY_IT = ("--out", "-o", "--into", "--storage")
EXPERIMENTS = (
    *("ftl seeds", "ftl reports", "ftl trials", "ftl studies", "ftl detectors"),
    *("ftl policies", "ftl methods", "ftl labels", "ftl drift"),
)
"""Names in MLflow that look like commands."""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shell]:
    quick(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a reader")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "reader@example.org")
    yield Shell(monkeypatch)
    gc.unfreeze()


@pytest.mark.parametrize("page", PAGES_TO_RUN)
def test_the_commands_of_a_page_work_one_after_the_other(
    page: str, shell: Shell, stand_ins: StandIns, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in commands_of(page):
        for name, value in command.environment:
            shell.monkeypatch.setenv(name, value)
        if reason_not_to_run(command) is not None:
            check_what_a_server_would_show(command)
            continue
        put_stand_ins(command, stand_ins)
        capsys.readouterr()
        code = run(command, shell)
        assert code == 0, f"{command.place}: exit code {code}\n{''.join(capsys.readouterr())}"
        for option, value in pairwise(command.words):
            assert option not in ("--out", "--into") or Path(value).exists(), f"{command.place}: {value} was not made"


def run(command: Command, shell: Shell) -> int:
    """Run a command in this process, with the least settings; its exit code."""
    words = small(command.words)
    match words[0]:
        case "ftl":
            return shell.ftl(*words[1:])
        case "python":
            shell.monkeypatch.setattr(sys, "argv", list(words[1:]))
            runpy.run_path(words[1], run_name="__main__")
            return 0
        case "dvc" | "git":
            make_a_repository()
            return dvc(*words[1:]) if words[0] == "dvc" else subprocess.run(words, capture_output=True).returncode
        case "mkdir":
            return subprocess.run(words).returncode
    raise AssertionError(f"{command.place}: neither run by this test nor named in tests/docs/not_run.py")


def dvc(*words: str) -> int:
    from dvc.cli import main

    return main([*words, "--quiet"])


def make_a_repository() -> None:
    """A git repository with DVC and a remote, where there is none."""
    if Path(".git").exists():
        return
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert dvc("init") == 0
    assert dvc("remote", "add", "--default", "store", "../store") == 0


def put_stand_ins(command: Command, stand_ins: StandIns) -> None:
    """Make what the command reads, unless the page itself has made it."""
    if (store := store_made_by(command.words)) is not None and not store.exists():
        store.parent.mkdir(parents=True, exist_ok=True)
        stand_ins["empty store"](store)
    for before, word in pairwise(("", *command.words)):
        if before in MADE_BY_IT:
            continue
        path = Path("mlflow.db") if word.startswith("models:/") and "--uri" not in command.words else Path(word)
        for given in (path, *path.parents):
            if str(given) in stand_ins and not given.exists():
                given.parent.mkdir(parents=True, exist_ok=True)
                stand_ins[str(given)](given)


def store_made_by(words: tuple[str, ...]) -> Path | None:
    """The store that a command would make, which takes seconds."""
    if "--track" in words:
        return Path(words[words.index("--out") + 1]) / "mlflow.db"
    match words[:3]:
        case ("ftl", "mlflow", "merge"):
            return Path(words[words.index("--into") + 1])
        case ("ftl", "mlflow", "register") if "--to" not in words:
            return Path("mlflow.db")
    return None


def check_what_a_server_would_show(command: Command) -> None:
    """`ftl ui --folder X`: runs are there by then."""
    if command.words[:2] == ("ftl", "ui") and "--folder" in command.words:
        folder = command.words[command.words.index("--folder") + 1]
        assert (Path(folder) / "mlflow.db").is_file(), f"{command.place}: no runs there when the page comes to it"


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_a_command_that_is_not_run_is_tested_by_other_means_and_still_in_a_document(pattern: str) -> None:
    assert is_there(NOT_RUN[pattern].tested_by), NOT_RUN[pattern].tested_by
    assert any(re.fullmatch(pattern, command.text) for command in ALL), "no document has it any more: remove it"


def test_pages_of_results_are_there() -> None:
    assert set(PAGES_OF_RESULTS) <= set(PAGES)


@pytest.mark.parametrize(
    "block",
    ["```sh\nftl params\nflt run fleet\n```\n", "```\n\nA=1 flt run fleet\n```\n", "\n    ftl ui\n    flt run\n"],
)
def test_every_line_of_a_shell_block_is_a_command(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no command would be passed over without a word."""
    (tmp_path / "page.md").write_text(block)
    monkeypatch.setattr("tests.docs.commands.ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"page.md:3: 'flt' is no known program"):
        commands_of.__wrapped__("page.md")


def test_commands_are_found_as_a_reader_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Text:\n\n    ftl ui      # indented\n\n```\nA=1 make repro\n"
    text += "$ ftl run x \\\n  --out y && git add z\n```\n```text\nftl: no\n```\n```console\n$ make\nmade\n```\n"
    (tmp_path / "found.md").write_text(text)
    monkeypatch.setattr("tests.docs.commands.ROOT", tmp_path)
    found = commands_of("found.md")
    assert [(command.line, command.text) for command in found] == [
        (3, "ftl ui"), (6, "make repro"), (7, "ftl run x --out y"), (7, "git add z"), (14, "make"),
    ]  # fmt: skip
    assert found[1].environment == (("A", "1"),)


def test_an_unknown_command_is_neither_run_nor_excused() -> None:
    command = Command("README.md", 1, (), ("curl", "http://127.0.0.1"))
    assert reason_not_to_run(command) is None
    with pytest.raises(AssertionError, match="neither run by this test nor named"):
        run(command, Shell(pytest.MonkeyPatch()))


def all_ftl_commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every `ftl ...` of all documents, in blocks and in running text: (place, words)."""
    for command in ALL:
        if command.program == "ftl":
            yield command.place, command.words
    for page in PAGES:
        for line, words in inline_commands(page):
            if words and words[0] == "ftl":
                yield f"{page}:{line}: {' '.join(words)}", words


def test_every_subcommand_and_option_that_documents_name_exists() -> None:
    """Also of commands that are not run, and of those in running text."""
    from ftl.cli import app

    wrong = []
    for place, words in all_ftl_commands():
        command: Any = typer.main.get_command(app)
        rest = list(words[1:])
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            if name not in command.commands:
                if name.islower() and f"ftl {name}" not in EXPERIMENTS:
                    wrong.append(f"{place}: no command {name}")
                break
            command = command.commands[name]
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        wrong += [
            f"{place}: no option {word}"
            for word in rest
            if re.match("--?[a-zA-Z]", word) and word.partition("=")[0] not in known
        ]
    assert not wrong, "\n".join(wrong)


def test_make_has_the_targets_that_documents_name() -> None:
    wanted = {command.words[1] for command in ALL if command.program == "make"}
    wanted |= {name for page in PAGES for name in re.findall(r"`make ([a-z]+)", (ROOT / page).read_text())}
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert wanted
    assert wanted <= set(targets)
