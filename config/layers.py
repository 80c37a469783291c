"""What does one file or variable set? Settings come in layers, each from one origin; a later layer overrides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from config.models import lake_address, ledger_address
from config.secrets import masked
from config.tree import is_section

_RENAMED = {("reconcile", "keep"): ("keep", "attempts")}  # former names of settings, which stay valid
_MAX_NESTING = 100  # levels of mappings and lists


class ConfigError(Exception):
    """The configuration is invalid. `lines` has one line for each mistake, without secrets."""

    def __init__(self, lines: list[str]):
        self.lines = [masked(line) for line in lines]
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        return ConfigError, (self.lines,)


@dataclass(frozen=True)
class Layer:
    """Settings from one origin, which errors name: a file, a script or an environment variable."""

    origin: str
    values: dict[str, Any]
    is_default: bool = False  # one of the files of defaults


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """The settings of all layers together."""
    settings: dict[str, Any] = {}
    for layer in layers:
        settings = merge(settings, layer.values)
    return settings


def merge(base: Any, over: Any) -> Any:
    """The value `over`, or, if both values are mappings, the two merged key by key."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merge(base.get(key), value) for key, value in over.items()}


def origin_of(path: tuple[str, ...], layers: Sequence[Layer]) -> str:
    """The origin of the value at `path`: the last layer that sets the value or replaces a section around it.

    If no layer sets the value, it is the last layer that sets anything in the innermost section around it.
    """
    best, depth = layers[0].origin, 0
    for layer in reversed(layers):
        value: Any = layer.values
        reached = 0
        for part in path:
            if not isinstance(value, dict):
                return layer.origin
            named = {str(key): inner for key, inner in value.items()}
            if part not in named:
                break
            value, reached = named[part], reached + 1
        if reached == len(path) or (reached and not isinstance(value, dict)):
            return layer.origin
        if reached > depth:
            best, depth = layer.origin, reached
    return best


def is_set(values: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Do the values of a layer have one for the setting at `path`?"""
    inner: Any = values
    for part in path:
        named = {str(key): value for key, value in inner.items()} if isinstance(inner, dict) else {}
        if part not in named:
            return False
        inner = named[part]
    return True


def renamed(layer: Layer) -> Layer:
    """The layer with settings of former names under their present names. The present name wins if both are there."""
    values = layer.values
    for (section, name), (new_section, new_name) in _RENAMED.items():
        if is_set(values, (section, name)) and isinstance(values.get(new_section, {}), dict):
            old = dict(values[section])
            new = {new_name: old.pop(name)} | values.get(new_section, {})
            values = values | {section: old, new_section: new}
    return replace(layer, values=values)


def file_layer(file: Path) -> Layer:
    """The settings of a file. Relative paths in it are relative to its folder. Raises ConfigError.

    A section without a single setting, because all its lines are comments, sets nothing.
    """
    values = {name: value for name, value in read(file).items() if value is not None or not is_section(name)}
    return Layer(str(file), _located(values, file.absolute().parent, ()))


def _located(value: Any, folder: Path, path: tuple[str, ...]) -> Any:
    """A setting's value in which relative paths are replaced by paths from `folder`. `path` is the setting's own."""
    if isinstance(value, dict):
        return {name: _located(inner, folder, (*path, str(name))) for name, inner in value.items()}
    locate = next((locate for pattern, locate in _PATHS.items() if _matches(path, pattern)), None)
    if isinstance(value, list) and locate:
        return [locate(inner, folder) if isinstance(inner, str) else inner for inner in value]
    return locate(value, folder) if locate and isinstance(value, str) else value


def _matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(want in ("*", have) for have, want in zip(path, pattern, strict=True))


def _path_in(text: str, folder: Path) -> str:
    return str(folder / Path(text).expanduser())


# The settings that are paths, and the function that makes each absolute.
_PATHS: dict[tuple[str, ...], Callable[[str, Path], str]] = {
    ("lake",): lake_address,
    ("ledger",): ledger_address,
    ("scripts", "folders"): _path_in,
    ("datasets", "*", "command", "script"): _path_in,
    ("datasets", "*", "command", "cwd"): _path_in,
}


class _NotASetting(yaml.constructor.ConstructorError):
    """Valid YAML that cannot be settings: a name that is not text, or that is given twice."""

    def __init__(self, problem: str, mark: yaml.Mark):
        super().__init__(None, None, problem, mark)


class _StrictLoader(yaml.CSafeLoader):
    """Loader for which a duplicate key is an error, instead of a silent overwrite, and a date is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _NotASetting(f"the name of a setting must be text, and {key!r} is not", key_node.start_mark)
            if key in seen:
                raise _NotASetting(f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


# No setting is a YAML date. An impossible date, as in 2024-13-45, would raise an error that names no setting.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> Any:
    """The value of a YAML text.

    Raises YAMLError, ValueError for a value that does not have the type of its tag, and RecursionError for more than
    100 levels of nesting: LibYAML itself has no limit, and a stack overflow would kill the process.
    """
    depth = 0
    for event in yaml.parse(text, _StrictLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_NESTING:
            raise RecursionError
    return yaml.load(text, _StrictLoader)


def _without_content(quoted: re.Match[str]) -> str:
    """A quotation in a YAML error: a single character or a token such as <block end>, or "…" for the file's content."""
    return quoted[0] if len(quoted[2]) < 2 or quoted[2].startswith("<") else "…"


def read(path: Path) -> dict[str, Any]:
    """The settings of a YAML file, as they are written there. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from None
    try:
        values = parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        if not isinstance(error, _NotASetting):  # the error may quote a secret, since *word in YAML is an alias
            problem = re.sub(r"(['\"])([^'\"]*)\1", _without_content, problem)
        raise ConfigError([f"{path}:{where} not YAML: {problem}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: not YAML: it is nested too deeply"]) from None
    except ValueError:
        raise ConfigError([f"{path}: not YAML: a value does not have the type of its tag, such as !!int"]) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            [f"{path}: must be a mapping of settings, not a {type(values).__name__}; write `name: value` on each line"]
        )
    return values
