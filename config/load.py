"""How do configuration files, scripts and the environment become one configuration?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from config.environment import variable_layers
from config.layers import ConfigError as ConfigError  # the rest of ADCE imports it from here
from config.layers import Layer, file_layer, merged, origin_of, read, renamed
from config.models import (
    CHECK_OPTIONS,
    OWN_FOLDER,
    TEST_FOLDER,
    Check,
    Collect,
    Config,
    Dataset,
    LakeAddress,
    LedgerAddress,
    QueueAddress,
    SecretUrl,
    Source,
    are_one_place,
    example_fields,
    pattern_of,
    written,
)
from config.names import listed, nearest, suggestion, suggestion_or_list
from config.scripts import found_scripts
from config.secrets import masked, register_environment, register_settings
from config.tree import is_named, known_names, known_types, singular

HERE = Path("adce.yaml")  # the file that is read if none is named, in the working folder
_DEFAULTS = Path(__file__).parent
_DEFAULT_LAYERS = 3  # the layers of found scripts follow the layers of the three files of defaults
# An error never shows the value of one of these settings, nor a value within it, because it may contain a secret.
_UNSHOWN = {"lake", "ledger", "aws_credentials", "headers", "base_url", "url", "command", "token", "ping"}
# Types of pydantic's errors:
_NOT_A_SECTION = (
    "model_type",
    "model_attributes_type",
    "dict_type",
    "list_type",
)  # the value should be a mapping or a list
_NOT_A_VALUE = {
    "string_type": "must be a single text, in quotes if it is a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}
_TARGETS = ("alerts", "targets")  # each of whose entries has a type, by which it has its settings
_NOT_A_CHOICE = ("enum", "literal_error")  # the value should be one of a few
# An address of which the scheme may be shown, because nothing in the rest looks like a password
_WITH_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*://)?([\w./~-]*)")
_PING: TypeAdapter[str | None] = TypeAdapter(SecretUrl | None)
_NO_WORK = ("ADCE_DRY_RUN", "ADCE_TEST_MODE", "ADCE_SANDBOX")  # variables
_ADDRESSES: dict[str, TypeAdapter[str]] = {
    "lake": TypeAdapter(LakeAddress),
    "ledger": TypeAdapter(LedgerAddress),
    "queue": TypeAdapter(QueueAddress),
}


def load_config(
    file: Path | None = None, env: Mapping[str, str] | None = None, options: Sequence[Layer] = ()
) -> Config:
    """The configuration: the defaults, overridden key by key by `file`, then by the environment `env`, and `options`.

    Without `file`, it is the file of `settings_file`. The variable ADCE_<SECTION>__<FIELD> overrides a setting, for
    example ADCE_SOURCES__ESPN__BASE_URL; its value is read as YAML. Secrets in the settings and in the environment are
    registered, so that they are masked from now on (see config.secrets). Raises ConfigError.
    """
    return load_layers(file, env, options)[0]


def load_layers(
    file: Path | None = None, env: Mapping[str, str] | None = None, options: Sequence[Layer] = ()
) -> tuple[Config, list[Layer]]:
    """The configuration, as `load_config` returns it, and the layers that it is made of, the last of which wins."""
    chosen = file or settings_file(env)
    env = os.environ if env is None else env
    register_environment(env)
    layers = [Layer("config/adce.yaml", read(_DEFAULTS / "adce.yaml"), is_default=True)]
    layers += [
        Layer(f"config/{name}.yaml", {name: read(_DEFAULTS / f"{name}.yaml")}, is_default=True)
        for name in ("sources", "datasets")
    ]
    if chosen:
        layers.append(file_layer(chosen))
    layers += [*variable_layers(env, merged(layers)), *options]
    layers = [renamed(layer) for layer in layers]
    if found := list(found_scripts(layers)):
        layers[_DEFAULT_LAYERS:_DEFAULT_LAYERS] = found
    settings = merged(layers)
    register_settings(settings)
    config, mistakes = _validated(settings)
    if config is None:
        raise ConfigError([f"{_origin_of(mistake, layers)}: {mistake}" for mistake in mistakes])
    commands = [dataset.command for dataset in config.datasets.values() if dataset.command]
    commands += [rollout.changes.command for rollout in config.rollout.values() if rollout.changes.command]
    register_environment(env, {name for command in commands for name in command.environment})
    return config, layers


def ping_of(env: Mapping[str, str] | None = None) -> str | None:
    """The URL of `alerts.ping` in the environment alone, for a run whose configuration does not load; None without one.

    It is None, too, if the environment says that the run does no work on the lake.
    """
    env = os.environ if env is None else env
    if any(env.get(name, "").lower() not in ("", "false") for name in _NO_WORK):
        return None
    try:
        return _PING.validate_python(env.get("ADCE_ALERTS__PING"))
    except ValidationError:
        return None


def settings_file(env: Mapping[str, str] | None = None) -> Path | None:
    """The file of settings that `env` names as ADCE_CONFIG; None if there is none, or if the variable is empty.

    Without `env`, it is this process's environment, and if ADCE_CONFIG is not set there, the file is `adce.yaml` in the
    working folder, if it exists.
    """
    name = (os.environ if env is None else env).get("ADCE_CONFIG")
    if name is None:
        return HERE if env is None and HERE.is_file() else None
    return Path(name).expanduser() if name else None


def checked_address(of: str, text: str, origin: str) -> str:
    """The address of the "lake", the "ledger" or the "queue" that a text gives; of the first two perhaps as a path.

    Raises ConfigError for any other text. The error names its `origin`, such as "--lake".
    """
    register_settings(text)
    try:
        return _ADDRESSES[of].validate_python(text)
    except ValidationError as error:
        raise ConfigError([f"{origin}: {_mistake(problem, (of,)).text}" for problem in error.errors()]) from None


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
    """The mistakes in pydantic's error. All fields that one source, dataset or rollout lacks make one mistake.

    A field that is lacking because its name is misspelt is no mistake besides that name.
    """
    lacking: dict[tuple[str, ...], list[str]] = {}
    problems = [(_path_of(problem), problem) for problem in error.errors()]
    unknown = [(path, problem) for path, problem in problems if problem["type"] == "extra_forbidden"]
    misspelt = {(*p[:-1], nearest(p[-1], known_names(_path_with_type(problem)[:-1]))) for p, problem in unknown}
    problems = [(path, problem) for path, problem in problems if problem["type"] != "missing" or path not in misspelt]
    for path, problem in problems:
        if problem["type"] == "missing" and len(path) == 3 and is_named(path[0]):
            lacking.setdefault(path[:2], []).append(path[2])
    for path, problem in problems:
        if problem["type"] != "missing" or path[:2] not in lacking:
            yield _mistake(problem, path)
        elif path[2] == lacking[path[:2]][0]:
            yield _incomplete_entry(path[:2], lacking[path[:2]], merged)


def _path_of(problem: Any) -> tuple[str, ...]:
    path = _path_with_type(problem)
    return (*path[:3], *path[4:]) if path[:2] == _TARGETS else path


def _path_with_type(problem: Any) -> tuple[str, ...]:
    """The path of one of pydantic's errors, in which the type of an entry follows its name, if entries have types."""
    return tuple(str(part) for part in problem["loc"] if part != "[key]")


