"""How does the sandbox answer requests for a user's own dataset? As the routes in a file say.

The file maps templates of a path and query, which begin with the source, to answers:

    /nba/boxscoreusagev3?GameID={id}: {file: "usage_{id}.json"}
    /br/leagues/NBA_{end_year}_per_game.html: [{status: 503}, {file: per_game.html}]
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from config.models import FIELD_PATTERNS, Model
from deployments.sandbox.sites import HTML, JSON, PREFIXES, Page

_PATTERNS = FIELD_PATTERNS | {"id": r"[A-Za-z0-9_-]+"}


class RoutesError(Exception):
    """A file of routes cannot be used. The message is one line that names the file and the route."""


class Answer(Model):
    """An answer: a status with a body, which stands here or in a file.

    The body and the name of the file may name the fields of the route, as {id}.
    """

    status: int = Field(default=200, ge=200, le=599)
    headers: dict[str, str] = Field(default={})
    body: str | dict[str, Any] | list[Any] = ""
    file: str | None = None

    @model_validator(mode="after")
    def _has_one_body(self) -> Answer:
        if self.body and self.file is not None:
            raise ValueError("give a body or a file, not both")
        return self

    def page(self, fields: Mapping[str, str], folder: Path) -> Page | None:
        """The response for the values of the route's fields; None if there is no such file in the folder."""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        if self.file is not None:
            path = folder / _filled(self.file, fields)
            if not path.is_file():
                return None
            text = path.read_bytes().decode(errors="surrogateescape")
        body = _filled(text, fields).encode(errors="surrogateescape")
        return Page(self.status, HTML if body.lstrip().startswith(b"<") else JSON, body, dict(self.headers))


@dataclass(frozen=True)
class _Route:
    """The answers to one template of a path and query: to the first request, the second, and so on."""

    source: str
    path: re.Pattern[str]
    query: Mapping[str, re.Pattern[str]]
    answers: list[Answer]

    def match(self, source: str, url: str) -> dict[str, str] | None:
        """The values of the fields in a URL; None if it does not match. It may have more parameters than the route."""
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        found = [self.path.fullmatch(parts.path)] if source == self.source else [None]
        found += [pattern.fullmatch(given.get(name, "")) for name, pattern in self.query.items()]
        return {k: v for one in found if one for k, v in one.groupdict().items()} if all(found) else None


@dataclass(frozen=True)
class Routes:
    """The routes of a file, in its order. Those that match first decide."""

    folder: Path = Path()
    routes: list[_Route] = field(default_factory=list)

    @property
    def sources(self) -> set[str]:
        """The sources that have routes."""
        return {route.source for route in self.routes}

    def answer(self, source: str, url: str, count: int) -> Page | None:
        """The response to the `count`th request for a path and query of a source; None if no route has one."""
        for route in self.routes:
            if (fields := route.match(source, url)) is not None:
                return route.answers[min(count, len(route.answers)) - 1].page(fields, self.folder)
        return None


def read_routes(path: Path) -> Routes:
    """The routes of a file. Raises RoutesError."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RoutesError(f"{path}: cannot be read: {getattr(error, 'strerror', 'it is not UTF-8 text')}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise RoutesError(f"{path}: not YAML{where}: {getattr(error, 'problem', error)}") from None
    if not isinstance(given, dict):
        raise RoutesError(f"{path}: must map paths, such as /nba/path?GameID={{id}}, to answers")
    routes = []
    for template, answer in given.items():
        try:
            routes.append(_route(str(template), answer, path.parent))
        except ValidationError as error:
            raise RoutesError(f"{path}: {template}: {_mistake(error)}") from None
        except ValueError as error:
            raise RoutesError(f"{path}: {template}: {error}") from None
    return Routes(path.parent, routes)


def _mistake(error: ValidationError) -> str:
    """The first mistake in the answers of a route: where it is, and what is allowed."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        problem = f"no such setting; there are {', '.join(Answer.model_fields)}"
    elif first["type"] == "model_type":
        problem = "must be an answer, such as {file: body.json}, or a list of answers"
    else:
        problem = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {problem}" if where else problem


def _route(template: str, given: object, folder: Path) -> _Route:
    if isinstance(given, list):
        answers = TypeAdapter(list[Answer]).validate_python(given)
    else:
        answers = [Answer.model_validate(given)]
    parts = urlsplit(template)
    _, _, rest = parts.path.partition("/")
    site, _, rest = rest.partition("/")
    if not template.startswith("/") or not re.fullmatch(r"[a-z0-9_]+", site):
        raise ValueError("a path begins with its source: /espn/, /nba/, /br/, or the name of one of your own")
    query = {name: _pattern(value) for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    route = _Route(PREFIXES.get(site, site), _pattern(f"/{rest}"), query, answers)
    fields = {name for pattern in (route.path, *query.values()) for name in pattern.groupindex}
    for answer in route.answers:
        is_fixed = answer.file == _filled(answer.file or "", dict.fromkeys(fields, ""))
        if answer.file and is_fixed and not (folder / answer.file).is_file():
            raise ValueError(f"no file {answer.file!r} in {folder.absolute()}")
    return route


def _pattern(template: str) -> re.Pattern[str]:
    parts = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(literal))
        if name is not None and name not in _PATTERNS:
            raise ValueError(f"no field {{{name}}}; there are {', '.join(_PATTERNS)}")
        parts.append(f"(?P<{name}>{_PATTERNS[name]})" if name else "")
    return re.compile("".join(parts))


def _filled(text: str, fields: Mapping[str, str]) -> str:
    """The text with each {name} of a field replaced by its value; all other braces stay, as JSON has many."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: fields.get(match[1], match[0]), text)
