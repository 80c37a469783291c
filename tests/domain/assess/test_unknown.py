"""Of what is it not known which files the lake should hold?"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import pytest

from tasks.domain.assess.absences import Absence, status_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.assess.unknown import Unknown, by_dataset, by_season, find_unknown, is_known, seasons_of
from tasks.domain.expected.cells import Cell, Selection, first_seasons_by_schedule
from tasks.domain.reasons import Limit
from tests.builders import NOW, a_board, a_config

CONFIG = a_config()
NEEDING = first_seasons_by_schedule(CONFIG, Selection())


def _schedule(season: str = "2023-24") -> Cell:
    return a_board(key=f"schedule_{season}.json", dataset="nba_schedule", season=season)


def _lacking(schedules: Iterable[Cell], only: Mapping[str, Mapping[str, str]] = NEEDING) -> tuple[Unknown, ...]:
    """What is unknown when all these schedules are missing."""
    schedules = list(schedules)
    missing = Status(State.GAP, "not in the lake", Kind.MISSING)
    return find_unknown(only, schedules, {cell.key: missing for cell in schedules}, set())


def _boards(count: int) -> list[Cell]:
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(count)]
    return [a_board(key=f"{day}.json", season="2023-24", first_day=day, last_day=day) for day in days]


@pytest.mark.parametrize(
    ("status", "known"),
    [
        pytest.param(Status(State.PRESENT, "complete"), True, id="whole"),
        pytest.param(Status(State.PRESENT, "as of then; games follow", until=NOW), True, id="partial and not stale"),
        pytest.param(Status(State.NOT_DUE, "due from"), True, id="not due"),
        pytest.param(Status(State.NOT_DUE, "not there yet", limit=Limit.NOT_PUBLISHED), True, id="not published"),
        pytest.param(Status(State.GAP, "not in the lake", Kind.MISSING), False, id="missing"),
        pytest.param(Status(State.GAP, "an error page", Kind.INVALID), False, id="bad"),
        pytest.param(Status(State.GAP, "games follow", Kind.STALE), False, id="stale"),
        pytest.param(Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST), False, id="unread"),
        pytest.param(Status(State.DEFERRED, "source paused", Kind.MISSING), False, id="missing, for later"),
        pytest.param(Status(State.IN_FLIGHT, "being fetched", Kind.MISSING), False, id="being fetched"),
        pytest.param(Status(State.UNAVAILABLE, "the source has none", Kind.MISSING), False, id="none at the source"),
        pytest.param(Status(State.UNAVAILABLE, "no", Kind.MISSING, limit=Limit.OPERATOR), True, id="by an operator"),
    ],
)
def test_a_schedule_is_known_when_it_tells_of_all_games_that_are_listed_so_far(status: Status, known: bool) -> None:
    assert is_known(status) is known
    schedule = _schedule()
    assert bool(find_unknown(NEEDING, [schedule], {schedule.key: status}, {schedule.key})) is not known


def test_a_schedule_that_is_there_and_whose_games_are_not_counted_is_unknown() -> None:
    schedule = _schedule()
    assert len(find_unknown(NEEDING, [schedule], {schedule.key: Status(State.PRESENT, "not read")}, set())) == 3


def test_what_an_operator_says_is_told_from_what_the_source_says() -> None:
    rules = CONFIG.reconcile.unavailable
    says = Absence("k", "HTTP 404", NOW, NOW, looks=3, until=NOW + timedelta(days=30))
    operator = Absence("k", "", NOW, NOW, until=NOW + timedelta(days=30), note="lost")
    limits = [status.limit for absence in (says, operator) if (status := status_of(absence, rules, NOW))]
    assert limits == [None, Limit.OPERATOR]


def test_each_dataset_that_needs_a_schedule_is_unknown_and_no_other() -> None:
    found = _lacking([_schedule()])
    assert [(part.dataset, part.season) for part in found] == [
        ("nba_boxscore_traditional", "2023-24"),
        ("nba_boxscore_advanced", "2023-24"),
        ("nba_playbyplay", "2023-24"),
    ]
    one = first_seasons_by_schedule(CONFIG, Selection(datasets=("nba_playbyplay",)))
    assert [part.dataset for part in _lacking([_schedule()], one)] == ["nba_playbyplay"]
    assert _lacking([_schedule()], first_seasons_by_schedule(CONFIG, Selection(datasets=("nba_schedule",)))) == ()


def test_nothing_is_unknown_of_the_seasons_before_a_dataset_begins() -> None:
    late = {"nba_schedule": {"nba_usage": "2015-16"}}
    assert _lacking([_schedule("2014-15")], late) == ()
    assert len(_lacking([_schedule("2015-16")], late)) == 1


def test_a_document_has_a_row_for_each_dataset_and_season_and_names_few_schedules() -> None:
    [row] = by_season(_lacking(_boards(279)))
    assert (row["dataset"], row["season"], row["schedules"]) == ("espn_summary", "2023-24", 279)
    assert row["needs"] == [f"2024-01-0{n}.json" for n in range(1, 6)]


def test_a_page_has_a_row_for_each_dataset_with_all_its_seasons() -> None:
    schedules = [_schedule("2022-23"), _schedule("2023-24"), *_boards(279)]
    only = {"nba_schedule": {"nba_playbyplay": "1996-97"}, "espn_scoreboard": {"espn_summary": "2002-03"}}
    nba, espn = by_dataset(_lacking(schedules, only))
    assert (nba["dataset"], nba["seasons"], nba["schedules"]) == ("nba_playbyplay", ["2022-23", "2023-24"], 2)
    assert nba["needs"] == [schedule.key for schedule in schedules[:2]]
    assert (espn["dataset"], espn["seasons"], espn["schedules"]) == ("espn_summary", ["2023-24"], 279)
    assert espn["needs"] == [f"2024-01-0{n}.json" for n in range(1, 6)]


def test_a_season_is_named_and_many_are_counted() -> None:
    schedules = [_schedule("2022-23"), _schedule("2023-24"), *_boards(3)]
    only = {"nba_schedule": {"nba_playbyplay": "1996-97"}, "espn_scoreboard": {"espn_summary": "2002-03"}}
    assert seasons_of(_lacking(schedules, only)) == "nba_playbyplay of 2 seasons, espn_summary of 2023-24"
    assert seasons_of(()) == ""


def test_a_schedule_that_is_known_or_that_nobody_needs_does_not_end_the_search() -> None:
    known, nobodys, missing = _schedule("2022-23"), a_board(key="b", dataset="br_totals"), _schedule("2023-24")
    statuses = {
        known.key: Status(State.PRESENT, "complete"),
        nobodys.key: Status(State.GAP, "not in the lake", Kind.MISSING),
        missing.key: Status(State.GAP, "not in the lake", Kind.MISSING),
    }
    found = find_unknown(NEEDING, [nobodys, known, missing], statuses, {known.key})
    assert {part.season for part in found} == {"2023-24"}