def _incomplete_entry(path: tuple[str, ...], lacks: list[str], merged: dict[str, Any]) -> _Mistake:
    """The mistake for a source, dataset or rollout that lacks fields: a misspelt name, or an incomplete new entry."""
    section, name = path
    others = [other for other in merged[section] if other != name]
    needs = f"a new one needs {listed(lacks)} as well"
    meant = suggestion(name, others)
    return _Mistake(path, f"no {singular(section)} {name}", f"{meant} ({needs})" if meant else needs)


def _origin_of(mistake: _Mistake, layers: list[Layer]) -> str:
    """The origin of a mistake. If the mistake is in a combination of settings, the layer that completed it."""
    if not mistake.involves_several:
        return origin_of(mistake.path, layers)
    for count in range(len(layers) - 1, 0, -1):
        _, before = _validated(merged(layers[:count]))
        if not any((one.path, one.problem) == (mistake.path, mistake.problem) for one in before):
            return layers[count].origin
    return layers[0].origin


def _mistake(problem: Any, path: tuple[str, ...]) -> _Mistake:
    """The mistake for one of pydantic's errors, in words for people who write the configuration."""
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        known = known_names(_path_with_type(problem)[:-1])
        return _Mistake(path, "no such setting", suggestion_or_list(path[-1], known, "known here:"))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_type(problem, path)
    message, hint = str(problem["msg"]).removeprefix("Value error, "), ""
    message = message.replace("Input should be", "must be")
    if kind in _NOT_A_CHOICE:
        choices = problem["ctx"]["expected"]
        message = "must be " + choices.replace("'", "")
        hint = suggestion(given, re.findall("'(.*?)'", choices)) if isinstance(given, str) else ""
    elif kind in _NOT_A_SECTION:
        message = "must be a list, as in [a, b]" if kind == "list_type" else "must be a mapping of settings"
    elif kind in _NOT_A_VALUE:
        message = _NOT_A_VALUE[kind]
    hidden = kind == "missing" or isinstance(given, dict | BaseModel) or message.endswith("?")
    shown = "" if hidden else f" (it is {_shown(path, given, kind)})"
    involves_several = kind == "value_error" and isinstance(given, dict | BaseModel)
    return _Mistake(path, f"{message}{shown}", hint, involves_several)


def _wrong_type(problem: Any, path: tuple[str, ...]) -> _Mistake:
    """The mistake of an entry that has no type, or a type that does not exist."""
    types = re.findall("'(.*?)'", problem["ctx"].get("expected_tags", "")) or sorted(known_types(path[:-1]))
    if problem["type"] == "union_tag_not_found":
        return _Mistake(path, "needs a type", f"one of {', '.join(types)}")
    given = problem["ctx"]["tag"]
    hint = suggestion_or_list(given, types, "there are")
    return _Mistake((*path, "type"), f"no type {masked(repr(given))[:100]}", hint)


