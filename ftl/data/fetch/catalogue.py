"""Which Zenodo record holds which month or rack of Marconi100, and how a user names months and racks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ftl.errors import ConfigError

N_RACKS = 49
RANGE = ".."
_MONTH = re.compile(r"(?:20)?(\d\d)-(\d\d)")


@dataclass(frozen=True)
class CatalogueRecord:
    """A Zenodo record: its number, the parts that it holds, and its size as published."""

    record: int
    parts: tuple[str, ...]
    gigabytes: float


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset on Zenodo; a part is a month or a rack, and is one tar named after it."""

    name: str
    title: str
    part: str
    option: str
    records: tuple[CatalogueRecord, ...]
    read_parts: Callable[[Iterable[str]], tuple[str, ...]]

    def parts(self) -> list[str]:
        """All parts, in order."""
        return [part for record in self.records for part in record.parts]


@dataclass(frozen=True)
class Choice:
    """One part of a dataset, and where it lies."""

    part: str
    record: int

    @property
    def key(self) -> str:
        """Its file in the record."""
        return f"{self.part}.tar"


def choose(dataset: PublishedDataset, parts: Sequence[str]) -> list[Choice]:
    """Where each of these parts lies, in the order of the catalogue."""
    return [
        Choice(part, record.record) for record in dataset.records for part in record.parts if not parts or part in parts
    ]


def months(words: Iterable[str]) -> tuple[str, ...]:
    """Months as the release writes them, from words such as ``21-03``, ``2021-03,21-04`` and ``20-03..20-06``.

    Raises:
        ConfigError: If a word is no month, or a month was not published; the message lists those that were.
    """
    return _parts(words, _month, _ALL_MONTHS, "--months", "months are written 21-03 (year-month), ranges 20-03..20-06")


def racks(words: Iterable[str]) -> tuple[str, ...]:
    """Racks from words such as ``0``, ``0,5`` and ``10..14``.

    Raises:
        ConfigError: If a word is no number, or there is no such rack.
    """
    return _parts(words, _rack, _ALL_RACKS, "--racks", "racks are whole numbers, ranges 10..14")


def _parts(
    words: Iterable[str], read: Callable[[str], str | None], known: tuple[str, ...], option: str, form: str
) -> tuple[str, ...]:
    chosen: set[str] = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        ends = [read(end.strip()) for end in word.split(RANGE)]
        if len(ends) > 2 or None in ends:
            raise ConfigError(f"{option}: {word!r} is not understood: {form}; known: {spans(known)}")
        if _in_order(ends[0]) > _in_order(ends[-1]):
            raise ConfigError(f"{option}: {word!r} runs backwards; write {ends[-1]}{RANGE}{ends[0]}")
        for end in ends:
            if end not in known:
                raise ConfigError(f"{option}: {word!r}: {end} was not published; known: {spans(known)}")
        first, last = (known.index(str(end)) for end in (ends[0], ends[-1]))
        chosen.update(known[first : last + 1])
    return tuple(part for part in known if part in chosen)


def _in_order(part: str | None) -> list[int]:
    """Sorts months and racks."""
    return [int(number) for number in str(part).split("-")]


def spans(parts: Sequence[str]) -> str:
    """Parts that follow one another, as a range."""
    return parts[0] if len(parts) == 1 else f"{parts[0]}{RANGE}{parts[-1]}"


def _month(word: str) -> str | None:
    found = _MONTH.fullmatch(word)
    return f"{found[1]}-{found[2]}" if found and 1 <= int(found[2]) <= 12 else None


def _rack(word: str) -> str | None:
    return str(int(word)) if re.fullmatch(r"\d{1,4}", word) else None


def _span(first: str, last: str) -> tuple[str, ...]:
    (year, month), (end_year, end_month) = (map(int, end.split("-")) for end in (first, last))
    count = 12 * (end_year - year) + end_month - month + 1
    numbers = (12 * year + month - 1 + step for step in range(count))
    return tuple(f"{number // 12:02d}-{number % 12 + 1:02d}" for number in numbers)


def _month_record(record: int, first: str, last: str, gigabytes: float) -> CatalogueRecord:
    return CatalogueRecord(record, _span(first, last), gigabytes)


# The data descriptor (Borghesi et al., Scientific Data 10:288, 2023) points to these twelve records of the raw release.
_MONTHLY = (
    _month_record(7588815, "20-03", "20-12", 44.6),
    _month_record(7589131, "21-01", "21-06", 45.3),
    _month_record(7589320, "21-07", "21-09", 41.7),
    _month_record(7589630, "21-10", "21-12", 44.9),
    _month_record(7589942, "22-01", "22-02", 24.0),
    _month_record(7590061, "22-03", "22-03", 31.5),
    _month_record(7590308, "22-04", "22-04", 33.4),
    _month_record(7590547, "22-05", "22-05", 33.2),
    _month_record(7590555, "22-06", "22-06", 27.7),
    _month_record(7590565, "22-07", "22-07", 31.4),
    _month_record(7590574, "22-08", "22-08", 37.9),
    _month_record(7590583, "22-09", "22-09", 34.1),
)
_AGGREGATED = (CatalogueRecord(7541722, tuple(map(str, range(N_RACKS))), 24.8),)
_ALL_MONTHS = tuple(part for record in _MONTHLY for part in record.parts)
_ALL_RACKS = _AGGREGATED[0].parts

DATASETS = {
    "m100": PublishedDataset(
        "m100", "M100 ExaData, raw release: a tar per month", "month", "--months", _MONTHLY, months
    ),
    "m100-aggregated": PublishedDataset(
        "m100-aggregated",
        "M100 ExaData, aggregated over 15 minutes, with labels: a tar per rack",
        "rack",
        "--racks",
        _AGGREGATED,
        racks,
    ),
}
