"""Which stored times can be believed?"""

from datetime import date, timedelta

import pytest

from tasks.domain.errors import SelectionError
from tasks.domain.times import SKEW, check_fetching_clock, day_of, horizon
from tests.builders import NOW, a_config

CONFIG, SANDBOX = a_config(), a_config(sandbox=True)
DAY = timedelta(days=1)


@pytest.mark.parametrize("now", [NOW - DAY, NOW, NOW + DAY], ids=["set back", "right", "set ahead"])
def test_no_time_is_believed_that_is_later_than_the_clock_of_this_machine(now) -> None:  # type: ignore[no-untyped-def]
    assert horizon(CONFIG, now, real=NOW) == NOW + SKEW


def test_a_sandbox_whose_clock_is_ahead_can_have_been_asked_then() -> None:
    assert horizon(SANDBOX, NOW + DAY, real=NOW) == NOW + DAY + SKEW
    assert horizon(SANDBOX, NOW - DAY, real=NOW) == NOW + SKEW


def test_two_machines_may_differ_by_minutes_and_not_by_more() -> None:
    assert timedelta(minutes=1) <= SKEW <= timedelta(minutes=5)


def test_who_fetches_has_no_clock_that_is_ahead() -> None:
    check_fetching_clock(CONFIG, None, NOW)
    check_fetching_clock(CONFIG, NOW, NOW)
    check_fetching_clock(CONFIG, NOW - DAY, NOW)
    check_fetching_clock(SANDBOX, NOW + DAY, NOW)
    says = r"^as-of 2026-01-16 12:00 UTC is later than now, 2026-01-15 12:00 UTC: .* count as fetched then; leave"
    with pytest.raises(SelectionError, match=says):
        check_fetching_clock(CONFIG, NOW + DAY, NOW)


def test_a_day_is_read_and_instead_of_a_season_its_first_or_last_day_is_named() -> None:
    assert [day_of("since", None), day_of("since", "2024-02-29"), day_of("since", NOW.date())] == [
        None,
        date(2024, 2, 29),
        NOW.date(),
    ]
    for what, given, instead in (
        ("--since", "2024-25", "2024-09-25, the first day of that season"),
        ("until", "2024-25", "2025-06-30, the last day of that season"),
        ("--until", "2024-26", "2024-01-31"),
    ):
        with pytest.raises(SelectionError, match=f"^{what} {given}: not a day; write it as {instead}$"):
            day_of(what, given)
