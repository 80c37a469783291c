"""What do the environment variables set, and which variable was meant by a misspelt one?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from config.layers import ConfigError, Layer, parse
from config.models import Config, Priority
from config.secrets import is_secret_url
from config.tree import is_model, is_named, settings, singular

_OTHER_VARIABLES = ("ADCE_CONFIG", "ADCE_LOG_FORMAT", "ADCE_RECORDED")  # variables that are not settings
# Settings whose environment variables are not read as YAML. A token may look like a number.
_PLAIN_TEXT = (["lake"], ["ledger"], ["aws_credentials"], ["serve", "token"], ["alerts", "ping"])


def variable_layers(env: Mapping[str, str], files: dict[str, Any]) -> Iterator[Layer]:
    """A layer for each environment variable that is a setting.

    `files` has the settings of the files, which name the sources and datasets. Raises ConfigError, with a line for each
    variable that begins with ADCE_ and is not a setting: what it was meant to set would otherwise go unnoticed.
    """
    mistakes = []
    for name, text in sorted(env.items()):
        if not name.startswith("ADCE_") or name in _OTHER_VARIABLES:
            continue
        parts = name.removeprefix("ADCE_").split("__")
        path = [part if part in Priority.__members__ else part.lower() for part in parts]
        if len(path) == 1 and path[0] not in Config.model_fields:
            meant = _suggested_variable(path[0], files)
            remedy = f"did you mean {meant}?" if meant else f"if it is not meant for ADCE, type: unset {name}"
            mistakes.append(f"environment variable {name}: no such setting; {remedy}")
            continue
        try:
            value: Any = text if path in _PLAIN_TEXT or is_secret_url(path) else parse(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            mistakes.append(f"environment variable {name}: its text is not YAML (it is not shown)")
            continue
        for part in reversed(path):
            value = {part: value}
        yield Layer(f"environment variable {name}", value)
    if mistakes:
        raise ConfigError(mistakes)


def _suggested_variable(word: str, files: dict[str, Any]) -> str | None:
    """The variables whose names resemble ADCE_<word>, joined by "or"; None if there are none.

    The word may be misspelt, lack its section, or have a single underscore instead of two.
    """
    of_tails: dict[str, list[str]] = {}
    for parts in settings(Config, files):
        for begin in range(len(parts)):
            in_section = len(parts) - is_named(parts[0]) <= 2  # deeper names, such as `name`, are too common to match
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
            is_section = name != "config" and (is_named(name) or is_model(Config.model_fields[name].annotation))
            rest = f"__{word.removeprefix(f'{name}_')}" if is_section else ""
            return f"ADCE_{name}{rest}".upper()
    near = difflib.get_close_matches(word, tops, n=1, cutoff=0.75)  # accepts "laek" for "lake"
    return f"ADCE_{near[0]}".upper() if near else None


def _variable(parts: tuple[str, ...], begin: int) -> str:
    """The variable of the setting with this path, to suggest to a user who wrote only the parts from `begin` on.

    If the user left out the name of an entry, a placeholder stands for it: ADCE_SOURCES__<SOURCE>__LANES.
    """
    if is_named(parts[0]) and begin > 1:
        parts = (parts[0], f"<{singular(parts[0])}>", *parts[2:])
    return f"ADCE_{'__'.join(parts)}".upper()
