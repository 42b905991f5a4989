import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftl.cli.options import check
from ftl.config import (
    build,
    dataset_spec,
    numbers,
    overlay,
    override,
    profile_names,
    protocol_of,
    read_params,
    read_pipeline_params,
    read_profile,
    section,
    words,
)
from ftl.errors import ConfigError
from ftl.experiment.checks import SECTIONS, check_params
from ftl.experiment.settings import LocalSettings
from ftl.learning.optimizers import OptimizerSettings

DEFAULT = read_profile("default")
FOLDER = {"source": "node_tables", "path": "x"}


@dataclasses.dataclass(frozen=True)
class Inner:
    width: int
    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Settings:
    inner: Inner
    name: str
    cap: int | None
    sizes: tuple[int, ...]
    on: bool


GOOD = {"inner": {"width": 3, "rate": 1}, "name": "a", "cap": None, "sizes": [1, 2], "on": True}


def changed(**values: Any) -> dict[str, Any]:
    """GOOD with keys replaced; None removes."""
    merged = copy.deepcopy(GOOD) | values
    return {key: value for key, value in merged.items() if value != "remove"}


# Profiles


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_whole_and_right(name: str) -> None:
    check_params(read_profile(name))


def test_the_three_profiles_are_there() -> None:
    assert {"default", "paper", "smoke"} <= set(profile_names())


def test_params_yaml_of_the_repository_is_whole_and_right(checkout: Path) -> None:
    check_params(read_params(checkout / "params.yaml"))


def test_the_default_profile_is_what_the_issue_asks_for() -> None:
    assert len(DEFAULT["paradigms"]) == 3
    assert set(DEFAULT["select"]["policies"]) == {"top_n", "random_n"}
    assert len(DEFAULT["select"]["n_participants"]) >= 3
    assert len(DEFAULT["seeds"]) >= 2
    assert {spec["kind"] for spec in DEFAULT["datasets"].values()} == {"d1", "d2"}
    assert all(spec["n_nodes"] >= 20 for spec in DEFAULT["datasets"].values())


def test_the_paper_profile_is_the_papers_table_1() -> None:
    paper = read_profile("paper")
    optimizer = section(paper, "optimizer", OptimizerSettings)
    assert (optimizer.name, optimizer.learning_rate) == ("rmsprop", 1e-6)
    counts = (paper["training"]["batch_size"], paper["local"]["n_epochs"], paper["federate"]["n_rounds"])
    assert counts == (10, 10, 1000)
    assert paper["protocol"] == "paper"
    assert paper["detection"]["fixed_threshold"] == 0.5


def test_a_profile_of_ones_own_lies_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("federate: {n_rounds: 7}\n")
    mine = read_profile(str(path))
    assert mine["federate"] == DEFAULT["federate"] | {"n_rounds": 7}
    assert {key: mine[key] for key in DEFAULT if key != "federate"} == {
        key: DEFAULT[key] for key in DEFAULT if key != "federate"
    }


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown profile 'tiny'; known: default, paper, smoke, or the path"):
        read_profile("tiny")


# Overlay and override


def test_sections_are_merged_and_datasets_replaced() -> None:
    base = {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "datasets": {"x": 1, "y": 2}}
    over = {"a": {"c": {"d": 9}}, "datasets": {"z": 3}}
    before = copy.deepcopy(base)
    assert overlay(base, over) == {"a": {"b": 1, "c": {"d": 9, "e": 3}}, "datasets": {"z": 3}}
    assert base == before


def test_lists_are_replaced() -> None:
    assert overlay({"a": [1, 2, 3]}, {"a": [9]}) == {"a": [9]}


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("federate.n_rounds=7", 7),
        ("federate.n_rounds= 7 ", 7),
        ("optimizer.learning_rate=1e-6", 1e-6),
        ("optimizer.learning_rate=2.5E-4", 2.5e-4),
        ("optimizer.eps=.5", 0.5),
        ("training.max_steps_per_epoch=null", None),
        ("select.n_participants=[2,4]", [2, 4]),
        ("optimizer.eps_inside_root=true", True),
        ("detection.score=mse", "mse"),
        ("seeds=[7]", [7]),
        ("transfer={n_epochs: 4}", {**DEFAULT["transfer"], "n_epochs": 4}),
    ],
)
def test_an_assignment_changes_one_value(assignment: str, value: Any) -> None:
    key = assignment.split("=")[0]
    result = override(DEFAULT, [assignment])
    found, other = result, DEFAULT
    for part in key.split("."):
        found, other = found[part], other[part]
    assert found == value
    assert type(found) is type(value)
    assert other != value, "the test would not see a change"
    first = key.split(".")[0]
    assert {name: result[name] for name in DEFAULT if name != first} == {
        name: DEFAULT[name] for name in DEFAULT if name != first
    }


