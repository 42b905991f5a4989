"""The commands that stand in the documents, as a reader would copy them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("**/*.md")))
PROGRAMS = frozenset(
    ("bash", "cd", "curl", "docker", "dvc", "export", "ftl", "git", "make", "mkdir", "mlflow", "open", "pip", "pytest",
     "python", "sh", "source", "uv", "wget", "xdg-open")
)  # fmt: skip
SHELLS = ("sh", "bash", "shell")
_FENCE = re.compile(r"^ *```+ *(\w*)")
_ASSIGNED = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True)
class Block:
    """A block of code: its language (empty where none is given) and its lines, each with its number in the page."""

    language: str
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Command:
    """One command: where it stands, what is put into its environment, and its words."""

    page: str
    line: int
    environment: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]

    @property
    def text(self) -> str:
        """The command on one line, without quotes."""
        return " ".join(self.words)

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@cache
def commands_of(page: str) -> tuple[Command, ...]:
    """All commands of the page's blocks, in order.

    Every line is one in a block of shell, and in a block without a language that begins with one; in ``console`` those
    after ``$``. What a program prints stands in a block of text, or of console.

    Raises:
        ValueError: If a line that should be a command begins with no program that is known here.
    """
    return tuple(
        command
        for block in blocks(ROOT / page)
        if _is_shell(block)
        for number, line in _whole_lines(block)
        for command in _commands(page, number, line, block.language)
    )


def _is_shell(block: Block) -> bool:
    first = next((line.strip() for _, line in block.lines if line.strip()), "")
    begins = first.startswith("$ ") or bool(_ASSIGNED.match(first)) or first.split(" ")[0] in PROGRAMS
    return block.language in (*SHELLS, "console") or (block.language == "" and begins)


def inline_commands(page: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """`ftl ...` in running text: line and words."""
    inside = {number for block in blocks(ROOT / page) for number, _ in block.lines}
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    prose = "\n".join("" if number in inside else line for number, line in enumerate(lines, start=1))
    for found in re.finditer(r"`(ftl [^`]+)`", prose):
        number = prose.count("\n", 0, found.start()) + 1
        for part in re.split(r"&&|\|\|?|;", found[1]):
            yield number, tuple(shlex.split(part.replace("'", ""), comments=True))


def blocks(path: Path) -> list[Block]:
    """Fenced blocks, and blocks indented by four spaces after an empty line."""
    found: list[Block] = []
    language: str | None = None  # of the fenced block in which the line is
    lines: list[tuple[int, str]] = []
    previous = ""
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), "end"], start=1):
        fence = _FENCE.match(line)
        is_indented = line.startswith("    ") and (bool(lines) or not previous.strip())
        if language is None and lines and line.strip() and not is_indented:
            found.append(Block("", tuple(lines)))
            lines = []
        if fence and language is not None:
            found.append(Block(language, tuple(lines)))
            language, lines = None, []
        elif fence and not is_indented:
            language = fence[1]
        elif language is not None or is_indented:
            lines.append((number, line.rstrip()))
        previous = line
    return found


def _whole_lines(block: Block) -> Iterator[tuple[int, str]]:
    """Lines with their continuations."""
    begun = ""
    first = 0
    for number, text in block.lines:
        line = text.strip()
        first = first if begun else number
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        yield first, begun
        begun = ""


def _commands(page: str, number: int, line: str, language: str) -> Iterator[Command]:
    if language == "console" and not line.startswith("$ "):
        return
    for part in re.split(r"\s&&\s", line.removeprefix("$ ")):
        words = shlex.split(part, comments=True)
        environment = []
        while words and _ASSIGNED.match(words[0]):
            name, _, value = words.pop(0).partition("=")
            environment.append((name, value))
        if words and words[0] not in PROGRAMS:
            raise ValueError(f"{page}:{number}: {words[0]!r} is no known program; what is printed stands in ```text")
        if words:
            yield Command(page, number, tuple(environment), tuple(words))
