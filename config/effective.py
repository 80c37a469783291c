"""Which value has each setting, and where does it come from?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel

from config.layers import Layer, is_set
from config.models import Config, written
from config.secrets import MASK, is_harmless_header, is_secret_url, masked

DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """A setting, its value as it would be written in YAML, without secrets, and the origin of the value."""

    path: tuple[str, ...]
    value: Any
    origin: str  # a file, an environment variable, or DEFAULT

    @property
    def name(self) -> str:
        """The dotted name, such as `sources.espn.lanes`."""
        return ".".join(self.path)


def effective_settings(config: Config, layers: Sequence[Layer]) -> Iterator[Setting]:
    """All settings of a configuration that was made of these layers."""
    for path, value in _leaves((), config):
        layer = next((layer for layer in reversed(layers) if is_set(layer.values, path)), layers[0])
        yield Setting(path, _without_secrets(path, value), DEFAULT if layer.is_default else layer.origin)


def effective_values(config: Config) -> dict[str, Any]:
    """The values of all settings by their dotted names, as they would be written in YAML, without secrets."""
    return {".".join(path): _without_secrets(path, value) for path, value in _leaves((), config)}


def in_section(settings: Sequence[Setting], section: str) -> list[Setting]:
    """The settings in a section or an entry, such as `sources.espn`, or the one of that name; all if it is empty."""
    parts = tuple(filter(None, section.split(".")))
    return [setting for setting in settings if setting.path[: len(parts)] == parts]


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values below `path`. A list is one value, and so is an empty section."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        given = value.model_fields_set if path[:1] == ("rollout",) else {name for name, _ in fields}
        inner = {field.alias or name: getattr(value, name) for name, field in fields if name in given}
    elif isinstance(value, dict) and value:
        inner = {_plain(name): entry for name, entry in value.items()}
    else:
        yield path, _plain(value)
        return
    for name, entry in inner.items():
        yield from _leaves((*path, name), entry)


def _plain(value: Any) -> Any:
    """A value as it would be written in YAML."""
    if isinstance(value, BaseModel):
        given = {field.alias or name: getattr(value, name) for name, field in type(value).model_fields.items()}
        return {name: _plain(inner) for name, inner in given.items()}
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return written(value)
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, date):  # a datetime, too
        return value.isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _without_secrets(path: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets((*path, name), inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_argument(path, *pair) for pair in zip(["", *value], value, strict=False)]
    if (path[-1:] == ("token",) or is_secret_url(path)) and value is not None:
        return MASK
    if "headers" in path and value is not None and not is_harmless_header(path[-1]):
        return MASK
    return masked(value) if isinstance(value, str) else value


def _argument(path: tuple[str, ...], previous: Any, value: Any) -> Any:
    """A value of a list. If the list is a command line, the value may be the secret of an option before it."""
    alone = _without_secrets(path, value)
    is_secret = isinstance(alone, str) and masked(f"{previous} {alone}") != f"{masked(str(previous))} {alone}"
    return MASK if is_secret else alone
