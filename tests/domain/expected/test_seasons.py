"""Seasons, their days and months."""

import csv
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tasks.domain.expected import seasons

RECORDED = os.environ.get("ADCE_RECORDED")


@pytest.mark.parametrize(
    "name", ["2023", "2023-25", "23-24", "2023-2024", "1945-46", "\u0662\u0660\u0662\u0663-\u0662\u0664", ""]
)
def test_what_is_not_a_season_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="season"):
        seasons.start_year(name)


@pytest.mark.parametrize(
    ("day", "season"),
    [
        (date(2026, 11, 24), "2026-27"),
        (date(2026, 9, 24), "2025-26"),
        (date(2026, 9, 25), "2026-27"),
        (date(2026, 7, 15), "2025-26"),
        (date(2020, 10, 11), "2019-20"),
        (date(2020, 11, 30), "2019-20"),
        (date(2020, 12, 11), "2020-21"),
        (date(2021, 7, 20), "2020-21"),
        (date(2000, 1, 1), "1999-00"),
    ],
)
def test_a_day_belongs_to_the_season_that_is_on_or_was_last(day: date, season: str) -> None:
    assert seasons.season_of(day) == season


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 2, 21, 3, tzinfo=UTC), date(2026, 2, 20)),
        (datetime(2026, 2, 21, 5, tzinfo=UTC), date(2026, 2, 21)),
        (datetime(2026, 3, 9, 4, tzinfo=UTC), date(2026, 3, 9)),  # summer time since the day before
        (datetime(2026, 11, 2, 4, 59, tzinfo=UTC), date(2026, 11, 1)),  # winter time since that day
    ],
)
def test_game_days_are_us_eastern(moment: datetime, day: date) -> None:
    assert seasons.eastern_day(moment) == day


@pytest.mark.parametrize("season", seasons.seasons_between("1996-97", "2026-27"))
def test_the_months_of_a_season_cover_its_regular_days(season: str) -> None:
    spans = [seasons.days_of_month(season, month) for month in seasons.months_of(season)]
    assert spans == sorted(spans)
    assert all(first.day == 1 and last > first for first, last in spans)
    first, last = seasons.window(season)
    assert spans[0][0] <= first + timedelta(days=100)
    assert spans[-1][1] >= last.replace(day=1)


@pytest.mark.parametrize(
    ("season", "first"),
    [
        ("1997-98", "october"),
        ("1998-99", "february"),
        ("1999-00", "november"),
        ("2000-01", "october"),
        ("2004-05", "november"),
        ("2005-06", "november"),
        ("2006-07", "october"),
        ("2011-12", "december"),
        ("2012-13", "october"),
        ("2020-21", "december"),
        ("2021-22", "october"),
    ],
)
def test_the_first_month_of_a_season_is_that_of_its_first_regular_game(season: str, first: str) -> None:
    assert seasons.months_of(season)[0] == first
    assert seasons.months_of(season)[-1] == ("july" if season == "2020-21" else "june")


@pytest.mark.parametrize(
    ("season", "first", "last"),
    [
        ("1998-99", date(1999, 1, 20), date(1999, 6, 30)),
        ("2011-12", date(2011, 12, 9), date(2012, 6, 30)),
        ("2019-20", date(2019, 9, 25), date(2020, 10, 15)),
        ("2020-21", date(2020, 12, 10), date(2021, 7, 25)),
        ("2023-24", date(2023, 9, 25), date(2024, 6, 30)),
    ],
)
def test_the_first_and_the_last_day_of_a_season_are_facts(season: str, first: date, last: date) -> None:
    assert seasons.window(season) == (first, last)
    assert (seasons.season_of(first), seasons.season_of(last)) == (season, season)
    assert seasons.season_of(first - timedelta(days=1)) != season


def test_the_season_of_the_pandemic_has_two_octobers() -> None:
    months = seasons.months_of("2019-20")
    assert seasons.days_of_month("2019-20", months[0]) == (date(2019, 10, 1), date(2019, 10, 31))
    assert seasons.days_of_month("2019-20", months[-1]) == (date(2020, 10, 1), date(2020, 10, 31))
    assert seasons.days_of_month("2020-21", "july") == (date(2021, 7, 1), date(2021, 7, 31))


@pytest.mark.skipif(not RECORDED, reason="ADCE_RECORDED is not set")
def test_every_recorded_game_is_played_inside_its_seasons_window_and_months() -> None:
    days = set()
    for file in Path(RECORDED or "").glob("seasons/*/*.csv"):
        rows = csv.reader(file.read_text().splitlines()[1:])
        days |= {(file.parent.name, date.fromisoformat(day), season) for _, day, season, *_ in rows}
    assert days
    for source, day, season in days:
        first, last = seasons.window(season)
        assert first <= day <= last
        assert seasons.season_of(day) == season
        if source == "basketball_reference":
            spans = [seasons.days_of_month(season, month) for month in seasons.months_of(season)]
            assert any(start <= day <= end for start, end in spans)


def test_the_play_offs_begin_in_april_and_a_season_has_a_page_when_its_first_month_is_over() -> None:
    assert seasons.playoffs_begin("2024-25") == datetime(2025, 4, 10, 4, tzinfo=UTC)
    assert seasons.first_month_over_at("2024-25") == datetime(2024, 11, 1, 4, tzinfo=UTC)
    assert seasons.first_month_over_at("2020-21") == datetime(2021, 1, 1, 5, tzinfo=UTC)
