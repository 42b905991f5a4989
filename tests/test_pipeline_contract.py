"""dvc.yaml says exactly what each stage reads: no result is kept too long, none is made again without a reason."""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grimp
import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

OUR_PACKAGES = ("ftl", "pipelines")
MOST_STAGES = 16
SCRIPT = re.compile(
    r"\bpython3?\s+(?:-\w\s+)*?(?:-m\s+pipelines\.(?P<module>\w+)|(?:\./)?pipelines/(?P<file>\w+)\.py)\b"
)


@dataclass(frozen=True)
class Stage:
    """A stage as DVC understands it, templates and matrices resolved."""

    name: str
    command: str
    files: frozenset[str]
    params: dict[str, list[str]]
    uncached: frozenset[str]

    @property
    def modules(self) -> list[str]:
        """The modules under pipelines that its command runs."""
        return [f"pipelines.{found['module'] or found['file']}" for found in SCRIPT.finditer(self.command)]


@pytest.fixture(scope="module")
def root() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def stages(root: Path) -> list[Stage]:
    assert (root / "dvc.yaml").is_file(), "dvc.yaml is missing"
    with Repo(str(root), config={"core": {"no_scm": True}}) as repo:
        found = [_stage(stage) for stage in repo.index.stages if stage.is_data_source is False]
    assert found, "dvc.yaml has no stages"
    return found


def _stage(stage) -> Stage:
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return Stage(
        name=stage.addressing,
        command=stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd),
        files=frozenset(dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)),
        params={dep.def_path: list(dep.params or []) for dep in params},
        uncached=frozenset(out.def_path for out in stage.outs if not out.use_cache and not out.metric),
    )


@pytest.fixture(scope="module")
def imports(root: Path) -> grimp.ImportGraph:
    return grimp.build_graph(*OUR_PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


def test_every_stage_runs_a_file_of_pipelines(stages, root):
    without = {stage.name: stage.command for stage in stages if not stage.modules}
    assert not without, f"these commands run no python file under pipelines: {without}"
    absent = {stage.name: module for stage in stages for module in stage.modules if _source(root, module) is None}
    assert not absent, f"these modules do not exist: {absent}"


def test_deps_cover_all_that_a_stage_imports(stages, imports, root):
    missing = {stage.name: _missing(stage.files, _sources(stage, imports, root)) for stage in stages}
    missing = {name: files for name, files in missing.items() if files}
    assert not missing, f"dvc.yaml: these files are imported by a stage and are not among its deps: {missing}"


def test_deps_name_no_code_that_a_stage_does_not_import(stages, imports, root):
    superfluous = {}
    for stage in stages:
        sources = _sources(stage, imports, root)
        unused = (dep for dep in stage.files if not any(_covers(dep, file) for file in sources))
        superfluous[stage.name] = sorted(dep for dep in unused if _is_code(root, dep))
    superfluous = {name: deps for name, deps in superfluous.items() if deps}
    assert not superfluous, f"dvc.yaml: a change of these would run a stage again that does not use them: {superfluous}"


def test_every_parameter_a_stage_names_exists(stages, root):
    unknown = {
        (stage.name, key)
        for stage in stages
        for file, keys in stage.params.items()
        for key in keys
        if not _has(yaml.safe_load((root / file).read_text()), key.split("."))
    }
    assert not unknown, f"dvc.yaml: params that are not in the file: {sorted(unknown)}"


def test_params_are_the_default_profile(root):
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], cwd=root, capture_output=True)
    if changed.returncode:  # also outside git
        pytest.skip("params.yaml is somebody's own experiment now")
    params = yaml.safe_load((root / "params.yaml").read_text())
    default = yaml.safe_load((root / "ftl" / "profiles" / "default.yaml").read_text())
    assert params == default, "params.yaml must hold what ftl/profiles/default.yaml holds: ftl params default"


def test_every_out_that_is_not_a_metric_is_cached(stages):
    uncached = {stage.name: sorted(stage.uncached) for stage in stages if stage.uncached}
    assert not uncached, f"dvc.yaml: without a cache these are lost when another branch is checked out: {uncached}"


def test_stages_are_few(stages):
    names = [stage.name for stage in stages]
    assert len(names) <= MOST_STAGES, f"each stage costs a start of python and of its imports: {names}"


def test_compiled_files_do_not_count_as_a_change(root):
    ignored = (root / ".dvcignore").read_text().split()
    assert "__pycache__/" in ignored or "__pycache__" in ignored


def test_the_import_of_a_submodule_is_seen_with_its_packages_and_their_imports(imports):
    """The checks above rest on it: python runs ftl/data/__init__.py, and all it imports, before any ftl.data module."""
    module = next(name for name in sorted(imports.modules) if name.startswith("ftl.data.") and name.count(".") == 2)
    reached = set(_reached([module], imports))
    assert {"ftl", "ftl.data", module} <= reached
    assert reached >= imports.find_modules_directly_imported_by("ftl.data")


def _sources(stage: Stage, imports: grimp.ImportGraph, root: Path) -> set[str]:
    """Files, relative to the checkout, whose code runs when the stage's modules are imported."""
    sources = (_source(root, module) for module in _reached(stage.modules, imports))
    return {file for file in sources if file is not None and _does_something(root / file)}


def _reached(modules: Iterable[str], imports: grimp.ImportGraph) -> Iterator[str]:
    """These modules, all that they import in any depth, and the packages that hold them."""
    waiting, seen = list(modules), set()
    while waiting:
        module = waiting.pop()
        if module in seen or module not in imports.modules:
            continue
        seen.add(module)
        yield module
        waiting += imports.find_modules_directly_imported_by(module)
        if "." in module:
            waiting.append(module.rpartition(".")[0])


def _source(root: Path, module: str) -> str | None:
    path = module.replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if (root / file).is_file()), None)


def _does_something(path: Path) -> bool:
    """Is there more in it than a docstring? An __init__.py without code cannot change a result."""
    body = ast.parse(path.read_text()).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def _missing(deps: Iterable[str], sources: Iterable[str]) -> list[str]:
    return sorted(file for file in sources if not any(_covers(dep, file) for dep in deps))


def _covers(dep: str, file: str) -> bool:
    return Path(file).is_relative_to(dep)


def _is_code(root: Path, dep: str) -> bool:
    if Path(dep).parts[0] not in OUR_PACKAGES:
        return False
    return dep.endswith(".py") or ((root / dep).is_dir() and any((root / dep).rglob("*.py")))


def _has(tree: object, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True
