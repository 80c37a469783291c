"""The fields that the templates of keys, URLs and command lines may name."""

from __future__ import annotations

import re
import string
from typing import Literal

Partition = Literal["date", "month", "season", "game"]
_SEASON_FIELDS = {"season", "start_year", "end_year"}
_DAY_FIELDS = {"date", "yyyymmdd"}
FIELDS: dict[Partition, set[str]] = {
    "date": _SEASON_FIELDS | _DAY_FIELDS,
    "month": _SEASON_FIELDS | {"month"},
    "season": _SEASON_FIELDS,
    "game": _SEASON_FIELDS | _DAY_FIELDS | {"id"},
}
# Fields that distinguish the partitions of a kind. A template must name one of these sets, or two cells share a key.
IDENTIFYING: dict[Partition, list[set[str]]] = {
    "date": [{"date"}, {"yyyymmdd"}],
    "month": [{"month", field} for field in sorted(_SEASON_FIELDS)],
    "season": [{field} for field in sorted(_SEASON_FIELDS)],
    "game": [{"id"}],
}

FIELD_PATTERNS = {
    "season": r"[0-9]{4}-[0-9]{2}",
    "start_year": r"[0-9]{4}",
    "end_year": r"[0-9]{4}",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "yyyymmdd": r"[0-9]{8}",
    "month": r"[a-z]+(?:-[0-9]{4})?",
}


def example_fields(season: str) -> dict[str, str]:
    """Values that the fields of a season's partitions have, except for a game's id: those of a day in January."""
    end_year = str(int(season[:4]) + 1)
    days = {"date": f"{end_year}-01-15", "yyyymmdd": f"{end_year}0115", "month": "january"}
    return {"season": season, "start_year": season[:4], "end_year": end_year, **days}


def template_fields(template: str) -> set[str]:
    """The field names of a template, which stand in braces.

    Raises ValueError for a malformed template, and for a field with a format or a conversion, as in {date:>8}.
    """
    fields = set()
    for _, name, spec, conversion in string.Formatter().parse(template):
        if spec or conversion:
            raise ValueError(f"write {{{name}}} without a format")
        if name is not None:
            fields.add(name)
    return fields


def pattern_of(template: str, game_id: str) -> str:
    """The regular expression for the keys of a template: a pattern for each field, and all other text literally."""
    parts: list[str] = []
    seen: set[str] = set()
    for literal, field, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(literal))
        if field is not None:
            pattern = game_id if field == "id" else FIELD_PATTERNS[field]
            parts.append(f"(?:{pattern})" if field in seen else f"(?P<{field}>{pattern})")
            seen.add(field)
    return "".join(parts)