def test_the_last_of_two_assignments_counts() -> None:
    assert override(DEFAULT, ["federate.n_rounds=7", "federate.n_rounds=8"])["federate"]["n_rounds"] == 8


@pytest.mark.parametrize(
    ("assignment", "datasets"),
    [
        ("datasets.d1.n_nodes=7", {"d1": {**DEFAULT["datasets"]["d1"], "n_nodes": 7}, "d2": DEFAULT["datasets"]["d2"]}),
        ("datasets.d1={source: node_tables, path: x}", {**DEFAULT["datasets"], "d1": FOLDER}),
        ("datasets.mine={source: node_tables, path: x}", {**DEFAULT["datasets"], "mine": FOLDER}),
        ("datasets={mine: {source: node_tables, path: x}}", {"mine": FOLDER}),
    ],
)  # fmt: skip
def test_one_dataset_can_be_changed_added_or_all_replaced(assignment: str, datasets: dict[str, Any]) -> None:
    result = override(DEFAULT, [assignment])
    assert result["datasets"] == datasets
    check_params(result)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("federate.n_round=7", "unknown key 'federate.n_round'; did you mean 'n_rounds'?"),
        ("fedrate.n_rounds=7", "unknown key 'fedrate'; did you mean 'federate'?"),
        ("zzz=7", "unknown key 'zzz'; known: protocol, paradigms"),
        ("local.zzz=7", "unknown key 'local.zzz'; known: n_epochs"),
        ("=7", "unknown key ''"),
        ("federate.n_rounds", "-S takes section.key=value; got 'federate.n_rounds'"),
        ("federate=7", "federate is a section, set one of its keys: n_rounds"),
        ("select.n_participants=[2,", "-S select.n_participants: the value is not valid YAML: '[2,'"),
        ("local={n_epochs: 1, n_epochs: 2}", "not valid YAML"),
    ],
)
def test_a_wrong_assignment_is_named(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        override(DEFAULT, [assignment])
    assert message in str(error.value)


# Reading files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1, 2", "params.yaml: not valid YAML"),
        (b"a: 1\n b: 2", "params.yaml: not valid YAML"),
        (b"a: 1\na: 2\n", "'a' stands twice"),
        (b"s:\n  a: 1\n  b: 2\n  a: 3\n", "'a' stands twice"),
        (b"- 1\n- 2\n", "params.yaml: must hold sections of parameters; got list"),
        (b"", "params.yaml: must hold sections of parameters; got NoneType"),
        (b"a: \xff\xfe", "params.yaml: not a text in UTF-8"),
        (b"? [a]\n: 1\n", "params.yaml: not valid YAML"),
    ],
)
def test_a_file_that_holds_no_parameters_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_params(path)
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read: No such file"):
        read_params(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        read_params(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("7", 7),
        ("1e", "1e"),
        ("e5", "e5"),
    ],
)
def test_numbers_are_read_as_one_writes_them(tmp_path: Path, text: str, value: Any) -> None:
    (tmp_path / "p.yaml").write_text(f"a: {text}\n")
    found = read_params(tmp_path / "p.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_profile_printed_and_read_again_is_the_same(tmp_path: Path) -> None:
    for name in profile_names():
        (tmp_path / "p.yaml").write_text(yaml.safe_dump(read_profile(name)))
        assert read_params(tmp_path / "p.yaml") == read_profile(name)


@pytest.mark.parametrize("key", ["fedrate", 7])
def test_a_section_that_nothing_reads_is_refused(tmp_path: Path, key: str | int) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(DEFAULT | {key: {"n_rounds": 7}}))
    with pytest.raises(ConfigError, match=f"params.yaml: unknown key '{key}'"):
        read_pipeline_params(path)


# Dataclasses


