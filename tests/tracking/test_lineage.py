import subprocess
from dataclasses import dataclass, replace

import pytest

from ftl.tracking.lineage import UNKNOWN, Lineage, code_version, lineage_of, params_hash


@dataclass
class Fleet:
    fingerprint: str
    origin: str = "simulated"


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def package(tmp_path):
    """A repository with a package of two levels; returns the source file at the lower one."""
    module = tmp_path / "ftl" / "tracking" / "lineage.py"
    module.parent.mkdir(parents=True)
    for file in (module, module.parent / "__init__.py", tmp_path / "ftl" / "__init__.py", tmp_path / "dvc.lock"):
        file.write_text("")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "start")
    return module


def test_the_commit_is_named_and_clean(package):
    commit, dirty = code_version(package)
    assert len(commit) == 40
    assert not dirty


def test_a_change_anywhere_in_the_package_is_dirty(package):
    (package.parents[1] / "__init__.py").write_text("x = 1\n")
    assert code_version(package)[1]


def test_a_lock_file_that_a_pipeline_rewrites_is_not_dirty(package):
    (package.parents[2] / "dvc.lock").write_text("changed")
    assert not code_version(package)[1]


def test_code_outside_git_has_an_unknown_commit(tmp_path):
    (tmp_path / "module.py").write_text("")
    assert code_version(tmp_path / "module.py") == (UNKNOWN, False)


def test_code_installed_inside_another_repository_has_an_unknown_commit(package):
    installed = package.parents[2] / ".venv" / "ftl.py"
    installed.parent.mkdir()
    installed.write_text("")
    assert code_version(installed) == (UNKNOWN, False)


def test_params_hash_ignores_order_and_sees_values():
    assert params_hash({"a": 1, "b": {"c": 2}}) == params_hash({"b": {"c": 2}, "a": 1})
    assert params_hash({"a": 1}) != params_hash({"a": 2})


def test_lineage_key_depends_on_the_datasets_own_data_only():
    one = lineage_of({"seed": 0}, {"d1": Fleet("f1"), "d2": Fleet("f2")})
    two = lineage_of({"seed": 0}, {"d1": Fleet("f1"), "d2": Fleet("other")})
    assert one.key("d1") == two.key("d1")
    assert one.key("d2") != two.key("d2")


@pytest.mark.parametrize("change", [{"git_commit": "b"}, {"dirty": True}, {"params_hash": "q"}, {"ftl_version": "9"}])
def test_lineage_key_depends_on_code_and_parameters(change):
    lineage = Lineage("a", False, "p", {"d1": "f"}, {"d1": "real"}, "1")
    assert replace(lineage, **change).key("d1") != lineage.key("d1")


def test_the_results_key_is_one_for_all_datasets_of_a_folder():
    one = lineage_of({"seed": 0}, {"d1": Fleet("f1"), "d2": Fleet("f2")})
    assert one.tags("d1")["results"] == one.tags("d2")["results"] == one.results_key
    assert lineage_of({"seed": 0}, {"d2": Fleet("f2"), "d1": Fleet("f1")}).results_key == one.results_key
    assert lineage_of({"seed": 0}, {"d1": Fleet("f1"), "d2": Fleet("f3")}).results_key != one.results_key


def test_the_hash_of_dvc_is_a_tag_and_changes_no_key():
    lineage = Lineage("a", False, "p", {"d1": "f"}, {"d1": "real"}, "1")
    with_hash = replace(lineage, dvc_md5={"d1": "ab.dir"})
    assert with_hash.key("d1") == lineage.key("d1")
    assert with_hash.tags("d1") == lineage.tags("d1") | {"dvc_md5": "ab.dir"}
