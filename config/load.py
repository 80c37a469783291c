"""The one place that reads configuration files and the environment."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from config.models import OWN_FOLDER, TEST_FOLDER, Config, LakeAddress, Priority, Scripts
from config.secrets import learn_from_environment, learn_from_settings, masked

log = logging.getLogger(__name__)

_DEFAULTS = Path(__file__).parent
_FROM_SCRIPTS = 3  # what scripts say of themselves is laid over the three files of defaults
_NO_SETTINGS = ("ADCE_CONFIG", "ADCE_RECORDED")
_MOST_LEVELS = 100  # of mappings and lists in each other
_PLAIN = ("lake", "ledger", "aws_credentials")  # whose text in the environment is not read as YAML
# Settings whose values are never shown, nor any value within them: they may be secrets, or hold some.
_UNSHOWN = {"lake", "ledger", "aws_credentials", "headers", "base_url", "url", "command"}
_NO_SECTION = ("model_type", "dict_type", "list_type")  # pydantic's names for what is no mapping, or no list
_OF_A_FEW = ("enum", "literal_error")  # and for what is none of the values that a setting may have


class ConfigError(Exception):
    """The configuration is wrong; `lines` has one line for each mistake, without secrets."""

    def __init__(self, lines: list[str]):
        self.lines = [masked(line) for line in lines]
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        return ConfigError, (self.lines,)


@dataclass(frozen=True)
class _Layer:
    origin: str
    values: dict[str, Any]


def load_config(file: Path | None = None, env: Mapping[str, str] = os.environ) -> Config:
    """The defaults, with `file` (or ADCE_CONFIG) laid over them key by key, and the environment over both.

    A setting is overridden by ADCE_<SECTION>__<FIELD>, for example ADCE_SOURCES__ESPN__BASE_URL;
    its value is read as YAML. What is secret in it is learnt: see config.secrets. Raises ConfigError.
    """
    learn_from_environment(env)
    chosen = file or (Path(env["ADCE_CONFIG"]) if env.get("ADCE_CONFIG") else None)
    layers = [_Layer("config/adce.yaml", _read(_DEFAULTS / "adce.yaml"))]
    layers += [
        _Layer(f"config/{name}.yaml", {name: _read(_DEFAULTS / f"{name}.yaml")}) for name in ("sources", "datasets")
    ]
    if chosen:
        layers.append(_Layer(str(chosen), _read(chosen)))
    layers += _from_environment(env, _merged(layers))
    if found := list(_found_scripts(layers)):
        layers[_FROM_SCRIPTS:_FROM_SCRIPTS] = found
    merged = _merged(layers)
    learn_from_settings(merged)
    config, mistakes = _validated(merged)
    if config is None:
        raise ConfigError([f"{_origin_of(mistake, layers)}: {mistake}" for mistake in mistakes])
    commands = [dataset.command for dataset in config.datasets.values() if dataset.command]
    commands += [rollout.changes.command for rollout in config.rollout.values() if rollout.changes.command]
    learn_from_environment(env, {name for command in commands for name in command.environment})
    return config


def check_lake(address: str, origin: str) -> None:
    """Is this the address of a lake? Raises ConfigError, which names where it is from, as an option."""
    learn_from_settings(address)
    try:
        TypeAdapter[str](LakeAddress).validate_python(address)
    except ValidationError as error:
        raise ConfigError([f"{origin}: {_mistake(problem, ('lake',)).text}" for problem in error.errors()]) from None


def _merged(layers: list[_Layer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer.values)
    return merged


def _found_scripts(layers: list[_Layer]) -> Iterator[_Layer]:
    """The datasets of the scripts in the configured folders: scrape_x.py fills x, as scrape_x.yaml beside it says.

    That file is the dataset's entry; it may as well be among the other datasets. A script with neither is left alone.
    """
    merged = _merged(layers)
    try:
        scripts = Scripts.model_validate(merged.get("scripts") or {})
    except ValidationError:  # which is told with all other mistakes
        return
    owner: dict[str, Path] = {}
    begin, end = scripts.pattern.split("*")
    for folder in map(Path, scripts.folders):
        if not folder.is_dir():
            where = f"{_origin(('scripts', 'folders'), layers)}: scripts.folders"
            raise ConfigError([f"{where}: no folder {str(folder)!r} in {Path.cwd()}"])
        for script in sorted(path for path in folder.glob(scripts.pattern) if path.suffix != ".yaml"):
            name = script.name.removeprefix(begin).removesuffix(end)
            beside = script.with_suffix(".yaml")
            if not beside.exists() and name not in (merged.get("datasets") or {}):
                _tell_of_a_script(script, name)
                continue
            if name in owner:
                raise ConfigError([f"{script}: fills {name}, and so does {owner[name]}; give one another name"])
            owner[name] = script
            entry = _read(beside) if beside.exists() else {}
            command = {"command": {"script": str(script.absolute())}}
            yield _Layer(str(beside if entry else script), {"datasets": {name: _merge(command, entry)}})


@cache
def _tell_of_a_script(script: Path, name: str) -> None:
    log.warning("%s fills nothing: no %s.yaml beside it, and no dataset %s", script, script.stem, name)


class _NotASetting(yaml.constructor.ConstructorError):
    """YAML that says nothing that could be a setting."""

    def __init__(self, problem: str, mark: yaml.Mark):
        super().__init__(None, None, problem, mark)


class _StrictLoader(yaml.CSafeLoader):
    """YAML in which a key that is given twice is a mistake, not a silent overwrite, and a date is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _NotASetting(f"the name of a setting is text, and {key!r} is not", key_node.start_mark)
            if key in seen:
                raise _NotASetting(f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


# No setting is a date, and one that no calendar has would be an error that names no setting.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _parse(text: str) -> Any:
    """Raises YAMLError, ValueError for a value that is not of its type, and RecursionError for too many levels.

    LibYAML's own limit on levels is the stack, where the process ends.
    """
    depth = 0
    for event in yaml.parse(text, _StrictLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_LEVELS:
            raise RecursionError
    return yaml.load(text, _StrictLoader)


def _what_yaml_expects(quoted: re.Match[str]) -> str:
    """One sign, or a name as <block end>, is YAML's own; all else is from the file."""
    return quoted[0] if len(quoted[2]) < 2 or quoted[2].startswith("<") else "…"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from None
    try:
        values = _parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        if not isinstance(error, _NotASetting):  # what YAML quotes may be a secret: of *word, an alias of that name
            problem = re.sub(r"(['\"])([^'\"]*)\1", _what_yaml_expects, problem)
        raise ConfigError([f"{path}:{where} not YAML: {problem}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: not YAML: it is nested too deeply"]) from None
    except ValueError:
        raise ConfigError([f"{path}: not YAML: a value is not of the type that its tag says, as !!int"]) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError([f"{path}: must be a mapping of settings, not a {type(values).__name__}"])
    return values


def _from_environment(env: Mapping[str, str], files: dict[str, Any]) -> Iterator[_Layer]:
    """What the environment lays over the settings of the files."""
    for name, text in sorted(env.items()):
        parts = name.removeprefix("ADCE_").split("__")
        path = [part if part in Priority.__members__ else part.lower() for part in parts]
        if not name.startswith("ADCE_") or name in _NO_SETTINGS:
            continue
        if len(path) == 1 and path[0] not in Config.model_fields:
            if meant := _meant(path[0], files):
                raise ConfigError([f"environment variable {name}: no such setting; did you mean {meant}?"])
            _tell_of_a_variable(name)  # it may be somebody else's
            continue
        try:
            value: Any = text if path[0] in _PLAIN else _parse(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError([f"environment variable {name}: its text is not YAML (it is not shown)"]) from None
        for part in reversed(path):
            value = {part: value}
        yield _Layer(f"environment variable {name}", value)


@cache
def _tell_of_a_variable(name: str) -> None:
    log.warning("%s is no setting of ADCE, and is ignored", name)


def _meant(word: str, files: dict[str, Any]) -> str | None:
    """The variables that another one was to be: its name misspelt, without both underscores, or without its section."""
    settings = list(_settings(Config, files))
    of_tails: dict[str, list[str]] = {}
    for parts in settings:
        for begin in range(len(parts)):
            in_section = len(parts) - _is_named(parts[0]) <= 2  # not deep down, where a name may be any word
            if begin in (0, len(parts) - 2) or (begin == len(parts) - 1 and in_section):
                variable = _variable(parts, begin)
                of_tail = of_tails.setdefault("_".join(parts[begin:]).lower(), [])
                if variable not in of_tail:
                    of_tail.append(variable)
    for cutoff in (1.0, 0.85):
        if near := difflib.get_close_matches(word, of_tails, n=1, cutoff=cutoff):
            return " or ".join(of_tails[near[0]])
    tops = [*Config.model_fields, "config"]
    for name in tops:
        if word.startswith(f"{name}_"):
            is_section = name != "config" and (_is_named(name) or _is_model(Config.model_fields[name].annotation))
            rest = f"__{word.removeprefix(f'{name}_')}" if is_section else ""
            return f"ADCE_{name}{rest}".upper()
    near = difflib.get_close_matches(word, tops, n=1, cutoff=0.75)  # two letters of four, exchanged
    return f"ADCE_{near[0]}".upper() if near else None


def _settings(model: type[BaseModel], values: Any) -> Iterator[tuple[str, ...]]:
    """The path of each setting; in a mapping, of those that have `values`."""
    given = values if isinstance(values, dict) else {}
    for name, field in model.model_fields.items():
        yield (name,)
        inner = next((a for a in (field.annotation, *get_args(field.annotation)) if _is_model(a)), None)
        if get_origin(field.annotation) is dict:
            entries = given.get(name)
            for key, entry in entries.items() if isinstance(entries, dict) else ():
                yield (name, key)
                yield from ((name, key, *rest) for rest in (_settings(inner, entry) if inner else ()))
        elif inner and get_origin(field.annotation) is not list:
            yield from ((name, *rest) for rest in _settings(inner, given.get(name)))


def _variable(parts: tuple[str, ...], begin: int) -> str:
    """The variable of a setting, as it is told to somebody who has written the parts from `begin` on."""
    if _is_named(parts[0]) and begin > 1:
        parts = (parts[0], f"<{_one_of(parts[0])}>", *parts[2:])
    return f"ADCE_{'__'.join(parts)}".upper()


def _is_named(section: str) -> bool:
    """Are there several of it, each with a name?"""
    return get_origin(Config.model_fields[section].annotation) is dict


def _one_of(section: str) -> str:
    return section.removesuffix("s")


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _merge(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: _merge(base.get(key), value) for key, value in over.items()}


def _origin(path: tuple[str, ...], layers: list[_Layer]) -> str:
    """The layer that the value at `path` came from: the last that sets it, or puts something else in its place.

    For a value that none sets, the last that says anything about what it would be in.
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


class _Mistake(NamedTuple):
    """What is wrong with a setting, or with several together, and perhaps what would be right."""

    path: tuple[str, ...]
    what: str
    hint: str = ""
    is_of_several: bool = False

    @property
    def text(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what

    def __str__(self) -> str:
        field = ".".join(part if part.isprintable() else repr(part) for part in self.path)
        return f"{field or 'configuration'}: {self.text}"


def _validated(merged: dict[str, Any]) -> tuple[Config | None, list[_Mistake]]:
    """The configuration, or what is wrong with it."""
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        return None, list(_mistakes(error, merged))
    mistakes = list(_contradictions(config))
    return (None if mistakes else config), mistakes


def _mistakes(error: ValidationError, merged: dict[str, Any]) -> Iterator[_Mistake]:
    lacking: dict[tuple[str, ...], list[str]] = {}
    problems = [(_path_of(problem), problem) for problem in error.errors()]
    for path, problem in problems:
        if problem["type"] == "missing" and len(path) == 3 and _is_named(path[0]):
            lacking.setdefault(path[:2], []).append(path[2])
    for path, problem in problems:
        if problem["type"] != "missing" or path[:2] not in lacking:
            yield _mistake(problem, path)
        elif path[2] == lacking[path[:2]][0]:
            yield _unknown_name(path[:2], lacking[path[:2]], merged)


def _path_of(problem: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in problem["loc"] if part != "[key]")


def _unknown_name(path: tuple[str, ...], lacks: list[str], merged: dict[str, Any]) -> _Mistake:
    """A source, dataset or rollout that is not whole: the name of one that there is, misspelt, or a new one."""
    section, name = path
    what = _one_of(section)
    others = [other for other in merged[section] if other != name]
    needs = f"a new one needs {_listed(lacks)} as well"
    near = _near(name, others)
    return _Mistake(path, f"no {what} {name}", f"{near} ({needs})" if near else needs)


def _origin_of(mistake: _Mistake, layers: list[_Layer]) -> str:
    """The layer that a mistake came with. One of several settings together came with the last of these."""
    if not mistake.is_of_several:
        return _origin(mistake.path, layers)
    for count in range(len(layers) - 1, 0, -1):
        _, before = _validated(_merged(layers[:count]))
        if not any((one.path, one.what) == (mistake.path, mistake.what) for one in before):
            return layers[count].origin
    return layers[0].origin


def _mistake(problem: Any, path: tuple[str, ...]) -> _Mistake:
    """In our words, what pydantic says of a setting."""
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        known = _known_names(path[:-1])
        return _Mistake(path, "no such setting", _near(path[-1], known) or f"known here: {', '.join(known)}")
    message = str(problem["msg"]).removeprefix("Value error, ")
    if kind in _OF_A_FEW:
        message = "must be " + problem["ctx"]["expected"].replace("'", "")
    elif kind in _NO_SECTION:
        message = f"must be a {'list' if kind == 'list_type' else 'mapping of settings'}"
    hidden = kind == "missing" or isinstance(given, dict | BaseModel) or message.endswith("?")
    shown = "" if hidden else f" (it is {_shown(path, given, kind)})"
    is_of_several = kind == "value_error" and isinstance(given, dict | BaseModel)
    return _Mistake(path, f"{message}{shown}", is_of_several=is_of_several)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shown(path: tuple[str, ...], given: Any, problem: str) -> str:
    """A value; of one that may be secret, or that stands in the place of several, its type alone."""
    if not _UNSHOWN.isdisjoint(path) or isinstance(given, list) or problem in _NO_SECTION:
        return f"of type {type(given).__name__}, and is not shown"
    text = masked(repr(given))
    return text if len(text) <= 100 else f"{text[:100]}…"


def _known_names(path: tuple[str, ...]) -> list[str]:
    """The settings that a mapping at `path` may have; the keys of a mapping and the places in a list are any."""
    model: Any = Config
    parts = list(path)
    while parts:
        annotation = model.model_fields[parts.pop(0)].annotation
        model = next((a for a in get_args(annotation) if _is_model(a)), annotation)
        if get_origin(annotation) in (dict, list) and parts:
            parts.pop(0)
        if not _is_model(model):
            return []
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _contradictions(config: Config) -> Iterator[_Mistake]:
    """What is right field by field, and wrong together."""
    everything = [*config.sources, *config.datasets]
    for place, window in enumerate(config.maintenance):
        if window.of not in {"all", *everything}:
            hint = _near(window.of, everything) or f"the sources are {', '.join(config.sources)}"
            yield _clash(("maintenance", str(place), "of"), f"no source or dataset {window.of!r}", hint)
    yield from _wrong_rollouts(config)
    yield from _wrong_folders(config)
    owner: dict[str, str] = {}
    for name, dataset in config.datasets.items():
        if dataset.source not in config.sources:
            hint = _near(dataset.source, config.sources) or f"there are {', '.join(config.sources)}"
            yield _clash(("datasets", name, "source"), f"no source {dataset.source!r}", hint)
        elif dataset.schedule is not None:
            schedule = config.datasets.get(dataset.schedule)
            if schedule is None or not schedule.lists_games or schedule.source != dataset.source:
                lists = [n for n, d in config.datasets.items() if d.lists_games and d.source == dataset.source]
                what = f"{dataset.schedule!r} does not list games of {dataset.source}"
                yield _clash(("datasets", name, "schedule"), what, f"those that do: {', '.join(lists)}")
        for key in dataset.keys:
            if key in owner:
                yield _clash(("datasets", name, "keys"), f"{key!r} is a key of {owner[key]} already")
            owner[key] = name


def _wrong_folders(config: Config) -> Iterator[_Mistake]:
    """The lake has folders for what are no files of datasets."""
    if config.history in {".", "..", TEST_FOLDER, OWN_FOLDER}:
        yield _clash(("history",), f"{config.history!r} is none for former versions", "write it as _history")
    others = {TEST_FOLDER: "what runs in test mode store", OWN_FOLDER: "what the lake says of itself"}
    if config.history:
        others.setdefault(config.history, "former versions (history)")
    for name, dataset in config.datasets.items():
        for key in dataset.keys:
            if (folder := key.split("/")[0]) in others:
                what = f"{key!r} is in the folder of the lake for {others[folder]}"
                yield _clash(("datasets", name, "keys"), what, "keys begin with another one")


def _wrong_rollouts(config: Config) -> Iterator[_Mistake]:
    taken: dict[str, str] = {}
    for rollout, settings in config.rollout.items():
        path = ("rollout", rollout)
        unknown = {n: _near(n, config.datasets) for n in settings.datasets if n not in config.datasets}
        unknown |= {n: _near(n, config.sources) for n in settings.sources if n not in config.sources}
        if unknown:
            yield _clash(path, f"no source or dataset {', '.join(unknown)}", " ".join(filter(None, unknown.values())))
        elif not (settings.datasets or settings.sources):
            yield _clash(path, "say which datasets or sources it is about")
        for name, dataset in config.datasets.items():
            if not settings.covers(name, dataset) or dataset.source not in config.sources:
                continue
            if (first := taken.setdefault(name, rollout)) != rollout:
                yield _clash(path, f"{name} is in the rollout {first} already", "one at a time, to be compared")
            try:
                settings.changes.of_dataset(dataset)
                settings.changes.of_source(config.sources[dataset.source])
            except ValidationError as error:
                problem = error.errors()[0]
                field = (*path, "changes", *_path_of(problem))
                yield _clash(field, f"does not fit {name}: {_mistake(problem, field).text}")
                break


def _clash(path: tuple[str, ...], what: str, hint: str = "") -> _Mistake:
    return _Mistake(path, what, hint, is_of_several=True)
