"""Which values may the parameters of the flows have? These types become the form in the Prefect UI.

Prefect refuses a value that does not fit its schema before the run begins. The schema is made when the flow is
deployed; if other sources are configured later, `adce setup --check` says that it has to be deployed again. What a
schema cannot tell, such as the day 2024-02-31, the run finds out: its flow takes the values unvalidated, reads them
here, and ends with a line about the mistake. An optional text is "" if it is not given, because Prefect's form sends a
null for a default of None, for which it shows a choice between types instead of a list of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import WithJsonSchema

from config.load import ConfigError, load_config
from config.models import Config, Priority
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import Selection
from tasks.domain.times import day_of

F = TypeVar("F", bound=Callable[..., Any])


def _configured() -> Config:
    """The configuration whose names the form has. That of the defaults if it is broken, which each run then says."""
    try:
        return load_config()
    except ConfigError:
        return load_config(env={})


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


def _choice(values: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": ["", *values]}


def _several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_CONFIG = _configured()
_SOURCES, _SEASON, _DAY = list(_CONFIG.sources), r"\d{4}-\d{2}", r"\d{4}-\d{2}-\d{2}"

SourceName = Annotated[str, WithJsonSchema(_choice(_SOURCES))]
SourceNames = Annotated[Sequence[str], WithJsonSchema(_several({"type": "string", "enum": _SOURCES}))]
SeasonName = Annotated[str, WithJsonSchema(_text(f"^({_SEASON})?$"))]
SeasonNames = Annotated[Sequence[str], WithJsonSchema(_several(_text(f"^{_SEASON}$")))]
Texts = Annotated[Sequence[str], WithJsonSchema(_several({"type": "string"}))]
IsoDay = Annotated[str, WithJsonSchema(_text(f"^({_DAY})?$"))]
PriorityName = Annotated[str, WithJsonSchema(_choice(priority.value for priority in Priority))]


def naming_datasets(flow: F) -> F:
    """Decorator that puts the names of the configured datasets in place of DATASETS in the docstring of a flow."""
    flow.__doc__ = (flow.__doc__ or "").replace("DATASETS", ", ".join(_CONFIG.datasets))
    return flow


def selection_of(
    sources: Sequence[str],
    datasets: Sequence[str],
    seasons: Sequence[str],
    since: str | date | None,
    until: str | date | None,
    keys: Sequence[str] = (),
) -> Selection:
    """The selection that parameters name; empty texts name nothing. Raises SelectionError for a malformed day."""
    return Selection(
        tuple(filter(None, sources)),
        tuple(filter(None, datasets)),
        tuple(filter(None, seasons)),
        day_of("since", since or None),
        day_of("until", until or None),
        tuple(filter(None, keys)),
    )


def priority_of(name: str) -> Priority | None:
    """The priority of this name; None for "". Raises SelectionError for another name."""
    if name and name not in list(Priority):
        raise SelectionError(f"no priority {name!r}; there are {', '.join(Priority)}")
    return Priority(name) if name else None
