"""Is a maintenance window open now, and until when?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config.models import Day, Maintenance
from tasks.domain.limits.pauses import FOR_EVER, Window

_WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FAR = timedelta(days=8)  # weekly windows that adjoin for longer than this do so for ever


def window_at(windows: Iterable[Maintenance], names: Iterable[str], now: datetime) -> Window | None:
    """The open maintenance window of one of these sources or datasets, or of everything; None if none is open.

    Windows that overlap or adjoin are joined, so that `until` is the time from which none of them is open, and `since`
    the time before which none was. They are FOR_EVER and None if every day and week has such windows, one after the
    other.
    """
    names = {"all", *names}
    matching = [window for window in windows if window.of in names]
    until, first, far = now, None, now + _FAR
    while ends := {end: window for window in matching if (end := _end_at(window, until))}:
        until = max(ends)
        first = first or ends[until]
        if isinstance(ends[until].begin, datetime):  # it happens once, so those that follow it need not have an end
            far = until + _FAR
        elif until >= far:
            until = FOR_EVER
            break
    return Window(first.of, until, first.note or first.of, since=_since(matching, now)) if first else None


def next_window(windows: Iterable[Maintenance], names: Iterable[str], now: datetime) -> tuple[datetime, Window] | None:
    """The next maintenance window of one of these sources or datasets, or of everything, and when it begins.

    It begins after the one that is open now, if one is. Of weekly windows, there is always one within a week.
    """
    windows, names = list(windows), {"all", *names}
    current = window_at(windows, names, now)
    after = current.until if current and current.until else now
    if after == FOR_EVER:
        return None
    days = [after + timedelta(days=day) for day in range(8)]
    spans = [span for window in windows if window.of in names for day in days for span in _spans(window, day)]
    begins = min((begin for begin, _ in spans if begin > after), default=None)
    window = window_at(windows, names, begins) if begins else None
    return (begins, window) if begins and window else None


def _since(windows: Sequence[Maintenance], now: datetime) -> datetime | None:
    """Since when one of these windows is open, without a break; None if every day and week before had one."""
    since, far = now, now - _FAR
    while begins := {begin: w for w in windows for begin, end in _spans(w, since) if begin < since <= end}:
        since = min(begins)
        if isinstance(begins[since].begin, datetime):
            far = since - _FAR
        elif since <= far:
            return None
    return since


def _end_at(window: Maintenance, now: datetime) -> datetime | None:
    """When this window ends, if it is open now."""
    return max((end for begin, end in _spans(window, now) if begin <= now < end), default=None)


def _spans(window: Maintenance, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The begin and end of each occurrence of a window that can contain `now`."""
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
    """The moments that a local time can mean: two when the clocks change, so that a window is never cut short."""
    local = datetime.combine(day, clock, zone)
    return [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
