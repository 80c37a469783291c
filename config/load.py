"""How do configuration files, scripts and the environment become one configuration?"""

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

from config.models import (
    CHECK_OPTIONS,
    OWN_FOLDER,
    TEST_FOLDER,
    Check,
    Collect,
    Config,
    Dataset,
    LakeAddress,
    Priority,
    Scripts,
    Source,
)
from config.secrets import masked, register_environment, register_settings

log = logging.getLogger(__name__)

_DEFAULTS = Path(__file__).parent
_DEFAULT_LAYERS = 3  # the layers of found scripts follow the layers of the three files of defaults
_OTHER_VARIABLES = ("ADCE_CONFIG", "ADCE_RECORDED")  # variables that are not settings
_MAX_NESTING = 100  # levels of mappings and lists
_PLAIN_TEXT = ("lake", "ledger", "aws_credentials")  # settings whose environment variables are not read as YAML
# An error never shows the value of one of these settings, nor a value within it, because it may contain a secret.
_UNSHOWN = {"lake", "ledger", "aws_credentials", "headers", "base_url", "url", "command"}
# Types of pydantic's errors:
_NOT_A_SECTION = ("model_type", "dict_type", "list_type")  # the value should be a mapping or a list
_NOT_A_CHOICE = ("enum", "literal_error")  # the value should be one of a few


class ConfigError(Exception):
    """The configuration is invalid. `lines` has one line for each mistake, without secrets."""

    def __init__(self, lines: list[str]):
        self.lines = [masked(line) for line in lines]
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        return ConfigError, (self.lines,)


@dataclass(frozen=True)
class _Layer:
    """Settings from one origin, which errors name: a file, a script or an environment variable."""

    origin: str
    values: dict[str, Any]


def load_config(file: Path | None = None, env: Mapping[str, str] = os.environ) -> Config:
    """The configuration: the defaults, overridden key by key by `file`, and then by the environment `env`.

    Without `file`, ADCE_CONFIG names the file, if it is set. The variable ADCE_<SECTION>__<FIELD> overrides a setting,
    for example ADCE_SOURCES__ESPN__BASE_URL; its value is read as YAML. Secrets in the settings and in `env` are
    registered, so that they are masked from now on (see config.secrets). Raises ConfigError.
    """
    register_environment(env)
    chosen = file or (Path(env["ADCE_CONFIG"]) if env.get("ADCE_CONFIG") else None)
    layers = [_Layer("config/adce.yaml", _read(_DEFAULTS / "adce.yaml"))]
    layers += [
        _Layer(f"config/{name}.yaml", {name: _read(_DEFAULTS / f"{name}.yaml")}) for name in ("sources", "datasets")
    ]
    if chosen:
        layers.append(_Layer(str(chosen), _read(chosen)))
    layers += _from_environment(env, _merged(layers))
    if found := list(_found_scripts(layers)):
        layers[_DEFAULT_LAYERS:_DEFAULT_LAYERS] = found
    merged = _merged(layers)
    register_settings(merged)
    config, mistakes = _validated(merged)
    if config is None:
        raise ConfigError([f"{_origin_of(mistake, layers)}: {mistake}" for mistake in mistakes])
    commands = [dataset.command for dataset in config.datasets.values() if dataset.command]
    commands += [rollout.changes.command for rollout in config.rollout.values() if rollout.changes.command]
    register_environment(env, {name for command in commands for name in command.environment})
    return config


