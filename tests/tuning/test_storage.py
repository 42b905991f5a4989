"""What can be wrong with a store of studies is said in one line, with the remedy."""

import os
import sqlite3
from pathlib import Path

import pytest

from ftl.errors import UserError
from ftl.tuning import open_study, run_study, study_storage
from ftl.tuning.storage import is_gone, owner
from tests.tuning.conftest import RULES, MakePlan, journal


def opened(where: str | Path) -> None:
    with study_storage(where) as storage:
        storage.get_all_studies()


def test_a_database_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unable to open database file.*folder must be there"):
        opened(f"sqlite:///{tmp_path / 'nowhere' / 'studies.db'}")


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftl.tuning.storage.BUSY_SECONDS", 0.05)
    url, path = f"sqlite:///{tmp_path / 'studies.db'}", tmp_path / "studies.db"
    opened(url)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(UserError, match="database is locked; another process is writing to it"):
            opened(url)
    finally:
        holder.close()
    opened(url)


def test_a_database_of_a_newer_optuna(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'studies.db'}", tmp_path / "studies.db"
    opened(url)
    with sqlite3.connect(path) as base:
        base.execute("UPDATE version_info SET schema_version = 99, library_version = '99.0'")
        base.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(UserError, match="another version of Optuna made it"):
        opened(url)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_bytes(b"not a database, and long enough to be seen as none" * 40)
    with pytest.raises(UserError, match="file is not a database"):
        opened(f"sqlite:///{tmp_path / 'studies.db'}")


def test_a_url_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check --storage"):
        opened("magic://studies")


def test_a_password_is_not_printed() -> None:
    with pytest.raises(UserError) as found:
        opened("postgresql://me:secret@localhost:1/studies")
    assert "secret" not in str(found.value)


def test_a_journal_cut_short_loses_its_last_line_alone(plan: MakePlan) -> None:
    planned = plan(RULES, "tune.n_trials=2")
    path = journal(planned)
    with study_storage(path) as storage:
        list(run_study(planned, open_study(planned, storage)))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "work')
    with study_storage(path) as storage:
        assert [trial.state.name for trial in open_study(planned, storage).trials] == ["COMPLETE"] * 2
    assert path.read_bytes().startswith(whole + b'{"op_code":')


def test_a_journal_that_is_damaged_inside(plan: MakePlan) -> None:
    planned = plan(RULES)
    path = journal(planned)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not json\nnor this\n")
    with pytest.raises(UserError, match=r"s\.journal: the journal of studies cannot be read or is damaged"):
        opened(path)


def test_this_process_is_not_gone_and_one_that_never_was_is() -> None:
    host, pid, began = owner().split(" ")
    assert not is_gone(owner())
    assert int(pid) == os.getpid()
    assert is_gone(f"{host} {pid} {float(began) - 100:.0f}")  # its number was given to another process
    assert is_gone(f"{host} 4194999 0")
    assert not is_gone(f"another-{host} 4194999 0")
