"""params.yaml to typed settings: unknown and missing keys are refused, every message names the key."""

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ftl.errors import ConfigError

Params = dict[str, Any]
Settings = TypeVar("Settings")

PROTOCOLS = ("rigorous", "paper")


class _Loader(yaml.SafeLoader):
    """Reads 1e-6 as a number, as YAML 1.2 does, and refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key.value in {earlier.value for earlier in keys[:number]}:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} stands twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$|^[-+]?\d+\.\d*$|^[-+]?\.\d+$|^[-+]?\.inf$|^\.nan$"),
    list("-+0123456789."),
)


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(
        path.name.removesuffix(".yaml")
        for path in resources.files("ftl").joinpath("profiles").iterdir()
        if path.name.endswith(".yaml")
    )


def read_profile(name: str) -> Params:
    """A profile's full parameters; ``name`` may be the path of a yaml file of one's own, laid over ``default``."""
    if name.endswith((".yaml", ".yml")):
        return overlay(_packaged("default"), read_params(Path(name)))
    if name not in profile_names():
        raise ConfigError(f"unknown profile {name!r}; known: {', '.join(profile_names())}, or the path of a yaml file")
    default = _packaged("default")
    return default if name == "default" else overlay(default, _packaged(name))


def read_params(path: Path) -> Params:
    """The parameters in a yaml file."""
    try:
        return _parsed(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text in UTF-8: {error.reason} at byte {error.start}") from error


def read_pipeline_params(path: Path = Path("params.yaml")) -> Params:
    """The parameters of the pipeline; a section that is not in the default profile would do nothing and is refused."""
    params, known = read_params(path), _packaged("default")
    for key in params:
        if key not in known:
            raise ConfigError(f"{path}: {_unknown(str(key), key, known)}")
    return params


def overlay(base: Mapping[str, Any], over: Mapping[str, Any], path: str = "") -> Params:
    """``base`` with the values of ``over``; sections are merged, ``datasets`` are replaced as a whole."""
    merged = dict(base)
    for key, value in over.items():
        where = f"{path}{key}"
        if key not in base:
            raise ConfigError(_unknown(where, key, base))
        section = isinstance(base[key], Mapping) and where != "datasets"
        if section and not isinstance(value, Mapping):
            raise ConfigError(f"{where} is a section, set one of its keys: {', '.join(base[key])}; got {value!r}")
        merged[key] = overlay(base[key], value, f"{where}.") if section else value
    return merged


def override(params: Mapping[str, Any], assignments: Iterable[str]) -> Params:
    """Apply ``section.key=value`` assignments; values are read as yaml, such as ``select.n_participants=[2,4]``.

    ``datasets.name=..`` and ``datasets.name.key=..`` change or add one dataset and leave the others.
    """
    result = dict(params)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(
                f"-S takes section.key=value; got {assignment!r}, for example -S select.n_participants=[2,4]"
            )
        over: Any = _parsed_value(value, key)
        first, *path = key.strip().split(".")
        if first == "datasets":
            over = _with(result.get(first, {}), path, over)
            path = []
        for part in reversed(path):
            over = {part: over}
        result = overlay(result, {first: over})
    return result


def _with(tree: Any, path: list[str], value: Any) -> Any:
    """Nested mappings with a value at this path; what lies beside it stays."""
    if not path:
        return value
    tree = tree if isinstance(tree, Mapping) else {}
    return {**tree, path[0]: _with(tree.get(path[0]), path[1:], value)}


def section(params: Mapping[str, Any], key: str, kind: type[Settings]) -> Settings:
    """One section of the parameters as the dataclass that lives beside the code it steers."""
    return build(kind, _section(params, key), f"{key}.")


def words(params: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of words at the top level of the parameters."""
    return tuple(_typed(_value(params, key), tuple[str, ...], key))


def numbers(params: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """A list of whole numbers at the top level of the parameters."""
    return tuple(_typed(_value(params, key), tuple[int, ...], key))


def protocol_of(params: Mapping[str, Any]) -> str:
    """The ``protocol``: ``rigorous`` or ``paper``."""
    protocol = _value(params, "protocol")
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: unknown {protocol!r}; known: {', '.join(PROTOCOLS)}")
    return str(protocol)


def dataset_names(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The names under ``datasets``."""
    return tuple(map(str, _section(params, "datasets")))


def dataset_spec(params: Mapping[str, Any], dataset: str) -> Mapping[str, Any]:
    """The source of a dataset and its settings."""
    datasets = _section(params, "datasets")
    if dataset not in datasets:
        raise ConfigError(f"datasets: unknown {dataset!r}; known: {', '.join(datasets)}")
    if not isinstance(datasets[dataset], Mapping):
        raise ConfigError(f"datasets.{dataset} must be a section with a key source; got {datasets[dataset]!r}")
    return datasets[dataset]


def build(kind: type[Settings], values: Mapping[str, Any], path: str) -> Settings:
    """A settings dataclass from a mapping; nested dataclasses are sections.

    Raises:
        ConfigError: If a key is unknown or missing, or a value has the wrong type or is out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path.rstrip('.')} must be a section; got {values!r}")
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(_unknown(f"{path}{key}", key, known))
    missing = [name for name, field in known.items() if name not in values and (field.default is MISSING or path)]
    if missing:
        raise ConfigError(f"{path}{missing[0]} is missing")
    return kind(**{key: _typed(value, hints[key], f"{path}{key}") for key, value in values.items()})


def _typed(value: Any, kind: Any, path: str) -> Any:
    if is_dataclass(kind):
        return build(typing.cast("type[Any]", kind), value, f"{path}.")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _typed(value, next(argument for argument in arguments if argument is not type(None)), path)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            value = [value]
        return tuple(_typed(item, arguments[0], path) for item in value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return value
    names = {bool: "true or false", float: "a number", int: "a whole number", str: "a word"}
    raise ConfigError(f"{path} must be {names.get(kind, kind)}; got {value!r}")


def _value(params: Mapping[str, Any], key: str) -> Any:
    if key not in params:
        raise ConfigError(f"{key!r} is missing; `ftl params default` prints a whole file")
    return params[key]


def _section(params: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _value(params, key)
    if not isinstance(found, Mapping):
        raise ConfigError(f"{key} must be a section; got {found!r}")
    return found


def _unknown(path: str, key: object, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(str(key), known, n=1)
    return f"unknown key {path!r}" + (f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}")


def _packaged(name: str) -> Params:
    return _parsed(resources.files("ftl").joinpath("profiles", f"{name}.yaml").read_text(), f"profile {name}")


def _parsed(text: str, where: str) -> Params:
    try:
        params = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from error
    if not isinstance(params, dict):
        raise ConfigError(f"{where}: must hold sections of parameters; got {type(params).__name__}")
    return params


def _parsed_value(text: str, key: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"-S {key}: the value is not valid YAML: {text!r}") from error