def check_lake(address: str, origin: str) -> None:
    """Raises ConfigError if the text is not the address of a lake. The error names its `origin`, such as "--lake"."""
    register_settings(address)
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
    """A layer for each script in the configured folders. The script scrape_x.py fills the dataset x.

    The settings of the dataset are in the file scrape_x.yaml beside the script, or among those of the other datasets.
    A script without settings is ignored, with a warning. Raises ConfigError for a folder that does not exist, and for
    two scripts that fill the same dataset.
    """
    merged = _merged(layers)
    try:
        scripts = Scripts.model_validate(merged.get("scripts") or {})
    except ValidationError:  # load_config reports this mistake together with all others
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
                _warn_of_script(script, name)
                continue
            if name in owner:
                raise ConfigError([f"{script}: fills {name}, and so does {owner[name]}; rename one of them"])
            owner[name] = script
            entry = _read(beside) if beside.exists() else {}
            command = {"command": {"script": str(script.absolute())}}
            yield _Layer(str(beside if entry else script), {"datasets": {name: _merge(command, entry)}})


@cache
def _warn_of_script(script: Path, name: str) -> None:
    log.warning("%s fills nothing: there is no %s.yaml beside it, and no dataset %s", script, script.stem, name)


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


def _parse(text: str) -> Any:
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
        raise ConfigError([f"{path}: must be a mapping of settings, not a {type(values).__name__}"])
    return values


