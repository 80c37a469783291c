"""Maintenance windows, in which no fill starts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from config.models.base import YEARS, Model, TimeZone


def _parse_moment(value: Any) -> Any:
    if isinstance(value, time | datetime):
        return value
    text = value if isinstance(value, str) else ""
    try:
        return time.fromisoformat(text) if re.fullmatch(r"\d\d:\d\d", text) else datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError('a time is text in quotes: "03:00" for each of the days, or "2026-12-01T03:00" for once')


Moment = Annotated[time | datetime, BeforeValidator(_parse_moment)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Maintenance(Model):
    """A time span in which no fill starts: every week on `days`, or once."""

    of: str = Field(default="all", description="a source, a dataset, or all")
    days: list[Day] = Field(default=[], description="weekdays on which it begins; if empty, every day")
    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to", description="a time of day earlier than `from` lies on the next day")
    timezone: TimeZone = "UTC"
    note: str = ""

    @model_validator(mode="after")
    def _is_a_span(self) -> Maintenance:
        if isinstance(self.begin, datetime) != isinstance(self.end, datetime):
            raise ValueError("from and to must both be times of day, or both times with a date")
        if isinstance(self.begin, datetime) and isinstance(self.end, datetime):
            if self.days:
                raise ValueError("days go with times of day; a window with dates happens once")
            if not {self.begin.year, self.end.year} <= set(YEARS):
                raise ValueError(
                    f"from and to must be in the years {YEARS[0]} to {YEARS[-1]}; with no end, it is `enabled: false`"
                )
            if self.once(self.begin) >= self.once(self.end):
                raise ValueError(f"it ends at {self.end}, which is not after its beginning at {self.begin}")
        elif self.begin == self.end:
            raise ValueError(
                f'from and to are both {self.begin:%H:%M}; a whole day is two windows, "00:00" to "12:00" and "12:00" '
                'to "00:00"'
            )
        return self

    def once(self, moment: datetime) -> datetime:
        """The moment in UTC. A moment without an offset is in the window's own time zone."""
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.timezone))).astimezone(UTC)
