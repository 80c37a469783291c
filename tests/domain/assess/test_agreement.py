"""Do the sources list the same games?"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.domain.assess.agreement import Comparison, Disagreement, compare, trusted
from tasks.domain.assess.assessment import assess, listed_games
from tasks.domain.assess.states import Examination, Kind, LakeObject, State, Status, version_of
from tasks.domain.assess.verdicts import whole
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.reasons import Limit
from tests.builders import a_config, a_game

CONFIG = a_config()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAYED = date(2025, 6, 5)
MORNING = datetime(2025, 6, 6, 9, tzinfo=UTC)  # the day's games should be final by now with ESPN and the NBA
NEXT_EVENING = datetime(2025, 6, 6, 22, tzinfo=UTC)  # and with Basketball Reference
LISTS = ("espn_scoreboard", "nba_schedule", "br_schedule")
BOARD, SEASON, JUNE = (
    "espn_schedules/20250605.json",
    "nba_api_comprehensive/schedules/schedule_2024-25.json",
    "basketball_reference/schedules/2025/june.html",
)
CELLS = [
    cell
    for cell in calendar_cells(CONFIG, MORNING, Selection(datasets=LISTS, seasons=("2024-25",)))
    if cell.key in (BOARD, SEASON, JUNE)
]


def _final(number: int = 1, **change: object) -> Game:
    return a_game(id=f"{number}", day=PLAYED, season="2024-25", season_type="playoffs")._replace(**change)


class Lists:
    """The schedules that a lake has, each with its games and when it was taken."""

    def __init__(self, taken: datetime, **games: Iterable[Game]):
        names = {"espn": BOARD, "nba": SEASON, "br": JUNE}
        self.objects, self.examined, self.known = {}, {}, list[Disagreement]()
        for name, listed in games.items():
            self.store(names[name], taken, listed)

    def store(self, key: str, taken: datetime, games: Iterable[Game]) -> None:
        self.objects[key] = have = LakeObject(key, 10**6, taken, f"{taken}")
        self.examined[key] = Examination(*version_of(have, "check"), whole(tuple(games)), taken)

    def compared(self, now: datetime) -> dict[str, str]:
        taken = {key: one.fetched for key, one in self.examined.items() if one.fetched}
        games = listed_games(CONFIG, CELLS, {key: one.verdict for key, one in self.examined.items()})
        self.known = compare(CONFIG, CELLS, self.examined, taken, games, self.known, now).found
        return {one.key: one.what for one in self.known}

    def status(self, key: str, now: datetime) -> Status:
        self.compared(now)
        checks = dict.fromkeys(CONFIG.datasets, "check")
        cells = {cell.key: cell for cell in CELLS}
        assessment = assess(CONFIG, cells, self.objects, self.examined, checks, now, disagreements=self.known)
        return assessment.statuses[key]


def test_the_schedule_that_tells_of_fewer_final_games_is_the_one_that_differs() -> None:
    lists = Lists(MORNING, espn=[], nba=[_final()])
    assert lists.compared(MORNING) == {BOARD: "0 final games on 2025-06-05, and nba_schedule has 1"}
    lists = Lists(MORNING, espn=[_final(1), _final(2)], nba=[_final(), _final(2, status=GameStatus.SCHEDULED)])
    assert lists.compared(MORNING) == {SEASON: "1 final game on 2025-06-05, and espn_scoreboard has 2"}


@pytest.mark.parametrize(
    "lists",
    [
        pytest.param(Lists(MORNING, espn=[_final()], nba=[_final()]), id="the same"),
        pytest.param(Lists(MORNING, espn=[_final()]), id="one source only"),
        pytest.param(Lists(MORNING - 2 * HOUR, espn=[], nba=[_final()]), id="taken before the games should be final"),
        pytest.param(Lists(MORNING, nba=[_final()], br=[]), id="the slowest source may still be late"),
        pytest.param(Lists(MORNING, espn=[_final(season_type="preseason")], nba=[]), id="not all list the preseason"),
        pytest.param(
            Lists(MORNING, espn=[_final(), _final(2)], nba=[_final(season_type="all-star")]), id="all-star games"
        ),
    ],
)
def test_what_cannot_be_compared_is_no_difference(lists: Lists) -> None:
    assert lists.compared(MORNING) == {}


@pytest.mark.parametrize("season_type", ["regular", "playoffs", "play-in", "cup-final"])
def test_games_of_each_kind_that_all_sources_list_are_compared(season_type: str) -> None:
    lists = Lists(MORNING, espn=[], nba=[_final(season_type=season_type)])
    assert lists.compared(MORNING).keys() == {BOARD}


def test_the_slowest_source_is_compared_when_its_games_should_be_final() -> None:
    lists = Lists(NEXT_EVENING, nba=[_final()], br=[])
    assert lists.compared(NEXT_EVENING) == {JUNE: "0 final games on 2025-06-05, and nba_schedule has 1"}


def test_only_the_running_season_is_compared_and_two_weeks_after_it() -> None:
    lists = Lists(MORNING, espn=[], nba=[_final()])
    over = datetime(2025, 7, 15, 4, tzinfo=UTC)  # two weeks after the end of 30 June
    assert lists.compared(over - HOUR)
    assert not lists.compared(over)


def test_a_difference_makes_the_schedule_stale_at_once_and_not_green_until_it_is_mended() -> None:
    lists = Lists(MORNING, espn=[], nba=[_final()])
    status = lists.status(BOARD, MORNING)
    assert (status.state, status.kind) == (State.GAP, Kind.STALE)
    assert "and nba_schedule has 1" in status.reason
    lists.store(BOARD, MORNING + HOUR, [])
    status = lists.status(BOARD, MORNING + HOUR)
    assert status == Status(
        State.DEFERRED,
        "0 final games on 2025-06-05, and nba_schedule has 1",
        Kind.STALE,
        MORNING + 2 * HOUR,  # a board of yesterday is looked at every hour anyway
        limit=Limit.DISAGREEMENT,
    )
    lists.store(BOARD, MORNING + 12 * HOUR, [_final()])
    assert lists.status(BOARD, MORNING + 12 * HOUR).state is State.PRESENT
    assert lists.known == []


def test_three_looks_over_a_day_that_do_not_mend_it_are_told_and_enough() -> None:
    begins = MORNING + 3 * DAY  # until then the board is looked at every hour anyway
    lists, looks, waits = Lists(begins, espn=[], nba=[_final()]), [], set()
    for hours in range(24 * 10):
        now = begins + hours * HOUR
        if (status := lists.status(BOARD, now)).state is State.GAP:
            looks.append(hours)
            lists.store(BOARD, now + HOUR / 60, [])
        elif status.state is State.DEFERRED:
            waits.add(status.until)
    assert looks == [0, 12, 24]
    assert waits == {begins + 12 * HOUR, begins + 24 * HOUR}
    status = lists.status(BOARD, now)
    assert (status.state, status.limit) == (State.PRESENT, Limit.DISAGREEMENT)
    assert "and nba_schedule has 1, which further looks did not change" in status.reason


def test_a_board_that_is_looked_at_every_hour_anyway_differs_for_a_day_until_that_is_told_and_left() -> None:
    lists, differs = Lists(MORNING, espn=[], nba=[_final()]), []
    for hours in range(1, 60):
        now = MORNING + hours * HOUR
        if lists.status(BOARD, now).kind is Kind.STALE:
            lists.store(BOARD, now, [])
        status = lists.status(BOARD, now)
        assert status.state in (State.DEFERRED, State.PRESENT)
        differs += [hours] * (status.state is State.DEFERRED)
    assert differs == list(range(1, 25))
    assert "which further looks did not change" in status.reason


def test_another_difference_is_looked_at_anew() -> None:
    lists = Lists(MORNING, espn=[], nba=[_final()])
    lists.compared(MORNING)
    for hours in (1, 13, 25):
        lists.store(BOARD, MORNING + hours * HOUR, [])
        lists.compared(MORNING + hours * HOUR)
    assert lists.known[0].next_look() is None
    later = MORNING + 3 * DAY
    lists.store(SEASON, later, [_final(1), _final(2)])
    assert lists.status(BOARD, later).kind is Kind.STALE


def test_without_the_other_source_a_difference_holds_until_the_schedule_is_taken_again() -> None:
    lists = Lists(MORNING, espn=[], nba=[_final()])
    lists.compared(MORNING)
    [seen] = lists.known
    espn = [cell for cell in CELLS if cell.key == BOARD]

    def alone(taken: datetime) -> Comparison:
        games = listed_games(CONFIG, espn, {BOARD: lists.examined[BOARD].verdict})
        return compare(CONFIG, espn, lists.examined, {BOARD: taken}, games, [seen], taken + HOUR)

    assert alone(MORNING) == Comparison([seen], [])
    assert alone(MORNING + HOUR) == Comparison([], []), "whether it is mended is not known yet"
    assert compare(CONFIG, CELLS, {}, {}, {}, [seen], MORNING + 90 * DAY) == Comparison([], [seen])


def test_what_two_agree_on_is_not_mended_while_the_third_that_told_of_more_is_left_out() -> None:
    lists = Lists(NEXT_EVENING, espn=[_final(1), _final(2)], nba=[_final()], br=[_final()])
    lists.compared(NEXT_EVENING)
    seen = lists.known
    assert {one.key for one in seen} == {SEASON, JUNE}
    others = [cell for cell in CELLS if cell.key != BOARD]
    games = listed_games(CONFIG, others, {key: lists.examined[key].verdict for key in (SEASON, JUNE)})
    taken = dict.fromkeys((SEASON, JUNE), NEXT_EVENING)
    narrowed = compare(CONFIG, others, lists.examined, taken, games, seen, NEXT_EVENING + HOUR)
    assert narrowed == Comparison(seen, [])
    lists.store(SEASON, NEXT_EVENING + HOUR, [_final(1), _final(2)])
    lists.store(JUNE, NEXT_EVENING + HOUR, [_final(1), _final(2)])
    games = listed_games(CONFIG, CELLS, {key: one.verdict for key, one in lists.examined.items()})
    taken = {key: one.fetched for key, one in lists.examined.items() if one.fetched}
    agreed = compare(CONFIG, CELLS, lists.examined, taken, games, seen, NEXT_EVENING + 2 * HOUR)
    assert agreed == Comparison([], seen)


@pytest.mark.parametrize(
    ("looks", "hours", "again"),
    [
        pytest.param(0, 0, 0, id="at once"),
        pytest.param(1, 1, 12, id="then after half a day"),
        pytest.param(2, 12, 24, id="and after a day"),
        pytest.param(2, 90, 24, id="few looks are not enough, however late"),
        pytest.param(3, 23, 24, id="nor are many that came soon"),
        pytest.param(9, 23, 24, id="nor are very many"),
        pytest.param(3, 24, None, id="three over a day are"),
    ],
)
def test_the_looks_at_a_difference_are_spread_over_a_day(looks: int, hours: int, again: int | None) -> None:
    one = Disagreement(BOARD, PLAYED, "0 final games", MORNING, MORNING + hours * HOUR, looks)
    assert one.next_look() == (None if again is None else MORNING + again * HOUR)


def test_a_day_that_a_list_was_taken_too_early_for_is_not_compared_and_the_days_before_are() -> None:
    earlier = PLAYED - DAY
    games = [_final(), _final(2, day=earlier)]
    lists = Lists(MORNING, nba=[], espn=games)
    assert lists.compared(MORNING) == {SEASON: "0 final games on 2025-06-05, and espn_scoreboard has 1"}, (
        "a board is of its own day alone"
    )
    lists = Lists(MORNING, nba=games)
    lists.store(BOARD, MORNING - 6 * HOUR, [])
    assert lists.compared(MORNING) == {}
    lists = Lists(NEXT_EVENING, nba=games, br=[])
    lists.store(JUNE, MORNING, [])  # when what is played on the 5th need not be final there
    found = lists.compared(NEXT_EVENING)
    assert found == {JUNE: "0 final games on 2025-06-04, and nba_schedule has 1"}


def test_two_boards_of_a_day_with_an_all_star_game_are_not_compared() -> None:
    names = ("espn_scoreboard", "nba_board")
    board = next(cell for cell in CELLS if cell.key == BOARD)
    cells = [board._replace(dataset=name, key=f"{name}.json") for name in names]
    config = a_config(datasets=CONFIG.datasets | {"nba_board": CONFIG.datasets["espn_scoreboard"]})
    examined = {cell.key: Examination("etag", 1, "check", whole(), MORNING) for cell in cells}
    taken = {cell.key: MORNING for cell in cells}
    for season_type, differing in (("regular", {"nba_board.json"}), ("all-star", set())):
        games = {"espn_scoreboard": [_final(1), _final(2, season_type=season_type)], "nba_board": list[Game]()}
        found = compare(config, cells, examined, taken, games, [], MORNING).found
        assert {one.key for one in found} == differing


def test_the_first_and_the_last_day_of_a_month_belong_to_its_list() -> None:
    first, last = date(2025, 6, 1), date(2025, 6, 30)
    lists = Lists(datetime(2025, 7, 2, tzinfo=UTC), nba=[_final(1, day=first), _final(2, day=last)], br=[])
    lists.compared(datetime(2025, 7, 2, tzinfo=UTC))
    assert {one.day for one in lists.known} == {first, last}


def test_games_of_another_season_are_passed_over() -> None:
    other = _final(9, season="2023-24")
    lists = Lists(MORNING, espn=[other], nba=[other, _final()])
    assert lists.compared(MORNING) == {BOARD: "0 final games on 2025-06-05, and nba_schedule has 1"}


def test_a_difference_of_the_season_before_is_over_when_the_next_begins_and_one_of_its_first_day_is_not() -> None:
    first_day = date(2024, 9, 25)
    seen = [Disagreement(SEASON, day, "x", MORNING, MORNING, richer="x") for day in (first_day - DAY, first_day)]
    lists = Lists(MORNING, nba=[_final()])
    taken = {SEASON: MORNING}
    games = listed_games(CONFIG, CELLS, {SEASON: lists.examined[SEASON].verdict})
    assert compare(CONFIG, CELLS, lists.examined, taken, games, seen, MORNING) == Comparison(seen[1:], seen[:1])


def test_looks_that_are_yet_to_come_do_not_settle_a_difference() -> None:
    one = Disagreement(BOARD, PLAYED, "0 final games", MORNING, MORNING + 24 * HOUR, looks=3)
    assert one.next_look() is None
    assert trusted([one], MORNING + 24 * HOUR) == [one]
    assert trusted([one], MORNING + HOUR) == []