def _from_environment(env: Mapping[str, str], files: dict[str, Any]) -> Iterator[_Layer]:
    """A layer for each environment variable that is a setting.

    A variable that resembles a setting's name raises ConfigError; any other variable that begins with ADCE_ is ignored,
    with a warning. `files` has the settings of the files, which name the sources and datasets.
    """
    for name, text in sorted(env.items()):
        parts = name.removeprefix("ADCE_").split("__")
        path = [part if part in Priority.__members__ else part.lower() for part in parts]
        if not name.startswith("ADCE_") or name in _OTHER_VARIABLES:
            continue
        if len(path) == 1 and path[0] not in Config.model_fields:
            if suggestion := _suggested_variable(path[0], files):
                raise ConfigError([f"environment variable {name}: no such setting; did you mean {suggestion}?"])
            _warn_of_variable(name)  # it may belong to another program
            continue
        try:
            value: Any = text if path[0] in _PLAIN_TEXT else _parse(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError([f"environment variable {name}: its text is not YAML (it is not shown)"]) from None
        for part in reversed(path):
            value = {part: value}
        yield _Layer(f"environment variable {name}", value)


@cache
def _warn_of_variable(name: str) -> None:
    log.warning("%s is not a setting of ADCE, and is ignored", name)


def _suggested_variable(word: str, files: dict[str, Any]) -> str | None:
    """The variables whose names resemble ADCE_<word>, joined by "or"; None if there are none.

    The word may be misspelt, lack its section, or have a single underscore instead of two.
    """
    settings = list(_settings(Config, files))
    of_tails: dict[str, list[str]] = {}
    for parts in settings:
        for begin in range(len(parts)):
            in_section = len(parts) - _is_named(parts[0]) <= 2  # deeper names, such as `name`, are too common to match
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
    near = difflib.get_close_matches(word, tops, n=1, cutoff=0.75)  # accepts "laek" for "lake"
    return f"ADCE_{near[0]}".upper() if near else None


def _settings(model: type[BaseModel], values: Any) -> Iterator[tuple[str, ...]]:
    """The path of each setting of a model. In a mapping such as `sources`, the names are those in `values`."""
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
    """The variable of the setting with this path, to suggest to a user who wrote only the parts from `begin` on.

    If the user left out the name of an entry, a placeholder stands for it: ADCE_SOURCES__<SOURCE>__LANES.
    """
    if _is_named(parts[0]) and begin > 1:
        parts = (parts[0], f"<{_singular(parts[0])}>", *parts[2:])
    return f"ADCE_{'__'.join(parts)}".upper()


def _is_named(section: str) -> bool:
    """Is the section a mapping from names to entries, such as `sources`?"""
    return get_origin(Config.model_fields[section].annotation) is dict


def _singular(section: str) -> str:
    return section.removesuffix("s")


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _merge(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: _merge(base.get(key), value) for key, value in over.items()}


def _origin(path: tuple[str, ...], layers: list[_Layer]) -> str:
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


class _Mistake(NamedTuple):
    """A mistake in the setting at `path`, and perhaps a hint how to correct it.

    `involves_several` says that the mistake lies in a combination of settings, of which `path` names one.
    """

    path: tuple[str, ...]
    problem: str
    hint: str = ""
    involves_several: bool = False

    @property
    def text(self) -> str:
        """The problem and the hint."""
        return f"{self.problem}; {self.hint}" if self.hint else self.problem

    def __str__(self) -> str:
        field = ".".join(part if part.isprintable() else repr(part) for part in self.path)
        return f"{field or 'configuration'}: {self.text}"


def _validated(merged: dict[str, Any]) -> tuple[Config | None, list[_Mistake]]:
    """The configuration and no mistakes, or None and all mistakes."""
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        return None, list(_mistakes(error, merged))
    mistakes = list(_contradictions(config))
    return (None if mistakes else config), mistakes


def _mistakes(error: ValidationError, merged: dict[str, Any]) -> Iterator[_Mistake]:
    """The mistakes in pydantic's error. All fields that one source, dataset or rollout lacks make one mistake."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    problems = [(_path_of(problem), problem) for problem in error.errors()]
    for path, problem in problems:
        if problem["type"] == "missing" and len(path) == 3 and _is_named(path[0]):
            lacking.setdefault(path[:2], []).append(path[2])
    for path, problem in problems:
        if problem["type"] != "missing" or path[:2] not in lacking:
            yield _mistake(problem, path)
        elif path[2] == lacking[path[:2]][0]:
            yield _incomplete_entry(path[:2], lacking[path[:2]], merged)


def _path_of(problem: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in problem["loc"] if part != "[key]")


def _incomplete_entry(path: tuple[str, ...], lacks: list[str], merged: dict[str, Any]) -> _Mistake:
    """The mistake for a source, dataset or rollout that lacks fields: a misspelt name, or an incomplete new entry."""
    section, name = path
    others = [other for other in merged[section] if other != name]
    needs = f"a new one needs {_listed(lacks)} as well"
    suggestion = _suggestion(name, others)
    return _Mistake(path, f"no {_singular(section)} {name}", f"{suggestion} ({needs})" if suggestion else needs)


def _origin_of(mistake: _Mistake, layers: list[_Layer]) -> str:
    """The origin of a mistake. If the mistake is in a combination of settings, the layer that completed it."""
    if not mistake.involves_several:
        return _origin(mistake.path, layers)
    for count in range(len(layers) - 1, 0, -1):
        _, before = _validated(_merged(layers[:count]))
        if not any((one.path, one.problem) == (mistake.path, mistake.problem) for one in before):
            return layers[count].origin
    return layers[0].origin


def _mistake(problem: Any, path: tuple[str, ...]) -> _Mistake:
    """The mistake for one of pydantic's errors, in words for people who write the configuration."""
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        known = _known_names(path[:-1])
        return _Mistake(path, "no such setting", _suggestion(path[-1], known) or f"known here: {', '.join(known)}")
    message, hint = str(problem["msg"]).removeprefix("Value error, "), ""
    if kind in _NOT_A_CHOICE:
        choices = problem["ctx"]["expected"]
        message = "must be " + choices.replace("'", "")
        hint = _suggestion(given, re.findall("'(.*?)'", choices)) if isinstance(given, str) else ""
    elif kind in _NOT_A_SECTION:
        message = f"must be a {'list' if kind == 'list_type' else 'mapping of settings'}"
    hidden = kind == "missing" or isinstance(given, dict | BaseModel) or message.endswith("?")
    shown = "" if hidden else f" (it is {_shown(path, given, kind)})"
    involves_several = kind == "value_error" and isinstance(given, dict | BaseModel)
    return _Mistake(path, f"{message}{shown}", hint, involves_several)


def _suggestion(name: str, known: Iterable[str]) -> str:
    """A question that proposes the known name most similar to `name`; empty if none is similar."""
    similar = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {similar[0]}?" if similar else ""


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shown(path: tuple[str, ...], given: Any, problem: str) -> str:
    """The value that was given, or only its type if it may contain a secret or is a whole section."""
    if not _UNSHOWN.isdisjoint(path) or isinstance(given, list) or problem in _NOT_A_SECTION:
        return f"of type {type(given).__name__}, and is not shown"
    text = masked(repr(given))
    return text if len(text) <= 100 else f"{text[:100]}…"


def _known_names(path: tuple[str, ...]) -> list[str]:
    """The names of the settings that a section at `path` may have; empty for a mapping with any names."""
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
    """Mistakes in combinations of settings, each of which is valid alone."""
    everything = [*config.sources, *config.datasets]
    for place, window in enumerate(config.maintenance):
        if window.of not in {"all", *everything}:
            hint = _suggestion(window.of, everything) or f"the sources are {', '.join(config.sources)}"
            yield _clash(("maintenance", str(place), "of"), f"no source or dataset {window.of!r}", hint)
    yield from _wrong_rollouts(config)
    yield from _wrong_folders(config)
    yield from _wrong_checks(config)
    yield from _wrong_collection(config)
    owner: dict[str, str] = {}
    for name, dataset in config.datasets.items():
        if dataset.source not in config.sources:
            hint = _suggestion(dataset.source, config.sources) or f"the sources are {', '.join(config.sources)}"
            yield _clash(("datasets", name, "source"), f"no source {dataset.source!r}", hint)
        elif dataset.schedule is not None:
            schedule = config.datasets.get(dataset.schedule)
            if schedule is None or not schedule.lists_games or schedule.source != dataset.source:
                lists = [n for n, d in config.datasets.items() if d.lists_games and d.source == dataset.source]
                problem = f"{dataset.schedule!r} does not list games of {dataset.source}"
                yield _clash(("datasets", name, "schedule"), problem, f"datasets that do: {', '.join(lists)}")
        if dataset.source in config.sources:
            yield from _unfit(("datasets", name, "command"), dataset, config.sources[dataset.source])
        for key in dataset.keys:
            if key in owner:
                yield _clash(("datasets", name, "keys"), f"{key!r} is already a key of {owner[key]}")
            owner[key] = name


def _unfit(path: tuple[str, ...], dataset: Dataset, source: Source) -> Iterator[_Mistake]:
    """The mistake in a command whose parameters refuse values that the files of its dataset have."""
    if found := dataset.unfit_example(source.game_ids):
        yield _clash((*path, "parameters", found[0]), found[1])


def _wrong_folders(config: Config) -> Iterator[_Mistake]:
    """Mistakes in keys that lie in a folder of the lake which is reserved for other files than a dataset's."""
    if config.history in {".", "..", TEST_FOLDER, OWN_FOLDER}:
        yield _clash(("history",), f"{config.history!r} cannot hold former versions", "write it as _history")
    others = {TEST_FOLDER: "what runs in test mode store", OWN_FOLDER: "ADCE's own files"}
    if config.history:
        others.setdefault(config.history, "former versions (history)")
    for name, dataset in config.datasets.items():
        for key in dataset.keys:
            if (folder := key.split("/")[0]) in others:
                problem = f"{key!r} is in the folder of the lake for {others[folder]}"
                yield _clash(("datasets", name, "keys"), problem, "begin the key with another folder")


def _wrong_checks(config: Config) -> Iterator[_Mistake]:
    """Mistakes in body checks: unknown names, and options that another check has."""
    checks: dict[tuple[str, ...], Check] = {
        ("datasets", name, "check"): dataset.check for name, dataset in config.datasets.items()
    }
    for name, rollout in config.rollout.items():
        if rollout.changes.check:
            checks["rollout", name, "changes", "check"] = rollout.changes.check
    for path, check in checks.items():
        if check.name not in CHECK_OPTIONS:
            hint = _suggestion(check.name, CHECK_OPTIONS) or f"there are {', '.join(CHECK_OPTIONS)}"
            yield _clash((*path, "name"), f"no check {check.name!r}", hint)
        else:
            has = ", ".join(CHECK_OPTIONS[check.name]) or "none"
            for option in check.misplaced():
                yield _clash((*path, option), f"not an option of the check {check.name}", f"its options: {has}")
            if "tables" in CHECK_OPTIONS[check.name] and not check.tables:
                yield _clash(
                    (*path, "tables"), f"the check {check.name} needs the id of a table", "as in [totals_stats]"
                )


def _wrong_collection(config: Config) -> Iterator[_Mistake]:
    """Mistakes in what is to be collected: unknown names, and a part that is empty."""
    collect, datasets = config.collect, config.datasets
    for field, names, known in (("sources", collect.sources, config.sources), ("datasets", collect.datasets, datasets)):
        for name in names:
            if name not in known:
                hint = _suggestion(name, known) or f"the {field} are {', '.join(known)}"
                yield _clash(("collect", field), f"no {_singular(field)} {name!r}", hint)
                return
    for name in collect.datasets:
        if collect.sources and (source := datasets[name].source) not in collect.sources:
            yield _clash(("collect", "datasets"), f"{name} is a dataset of {source}", "add that to collect.sources")
            return
    chosen = {name: dataset for name, dataset in datasets.items() if collect.chooses(name, dataset.source)}
    for name in collect.sources:
        if all(dataset.source != name for dataset in chosen.values()):
            problem = f"none of the datasets is of {name}"
            yield _clash(("collect", "sources"), problem, "leave it out, or add one to collect.datasets")
            return
    earliest = min((dataset.first_season for dataset in chosen.values()), default="")
    since = str(collect.since or earliest)
    for field, begin in [("since", since), *(("seasons", season) for season in collect.seasons)]:
        if begin[:4] < earliest[:4]:
            of = "" if collect == Collect(since=collect.since, seasons=collect.seasons) else " of what is collected"
            yield _clash(("collect", field), f"{begin} is too early", f"the first season{of} is {earliest}")
        elif field == "seasons" and begin[:4] < since[:4] and isinstance(collect.since, str):
            yield _clash(("collect", field), f"{begin} is before collect.since", f"that is {since}")


def _wrong_rollouts(config: Config) -> Iterator[_Mistake]:
    """Mistakes in rollouts: unknown names, a dataset in two rollouts, and changes that do not fit a dataset."""
    taken: dict[str, str] = {}
    for rollout, settings in config.rollout.items():
        path = ("rollout", rollout)
        unknown = {n: _suggestion(n, config.datasets) for n in settings.datasets if n not in config.datasets}
        unknown |= {n: _suggestion(n, config.sources) for n in settings.sources if n not in config.sources}
        if unknown:
            yield _clash(path, f"no source or dataset {', '.join(unknown)}", " ".join(filter(None, unknown.values())))
        elif not (settings.datasets or settings.sources):
            yield _clash(path, "name the datasets or sources that it applies to")
        for name, dataset in config.datasets.items():
            if not settings.covers(name, dataset) or dataset.source not in config.sources:
                continue
            if (first := taken.setdefault(name, rollout)) != rollout:
                yield _clash(path, f"{name} is already in the rollout {first}", "a dataset may be in one at a time")
            try:
                changed = settings.changes.of_dataset(dataset)
                settings.changes.of_source(config.sources[dataset.source])
                if settings.changes.command:
                    yield from _unfit((*path, "changes", "command"), changed, config.sources[dataset.source])
            except ValidationError as error:
                problem = error.errors()[0]
                field = (*path, "changes", *_path_of(problem))
                yield _clash(field, f"does not fit {name}: {_mistake(problem, field).text}")
                break


def _clash(path: tuple[str, ...], problem: str, hint: str = "") -> _Mistake:
    """A mistake in a combination of settings."""
    return _Mistake(path, problem, hint, involves_several=True)