def _shown(path: tuple[str, ...], given: Any, problem: str) -> str:
    """The value that was given, or only its type if it may contain a secret or is a whole section."""
    if path[-1] in _ADDRESSES and isinstance(given, str) and (address := _WITH_SCHEME.fullmatch(given)):
        scheme, rest = address.groups()
        if not rest:
            return repr(given)
        if scheme:
            return f"of type str, and begins with {scheme}"
    if not _UNSHOWN.isdisjoint(path) or isinstance(given, list) or problem in _NOT_A_SECTION:
        return f"of type {type(given).__name__}, and is not shown"
    text = masked(repr(_as_in_yaml(given)))
    return text if len(text) <= 100 else f"{text[:100]}…"


def _as_in_yaml(given: Any) -> Any:
    if isinstance(given, timedelta):
        return written(given)
    return given.isoformat() if isinstance(given, date) else given


def _contradictions(config: Config) -> Iterator[_Mistake]:
    """Mistakes in combinations of settings, each of which is valid alone."""
    everything = [*config.sources, *config.datasets]
    for place, window in enumerate(config.maintenance):
        if window.of not in {"all", *everything}:
            hint = suggestion_or_list(window.of, everything, "the sources are", config.sources)
            yield _clash(("maintenance", str(place), "of"), f"no source or dataset {window.of!r}", hint)
    yield from _wrong_rollouts(config)
    yield from _wrong_folders(config)
    yield from _ledger_in_place_of_the_lake(config)
    yield from _wrong_checks(config)
    yield from _wrong_collection(config)
    yield from _colliding_keys(config)
    for name, dataset in config.datasets.items():
        if dataset.source not in config.sources:
            hint = suggestion_or_list(dataset.source, config.sources, "the sources are")
            yield _clash(("datasets", name, "source"), f"no source {dataset.source!r}", hint)
        elif dataset.schedule is not None:
            schedule = config.datasets.get(dataset.schedule)
            if schedule is None or not schedule.lists_games or schedule.source != dataset.source:
                lists = [n for n, d in config.datasets.items() if d.lists_games and d.source == dataset.source]
                problem = f"{dataset.schedule!r} does not list games of {dataset.source}"
                yield _clash(("datasets", name, "schedule"), problem, f"datasets that do: {', '.join(lists)}")
        if dataset.source in config.sources:
            yield from _unfit(("datasets", name, "command"), dataset, config.sources[dataset.source])


def _unfit(path: tuple[str, ...], dataset: Dataset, source: Source) -> Iterator[_Mistake]:
    """The mistake in a command whose parameters refuse values that the files of its dataset have."""
    if found := dataset.unfit_example(source.game_ids):
        yield _clash((*path, "parameters", found[0]), found[1])


def _colliding_keys(config: Config) -> Iterator[_Mistake]:
    """Mistakes in keys that two datasets, or two templates of one dataset, can have in common."""
    before: list[tuple[str, str, re.Pattern[str], list[str]]] = []
    for name, dataset in config.datasets.items():
        game_id, ids = "", list[str]()
        if source := config.sources.get(dataset.source):
            game_id, ids = source.game_id, source.game_id_examples()
        for key in dataset.keys:
            pattern = re.compile(pattern_of(key, game_id))
            examples = [key.format_map(example_fields(dataset.first_season) | {"id": example}) for example in ids]
            for other_name, other, other_pattern, other_examples in before:
                if key == other:
                    yield _clash(("datasets", name, "keys"), f"{key!r} is already a key of {other_name}")
                    break
                shared = [k for k in examples if other_pattern.fullmatch(k)]
                if shared := shared or [k for k in other_examples if pattern.fullmatch(k)]:
                    problem = f"{key!r} collides with {other!r} of {other_name}: both can be {shared[0]}"
                    yield _clash(("datasets", name, "keys"), problem)
                    break
            before.append((name, key, pattern, examples))


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


def _ledger_in_place_of_the_lake(config: Config) -> Iterator[_Mistake]:
    """The mistake of a SQLite ledger whose file would be where the lake's folder is, or should be."""
    if are_one_place(config.lake, config.ledger):
        yield _clash(("ledger",), "is the folder of the lake", "name a file beside it, such as ./adce.db")


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
            hint = suggestion_or_list(check.name, CHECK_OPTIONS, "there are")
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
                hint = suggestion_or_list(name, known, f"the {field} are")
                yield _clash(("collect", field), f"no {singular(field)} {name!r}", hint)
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
        unknown = {n: suggestion(n, config.datasets) for n in settings.datasets if n not in config.datasets}
        unknown |= {n: suggestion(n, config.sources) for n in settings.sources if n not in config.sources}
        if unknown:
            yield _clash(path, f"no source or dataset {', '.join(unknown)}", " ".join(filter(None, unknown.values())))
        elif not (settings.datasets or settings.sources):
            yield _clash(path, "name the datasets or sources that it applies to")
        for name, dataset in config.datasets.items():
            if not settings.covers(name, dataset) or dataset.source not in config.sources:
                continue
            if (first := taken.setdefault(name, rollout)) != rollout:
                yield _clash(path, f"{name} is already in the variant {first}", "a dataset may be in one at a time")
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
