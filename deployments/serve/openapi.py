"""How does OpenAPI describe the service? From the paths, and from the models of their documents."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deployments.serve.paths import BADGE, COVERAGE, HTML, JSON, LOGIN, PATHS, PROBES, PROBLEM, REFUSED, Path
from tasks.show.documents.service import Problem

_ALWAYS = (
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,  # there are too many connections, or the ledger has not been read
    HTTPStatus.INTERNAL_SERVER_ERROR,
    *REFUSED,
)
_NOT_FOR_PROBES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.MISDIRECTED_REQUEST)
_FORM = {
    "type": "object",
    "properties": {"token": {"type": "string", "pattern": "[^\\s]"}},
    "required": ["token"],
}


def openapi(version: str, datasets: Iterable[str], *, has_form: bool) -> dict[str, Any]:
    """The description of the service in OpenAPI 3.1. With `has_form`, it has the form for the token, too."""
    models: list[type[BaseModel]] = [Problem, *(path.document for path in PATHS if path.document)]
    names, schemas = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    paths = {path.path: _operations(path, names, list(datasets)) for path in PATHS}
    if has_form:
        paths[LOGIN] = _form(names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ADCE",
            "version": version,
            "description": "Status, health and metrics of ADCE. All answers are of the last reading of the ledger.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operations(path: Path, names: Any, datasets: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "get": _operation(path, names, has_body=True),
        "head": _operation(path, names, has_body=False),
    }
    if path.path == BADGE:
        schema = {"type": "string", "enum": datasets}
        found["parameters"] = [{"name": "dataset", "in": "path", "required": True, "schema": schema}]
    return found


def _operation(path: Path, names: Any, *, has_body: bool) -> dict[str, Any]:
    schema = _reference(path.document, names) if path.document else {} if path.types == (JSON,) else {"type": "string"}
    content = {"content": {type: {"schema": schema} for type in path.types}} if has_body else {}
    responses: dict[str, Any] = {"200": {"description": path.about} | content}
    problems = [*_ALWAYS, *(() if path.path in PROBES else _NOT_FOR_PROBES)]
    for status in [*problems, *([HTTPStatus.NOT_FOUND] if path.path in (BADGE, COVERAGE) else [])]:
        responses[str(status.value)] = _problem(status, names, has_body=has_body)
    if path.may_fail:
        failed = responses["503"]
        both = {**content.get("content", {}), **failed.get("content", {})}
        responses["503"] = failed | ({"content": both} if both else {})
    return {"summary": path.about, "responses": responses}


def _form(names: Any) -> dict[str, Any]:
    html = {HTML: {"schema": {"type": "string"}}}
    page = {"content": html}
    body = {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": _FORM}}}
    statuses = (*_ALWAYS, HTTPStatus.MISDIRECTED_REQUEST)
    problems = {str(status.value): _problem(status, names, has_body=True) for status in statuses}
    without_body = {status: {"description": problem["description"]} for status, problem in problems.items()}
    post = {"303": {"description": "the token is right"}, **problems}
    for status in _WITH_THE_FORM:
        or_problem = problems.get(str(status.value), {}).get("content", {})
        post[str(status.value)] = {"description": status.phrase, "content": html | or_problem}
    return {
        "get": {
            "summary": "A form for the token.",
            "responses": {"200": {"description": "the form"} | page, **problems},
        },
        "head": {"summary": "A form for the token.", "responses": {"200": {"description": "the form"}, **without_body}},
        "post": {"summary": "Takes the token, and sets a cookie.", "requestBody": body, "responses": post},
    }


_WITH_THE_FORM = (HTTPStatus.UNAUTHORIZED, HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _problem(status: HTTPStatus, names: Any, *, has_body: bool) -> dict[str, Any]:
    content = {"content": {PROBLEM: {"schema": _reference(Problem, names)}}} if has_body else {}
    return {"description": status.phrase} | content


def _reference(model: type[BaseModel], names: Any) -> Any:
    return names[(model, "serialization")]