def test_settings_are_built_with_their_types() -> None:
    settings = build(Settings, GOOD, "s.")
    assert settings == Settings(Inner(3, 1.0), "a", None, (1, 2), True)
    assert isinstance(settings.inner.rate, float)
    assert build(Settings, changed(sizes=5, cap=4), "s.") == dataclasses.replace(settings, sizes=(5,), cap=4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(nam="b"), "unknown key 's.nam'; did you mean 'name'?"),
        (changed(name="remove"), "s.name is missing"),
        (changed(inner={"width": 3}), "s.inner.rate is missing"),
        (changed(inner={"width": 3, "rate": 1, "depth": 2}), "unknown key 's.inner.depth'"),
        (changed(inner=3), "s.inner must be a section; got 3"),
        (changed(name=3), "s.name must be a word; got 3"),
        (changed(cap=2.5), "s.cap must be a whole number; got 2.5"),
        (changed(cap=True), "s.cap must be a whole number; got True"),
        (changed(cap="4"), "s.cap must be a whole number; got '4'"),
        (changed(sizes=[1, "x"]), "s.sizes must be a whole number; got 'x'"),
        (changed(sizes=[None]), "s.sizes must be a whole number; got None"),
        (changed(on=1), "s.on must be true or false; got 1"),
        (changed(on="yes"), "s.on must be true or false; got 'yes'"),
        (changed(inner={"width": 3, "rate": "fast"}), "s.inner.rate must be a number; got 'fast'"),
        (changed(inner={"width": 3, "rate": True}), "s.inner.rate must be a number; got True"),
        ([1], "s must be a section; got [1]"),
    ],
)
def test_wrong_settings_are_named(values: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(Settings, values, "s.")
    assert message in str(error.value)


def test_a_missing_section_says_where_to_find_a_whole_file() -> None:
    with pytest.raises(ConfigError, match="'local' is missing; `ftl params default` prints a whole file"):
        section({}, "local", LocalSettings)
    with pytest.raises(ConfigError, match="local must be a section; got 3"):
        section({"local": 3}, "local", LocalSettings)


def test_words_and_numbers_of_the_top_level() -> None:
    assert words({"a": ["x", "y"]}, "a") == ("x", "y")
    assert words({"a": []}, "a") == ()
    assert numbers({"a": 3}, "a") == (3,)
    with pytest.raises(ConfigError, match="a must be a whole number; got 'x'"):
        numbers({"a": ["x"]}, "a")


def test_protocols_and_datasets_are_known_by_name() -> None:
    with pytest.raises(ConfigError, match="protocol: unknown 'strict'; known: rigorous, paper"):
        protocol_of({"protocol": "strict"})
    with pytest.raises(ConfigError, match="datasets: unknown 'd3'; known: d1, d2"):
        dataset_spec(DEFAULT, "d3")
    with pytest.raises(ConfigError, match="datasets.d1 must be a section with a key source; got 3"):
        dataset_spec({"datasets": {"d1": 3}}, "d1")


# Every value of params.yaml

OF_ANY_SIGN = {"prepare.clip_low", "prepare.split_seed", "detection.fixed_threshold"}
LEAVES = [
    (f"{name}.{key}" if isinstance(inner, dict) else name, value)
    for name, inner in DEFAULT.items()
    if name != "datasets"
    for key, value in (inner.items() if isinstance(inner, dict) else [("", inner)])
]


@pytest.mark.parametrize("key", [key for key, _ in LEAVES])
@pytest.mark.parametrize("value", ["nonsense", "[]", "{a: 1}", "-3", ".nan"])
def test_no_nonsense_is_taken_for_a_value(key: str, value: str) -> None:
    """Unless the key may be empty, or of any sign."""
    allowed = {("baselines", "[]"), ("tune.pruning", "[]"), *((key, "-3") for key in OF_ANY_SIGN)}
    if (key, value) in allowed:
        check(override(DEFAULT, [f"{key}={value}"]))
        return
    with pytest.raises(ConfigError) as error:
        check(override(DEFAULT, [f"{key}={value}"]))
    assert key.split(".")[-1] in str(error.value) or key.split(".")[0] in str(error.value)


@pytest.mark.parametrize("name", ["model", "training", "optimizer", "supervision", *SECTIONS])
def test_every_section_is_needed_whole(name: str) -> None:
    for key in DEFAULT[name]:
        partial = {other: value for other, value in DEFAULT[name].items() if other != key}
        with pytest.raises(ConfigError, match=f"{name}.{key} is missing"):
            check_params(DEFAULT | {name: partial})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("datasets.d1.source=oracle", "datasets.d1.source: unknown 'oracle'; known: node_tables, m100_raw"),
        ("datasets.d1.n_nodez=3", "datasets.d1.n_nodez: unknown key of source simulated"),
        ("datasets.d3.n_nodes=3", "datasets.d3.source: unknown None"),
        ("datasets=3", "datasets must be a section; got 3"),
        ("datasets.d1=3", "datasets.d1 must be a section"),
        ("seeds=[1,1]", "seeds must list different numbers >= 0; got [1, 1]"),
        ("select.n_participants=[0]", "select.n_participants must list numbers >= 1; got [0]"),
        ("select.n_participants=[2,2]", "lists a number twice"),
        ("model.latent=7", "model.latent must be 20"),
        ("transfer.decoder_init=new", "transfer.decoder_init: unknown 'new'; known: keep, reinitialise"),
        ("transfer.arms=[transfer]", "transfer.arms must include zero_shot"),
        ("baselines=[pca,oracle]", "baselines: unknown 'oracle'; known: random, pca"),
        ("detection.percentile=101", "detection.percentile: must be in (0, 100]; got 101"),
        ("federate.aggregator=median", "federate.aggregator: unknown 'median'; known: fedavg"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_known(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_params(override(DEFAULT, [assignment]))
    assert message in str(error.value)
