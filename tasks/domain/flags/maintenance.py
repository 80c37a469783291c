"""Is it a maintenance window now, and until when?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config.models import Day, Maintenance
from tasks.domain.limits.pauses import Window

_WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FAR = timedelta(days=8)  # windows that follow on each other are added up no further


def window_at(windows: Iterable[Maintenance], names: Iterable[str], now: datetime) -> Window | None:
    """The window that one of these names, a source or a dataset, is in; `until` is when none of them is open."""
    names = {"all", *names}
    mine = [window for window in windows if window.of in names]
    until, first = now, None
    while until < now + _FAR:
        ends = {end: window for window in mine if (end := _end_at(window, until))}
        if not ends:
            break
        until = max(ends)
        first = first or ends[until]
    return Window(first.of, until, first.note or first.of) if first else None


def _end_at(window: Maintenance, now: datetime) -> datetime | None:
    """When this window ends, if it is open."""
    return max((end for begin, end in _spans(window, now) if begin <= now < end), default=None)


def _spans(window: Maintenance, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When it begins and ends, around now."""
    begin, end = window.begin, window.end
    if isinstance(begin, datetime) or isinstance(end, datetime):
        assert isinstance(begin, datetime)
        assert isinstance(end, datetime)
        yield window.once(begin), window.once(end)
        return
    zone = ZoneInfo(window.timezone)
    today = now.astimezone(zone).date()
    for day in (today + timedelta(days=n) for n in (-1, 0, 1)):
        if not window.days or _WEEK[day.weekday()] in window.days:
            last = day if end > begin else day + timedelta(days=1)
            yield min(_instants(day, begin, zone)), max(_instants(last, end, zone))


def _instants(day: date, clock: time, zone: ZoneInfo) -> list[datetime]:
    """What a clock's time may be: two when it is put forward or back, so that no window is shorter than written."""
    local = datetime.combine(day, clock, zone)
    return [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
