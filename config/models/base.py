"""The base class of all sections, and the types of values that several sections have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

YEARS = range(1947, 2101)  # a clock may say these, and what is planned begins and ends in them
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=3660)


def _parse_duration(value: Any) -> Any:
    span = value if isinstance(value, timedelta) else _duration_in(str(value))
    if not timedelta(0) <= span <= _LONGEST:
        raise ValueError(f"a duration is at most {written(_LONGEST)}")
    return span


def _duration_in(text: str) -> timedelta:
    part = r"(\d+(?:\.\d+)?)\s*([smhd])"
    if not re.fullmatch(rf"{part}(?:\s+{part})*", text):
        raise ValueError("a duration is a number and a unit: 30s, 15m, 4h or 7d")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in re.findall(part, text)))
    except OverflowError:
        return timedelta.max


def _check_positive(span: timedelta) -> timedelta:
    if not span:
        raise ValueError("must be greater than 0 seconds")
    return span


def written(span: timedelta) -> str:
    """A duration as it is written in a configuration, in the largest unit that divides it evenly: 15m, 0.5s."""
    seconds = span.total_seconds()
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:.15g}{unit}"


Duration = Annotated[timedelta, BeforeValidator(_parse_duration)]
PositiveDuration = Annotated[Duration, AfterValidator(_check_positive)]


def _no_truth_value(value: Any) -> Any:
    """The value, unless it is true or false, which pydantic would take for 1 or 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, BeforeValidator(_no_truth_value)]
WholeNumber = Annotated[int, BeforeValidator(_no_truth_value)]


def check_season(value: Any) -> Any:
    """The value, if it is the name of a season, such as 2023-24. Raises ValueError for any other value."""
    match = re.fullmatch(r"(19[4-9]\d|20\d\d)-(\d\d)", value) if isinstance(value, str) else None
    if match is None or (int(match[1]) + 1) % 100 != int(match[2]):
        raise ValueError("a season is two consecutive years, written as 2023-24")
    return value


Season = Annotated[str, BeforeValidator(check_season)]
SeasonType = Literal["preseason", "regular", "all-star", "playoffs", "play-in", "cup-final"]


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{name!r} is not a time zone; write it as America/New_York") from None
    return name


TimeZone = Annotated[str, AfterValidator(_check_time_zone)]


def without_ends(text: Any) -> Any:
    """An address without the spaces around it, and without a slash at its end."""
    return text.strip().rstrip("/") if isinstance(text, str) else text


def matching(pattern: str, problem: str, suggest: Callable[[str], str | None] = lambda _: None) -> AfterValidator:
    """Validator of a text that `pattern` must match as a whole.

    For any other text the error is `problem`, followed by what `suggest` returns, if that is not None.
    """

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            suggestion = suggest(text)
            raise ValueError(f"{problem}; did you mean {suggestion}?" if suggestion else problem)
        return text

    return AfterValidator(check)


def plain_path(text: str) -> str | None:
    """The text, if it is only a path. An error may show it, because a path cannot hold a password."""
    return text if re.fullmatch(r"[\w./~ -]+", text) and text.strip("/. ") else None


def check_expression(text: str) -> None:
    """Raises ValueError if the text is not a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


class Model(BaseModel):
    """Base of all sections: immutable, and without fields that the class does not declare."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
