"""When does a maintenance window begin and end? Over midnight, over a change of the clocks, and one after another."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from config.models import Maintenance
from tasks.domain.flags.maintenance import next_window, window_at
from tasks.domain.limits.pauses import FOR_EVER
from tasks.domain.plan.plan import make_plan
from tasks.domain.reasons import Limit, Reason
from tests.builders import a_config, a_gap

NEW_YORK = {"of": "espn", "timezone": "America/New_York"}


def a_window(**settings: Any) -> Maintenance:
    return Maintenance.model_validate(NEW_YORK | settings)


def _until(now: str, *windows: Maintenance, names: tuple[str, ...] = ("espn",)) -> str | None:
    found = window_at(windows, names, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found is None or found.until is None or found.until.tzinfo is UTC
    return f"{found.until:%Y-%m-%dT%H:%M}" if found else None


TUESDAYS = a_window(days=["tue"], **{"from": "03:00", "to": "05:00"})
NIGHTS = a_window(days=["sat"], **{"from": "22:00", "to": "02:00"})
EVERY_NIGHT = a_window(**{"from": "01:30", "to": "02:30"})


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        pytest.param(TUESDAYS, "2026-01-13T07:59", None, id="before it"),
        pytest.param(TUESDAYS, "2026-01-13T08:00", "2026-01-13T10:00", id="as it begins"),
        pytest.param(TUESDAYS, "2026-01-13T09:59", "2026-01-13T10:00", id="in it"),
        pytest.param(TUESDAYS, "2026-01-13T10:00", None, id="as it ends"),
        pytest.param(TUESDAYS, "2026-01-14T08:30", None, id="on another day"),
        pytest.param(TUESDAYS, "2026-07-14T07:00", "2026-07-14T09:00", id="in summer time"),
        pytest.param(NIGHTS, "2026-01-18T03:00", "2026-01-18T07:00", id="before midnight"),
        pytest.param(NIGHTS, "2026-01-18T06:30", "2026-01-18T07:00", id="after midnight, of the day before"),
        pytest.param(NIGHTS, "2026-01-19T06:30", None, id="a day later"),
        pytest.param(
            a_window(**{"from": "22:00", "to": "21:00"}), "2026-01-13T01:00", "2026-01-13T02:00", id="for 23 hours"
        ),
        pytest.param(EVERY_NIGHT, "2026-03-08T06:30", "2026-03-08T07:30", id="02:30 is skipped in spring"),
        pytest.param(EVERY_NIGHT, "2026-11-01T05:30", "2026-11-01T07:30", id="01:30 comes twice in autumn"),
        pytest.param(a_window(**{"from": "02:15", "to": "03:00"}), "2026-03-08T06:59", "2026-03-08T07:00", id="gone"),
        pytest.param(
            a_window(**{"from": "2026-12-01T22:00", "to": "2026-12-02T02:00"}),
            "2026-12-02T06:59",
            "2026-12-02T07:00",
            id="once, in its zone",
        ),
        pytest.param(
            a_window(**{"from": "2026-12-01T22:00Z", "to": "2026-12-02T02:00Z"}),
            "2026-12-02T02:00",
            None,
            id="once, in a zone that it names, and over",
        ),
    ],
)
def test_a_window_is_of_its_days_and_its_time_zone(window: Maintenance, now: str, until: str | None) -> None:
    assert _until(now, window) == until


def test_windows_that_follow_on_each_other_end_together_and_one_without_end_is_seen_as_such() -> None:
    evening = a_window(**{"from": "20:00", "to": "23:00"})
    night = a_window(of="all", **{"from": "22:00", "to": "01:00"})
    assert _until("2026-01-13T02:00", evening, night) == "2026-01-13T06:00"
    assert _until("2026-01-13T02:00", evening, night, names=("nba_api",)) is None
    for_ever = [a_window(**{"from": "00:00", "to": "12:00"}), a_window(**{"from": "12:00", "to": "00:00"})]
    once = a_window(**{"from": "2026-01-13T00:00", "to": "2026-12-01T12:00"})
    assert _until("2026-01-13T06:00", once) == "2026-12-01T17:00"
    for windows in (for_ever, [*for_ever, once]):
        found = window_at(windows, ["espn"], datetime(2026, 1, 13, 6, tzinfo=UTC))
        assert found
        assert (found.until, found.ends, found.since) == (FOR_EVER, None, None)
    [deferral] = make_plan(a_config(maintenance=for_ever), [a_gap()], datetime(2026, 1, 13, tzinfo=UTC)).deferred
    assert deferral.reason == Reason(Limit.MAINTENANCE, "maintenance with no end: espn", None, "espn")


@pytest.mark.parametrize(
    ("now", "since"),
    [
        ("2026-01-13T04:30", "2026-01-13T01:00"),
        ("2026-01-13T03:00", "2026-01-13T01:00"),
        ("2026-01-13T01:00", "2026-01-13T01:00"),
        ("2026-02-20T12:00", "2026-02-01T01:00"),
    ],
    ids=["in the second window", "as it begins", "as the first begins", "in one that is weeks old"],
)
def test_windows_that_follow_on_each_other_have_one_beginning(now: str, since: str) -> None:
    evening = a_window(**{"from": "20:00", "to": "22:00"})
    night = a_window(of="all", **{"from": "22:00", "to": "01:00"})
    weeks = a_window(**{"from": "2026-02-01T00:00", "to": "2026-03-01T00:00"})
    found = window_at([evening, night, weeks], ["espn"], datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found
    assert found.since == datetime.fromisoformat(since).replace(tzinfo=UTC)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    st.times(),
    st.times(),
    st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]),
)
def test_a_window_every_day_is_open_exactly_when_its_clock_says_so(now: Any, begin: Any, end: Any, zone: str) -> None:
    begin, end = begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    assume(begin != end)
    window = a_window(timezone=zone, **{"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}"})
    found = window_at([window], ["espn"], now)
    if found:
        assert found.until
        assert now < found.until
        after = window_at([window], ["espn"], found.until)
        assert after is None or found.until - now >= timedelta(days=7), "when it ends it has ended"
    local = now.astimezone(ZoneInfo(zone)).time()
    if begin <= local < end if begin < end else local >= begin or local < end:
        assert found, "it is never shorter than the clock on the wall says"


def test_what_is_in_maintenance_is_deferred_until_its_end_and_the_rest_goes_on() -> None:
    config = a_config(maintenance=[TUESDAYS.model_copy(update={"note": "their database"})])
    now = datetime(2026, 1, 13, 8, 30, tzinfo=UTC)
    [deferral] = make_plan(config, [a_gap()], now).deferred
    until = datetime(2026, 1, 13, 10, tzinfo=UTC)
    text = "maintenance until 2026-01-13 10:00 UTC: their database"
    assert deferral.reason == Reason(Limit.MAINTENANCE, text, until, "espn")
    assert make_plan(config, [a_gap()], now + timedelta(hours=2)).deferred == ()
    other = config.model_copy(
        update={"maintenance": [a_window(of="espn_scoreboard", **{"from": "00:00", "to": "23:59"})]}
    )
    assert make_plan(other, [a_gap()], now).deferred == ()


def test_the_next_window_is_the_first_to_begin_of_those_that_concern_the_names_joined_with_what_follows_it() -> None:
    weekly = a_window(of="espn", days=["tue"], **{"from": "03:00", "to": "05:00"}, timezone="UTC", note="racks")
    after = a_window(of="espn", days=["tue"], **{"from": "05:00", "to": "06:00"}, timezone="UTC")
    once = a_window(of="nba_api", **{"from": "2026-12-01T03:00", "to": "2026-12-01T04:00"}, timezone="UTC")

    def found(at: datetime, *names: str) -> tuple[datetime, datetime | None] | None:
        coming = next_window([weekly, after, once], names, at)
        return coming and (coming[0], coming[1].ends)

    tuesday = datetime(2026, 1, 13, 3, tzinfo=UTC)
    first = (tuesday, tuesday + timedelta(hours=3))
    assert found(tuesday - timedelta(hours=1), "espn") == first
    assert found(tuesday - timedelta(days=6), "espn") == first
    assert found(tuesday, "espn") == (first[0] + timedelta(days=7), first[0] + timedelta(days=7, hours=3))
    assert found(tuesday, "nba_api") == (datetime(2026, 12, 1, 3, tzinfo=UTC), datetime(2026, 12, 1, 4, tzinfo=UTC))
    assert found(datetime(2026, 12, 1, 3, tzinfo=UTC), "nba_api") is None
    assert found(tuesday, "basketball_reference") is None
    for_ever = [a_window(**{"from": "00:00", "to": "12:00"}), a_window(**{"from": "12:00", "to": "00:00"})]
    assert next_window(for_ever, ["espn"], tuesday) is None
