"""What a run was made from: code, parameters and data, as far as they can be named."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

UNKNOWN = "unknown"


class _Data(Protocol):
    """A prepared fleet or a telemetry source's description, reduced to what lineage needs."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def origin(self) -> str: ...


@dataclass(frozen=True)
class Lineage:
    """Code, parameters and data behind a set of results; two runs of equal lineage are the same experiment.

    ``git_commit`` is "unknown" outside git. ``dirty`` means that the ftl package differs from that commit.
    ``data_fingerprint`` and ``origin`` ("simulated" or "real") are keyed by dataset, and so is ``dvc_md5``, the MD5
    that DVC has for a prepared fleet: a second name for the same data, which the key does not need.
    """

    git_commit: str
    dirty: bool
    params_hash: str
    data_fingerprint: Mapping[str, str]
    origin: Mapping[str, str]
    ftl_version: str
    dvc_md5: Mapping[str, str] = field(default_factory=dict)

    def key(self, dataset: str) -> str:
        """One short hash over everything that the results of this dataset were made from."""
        return _digest([self.git_commit, self.dirty, self.params_hash, self.fingerprint(dataset), self.ftl_version])

    @property
    def results_key(self) -> str:
        """One short hash for all datasets together: of one run of the pipeline, or of `ftl run`."""
        return _digest([self.key(dataset) for dataset in sorted(self.data_fingerprint)])

    def fingerprint(self, dataset: str) -> str:
        return self.data_fingerprint.get(dataset, UNKNOWN)

    def tags(self, dataset: str) -> dict[str, str]:
        """The lineage of one dataset's results as MLflow tags."""
        md5 = self.dvc_md5.get(dataset)
        return ({} if md5 is None else {"dvc_md5": md5}) | {
            "lineage": self.key(dataset),
            "results": self.results_key,
            "git_commit": self.git_commit,
            "git_dirty": str(self.dirty).lower(),
            "params_hash": self.params_hash,
            "data_fingerprint": self.fingerprint(dataset),
            "origin": self.origin.get(dataset, UNKNOWN),
            "ftl_version": self.ftl_version,
        }


def lineage_of(params: Mapping[str, Any], fleets: Mapping[str, _Data]) -> Lineage:
    """The lineage of results computed now, by this code, with these parameters, on these fleets (by dataset name)."""
    cards = {name: {"fingerprint": fleet.fingerprint, "origin": fleet.origin} for name, fleet in fleets.items()}
    return lineage_from_cards(params, cards)


def lineage_from_cards(
    params: Mapping[str, Any], cards: Mapping[str, Mapping[str, Any]], dvc_md5: Mapping[str, str] | None = None
) -> Lineage:
    """The same from what is written of the fleets: dataset -> its ``fingerprint`` and ``origin``."""
    commit, dirty = code_version(Path(__file__))
    return Lineage(
        git_commit=commit,
        dirty=dirty,
        params_hash=params_hash(params),
        data_fingerprint={name: str(card.get("fingerprint", UNKNOWN)) for name, card in cards.items()},
        origin={name: str(card.get("origin", UNKNOWN)) for name, card in cards.items()},
        ftl_version=_ftl_version(),
        dvc_md5=dict(dvc_md5 or {}),
    )


def params_hash(params: Mapping[str, Any]) -> str:
    """A short hash that depends on names and values of the parameters, not on their order."""
    return _digest(params)


def code_version(source_file: Path) -> tuple[str, bool]:
    """(commit, dirty) of the repository that tracks this source file; ("unknown", False) where none does.

    Only changes beside or below the file count as dirty: a pipeline rewrites its own lock file while it runs, and
    parameters have their own hash.
    """
    # An installed copy may lie inside somebody else's repository (.venv): that commit would say nothing about it.
    folder = source_file.resolve().parent
    if _git(folder, "ls-files", "--error-unmatch", source_file.name) is None:
        return UNKNOWN, False
    package = next((p for p in [folder, *folder.parents] if not (p.parent / "__init__.py").exists()), folder)
    commit = _git(folder, "rev-parse", "HEAD")
    return (commit, bool(_git(package, "status", "--porcelain", "--", "."))) if commit else (UNKNOWN, False)


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _ftl_version() -> str:
    try:
        return version("ftl")
    except PackageNotFoundError:
        return UNKNOWN


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
