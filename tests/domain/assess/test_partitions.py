"""Does a judgement hold until the time that it names, and only as long as what it rests on is unchanged?"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.absences import Absence
from tasks.domain.assess.assessment import Assessment, assess, expected_cells
from tasks.domain.assess.overview import Place, Standing, Stored, overview_of
from tasks.domain.assess.partitions import Judgement, by_partition, games_digest, judgement_of
from tasks.domain.assess.ranges import KeyRanges
from tasks.domain.assess.states import Examination, LakeObject, State, Unreadable, content_of
from tasks.domain.assess.verdicts import Verdict, bad, partial, unfinished, whole
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Partition, Selection, calendar_cells
from tasks.domain.expected.games import Game, GameStatus
from tests.builders import NOW, a_board, a_cell, a_config, a_game, an_object

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EXPIRES = 30 * DAY
RANGES = KeyRanges(["espn_box_scores/", "nba_api_boxscores/"])
CONFIG = a_config()
CHECKS = dict.fromkeys(CONFIG.datasets, "present")
SEASON = "2023-24"
OVER = seasons.over_at(SEASON)
SUMMARIES = Partition("espn_summary", SEASON)
SELECTION = Selection(
    datasets=("espn_scoreboard", "espn_summary", "nba_schedule", "br_schedule", "br_totals"), seasons=(SEASON,)
)
CALENDAR = list(calendar_cells(CONFIG, OVER, SELECTION))


@dataclass
class Files:
    """What is known of the files of a season."""

    games: list[Game]
    objects: dict[str, LakeObject]
    examinations: dict[str, Examination]
    absences: dict[str, Absence]
    unreadable: dict[str, Unreadable]

    def cells(self, now: datetime) -> dict[str, Cell]:
        days = {game.day for game in self.games}
        calendar = [cell for cell in CALENDAR if cell.dataset != "espn_scoreboard" or cell.first_day in days]
        return expected_cells(CONFIG, calendar, {"espn_scoreboard": self.games}, SELECTION, now)

    def assess(self, now: datetime) -> Assessment:
        cells = self.cells(now)
        return assess(
            CONFIG, cells, self.objects, self.examinations, CHECKS, now, self.absences, unreadable=self.unreadable
        )

    def judgements(self, now: datetime) -> dict[Partition, Judgement]:
        return {
            partition: judgement_of(
                partition, part, self.objects, self.examinations, self.absences, (), KeyRanges(), "games", EXPIRES
            )
            for partition, part in by_partition(self.assess(now)).items()
        }


MOMENTS = st.integers(-60 * 24, 30 * 24).map(lambda hours: OVER + hours * HOUR)
DAYS = st.integers(0, 60).map(lambda days: (OVER - 65 * DAY + days * DAY).date())


@st.composite
def _games(draw: st.DrawFn) -> list[Game]:
    games = []
    for n, day in enumerate(draw(st.lists(DAYS, max_size=4, unique=True))):
        start = draw(st.none() | st.just(datetime(day.year, day.month, day.day, 23, tzinfo=UTC)))
        status = draw(st.sampled_from(GameStatus))
        kind = draw(st.sampled_from(["regular", "playoffs"]))
        games.append(Game(f"{400 + n}", day, start, status, SEASON, kind, draw(st.booleans())))
    return games


@st.composite
def _files(draw: st.DrawFn) -> Files:
    """Each file may be there or not, be whole or not, and have been looked for; no time is after OVER."""
    files = Files(draw(_games()), {}, {}, {}, {})
    for key in files.cells(OVER - 260 * DAY):
        listed = tuple(files.games)
        verdicts = whole(listed), partial("1 of 2 not final", listed), unfinished("cut off"), bad("another page")
        if draw(st.booleans()):
            have = files.objects[key] = an_object(
                key=key, modified=draw(MOMENTS), size=draw(st.sampled_from([9, 10**5]))
            )
            verdict: Verdict = draw(st.sampled_from(verdicts))
            fetched, agreed, changed = draw(st.none() | MOMENTS), draw(st.booleans()), draw(st.booleans())
            files.examinations[key] = Examination(
                have.etag, have.size, "present", verdict, fetched, agreed, None, changed
            )
        if draw(st.booleans()):
            first = draw(MOMENTS)
            last = first + draw(st.sampled_from([0, 1, 30])) * HOUR
            until = draw(st.none() | st.just(last + 30 * DAY))
            note = draw(st.none() | st.just("lost")) if until else None
            unfinished_then = draw(st.booleans())
            looks = draw(st.sampled_from([1, 3, 5]))
            files.absences[key] = Absence(key, "HTTP 404", first, last, looks, until, note, "", unfinished_then)
    return files


@given(_files(), MOMENTS, st.data())
def test_a_judgement_holds_until_its_time_if_nothing_else_changes(
    files: Files, now: datetime, data: st.DataObject
) -> None:
    for partition, held in files.judgements(now).items():
        if held.until == now:
            continue
        latest = held.until or OVER + 200 * DAY
        later = data.draw(st.sampled_from([now, latest - timedelta(seconds=1), now + (latest - now) / 2]))
        assert held.is_current(later)
        part = by_partition(files.assess(later))[partition]
        cells = {file.key: part.cells[file.key] for file in held.exceptions}
        assert held.overview(partition, cells, later) == overview_of(part)


CELL = a_cell(season=SEASON, due_at=NOW - 400 * DAY, first_day=date(2024, 1, 5), last_day=date(2024, 1, 5))
HAVE = an_object(key=CELL.key, modified=NOW - 300 * DAY)
SEEN = Examination(HAVE.etag, HAVE.size, "present", whole(), NOW - 300 * DAY, agreed=True)


def _judged(
    have: LakeObject | None = HAVE, seen: Examination | None = SEEN, differing: tuple[str, ...] = (), **more: Any
) -> Judgement:
    objects, examinations = {CELL.key: have} if have else {}, {CELL.key: seen} if seen else {}
    absences = more.get("absences", {})
    part = assess(CONFIG, {CELL.key: CELL}, objects, examinations, CHECKS, NOW, **more)
    return judgement_of(SUMMARIES, part, objects, examinations, absences, differing, RANGES, "digest", EXPIRES)


def test_a_complete_file_of_a_past_season_holds_for_ever() -> None:
    held = _judged()
    assert (held.judged, held.until, held.ranges, held.games) == (NOW, None, ["espn_box_scores/"], "digest")
    assert held.counts == {"2024-01-05": {Standing(State.PRESENT): 1}}
    assert held.exceptions == ()
    assert held.stored == Stored(1, HAVE.size)
    assert [held.is_current(at) for at in (NOW - HOUR, NOW, NOW + 9999 * DAY)] == [False, True, True]


def test_a_gap_is_an_exception_with_its_status_and_game() -> None:
    held = _judged(None, None)
    [file] = held.exceptions
    assert (file.key, file.status.state, file.game) == (CELL.key, State.GAP, CELL.game)
    overview = held.overview(SUMMARIES, {CELL.key: CELL}, NOW)
    assert overview.cells == {CELL.key: CELL}
    assert overview.counts == {Place(*SUMMARIES, "2024-01-05"): {Standing(State.GAP): 1}}
    with pytest.raises(KeyError):
        held.overview(SUMMARIES, {}, NOW)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"seen": SEEN._replace(check="former")}, id="a body that the present check has not read"),
        pytest.param({"have": None, "seen": None, "obstacles": {CELL.key: "a folder"}}, id="a folder at the key"),
        pytest.param({"differing": (CELL.key,)}, id="a schedule that differs from another source's"),
        pytest.param({"have": HAVE._replace(modified=NOW + HOUR)}, id="a file stored in the future"),
        pytest.param({"seen": SEEN._replace(fetched=NOW + HOUR)}, id="a file fetched in the future"),
        pytest.param(
            {"have": None, "seen": None, "absences": {CELL.key: Absence(CELL.key, "404", NOW, NOW + HOUR)}},
            id="a look in the future",
        ),
        pytest.param(
            {"absences": {CELL.key: Absence(CELL.key, "404", NOW - DAY, NOW, until=NOW + 31 * DAY)}},
            id="an absence for longer than the settings allow now",
        ),
        pytest.param(
            {"unreadable": {CELL.key: Unreadable(content_of(HAVE), "archived", NOW, NOW)}, "seen": None},
            id="a body that the lake could not deliver",
        ),
    ],
)
def test_what_rests_on_more_than_digests_holds_for_no_time(change: dict[str, Any]) -> None:
    held = _judged(**change)
    assert (held.judged, held.until, held.is_current(NOW)) == (NOW, NOW, False)
    assert (held.exceptions, held.counts, held.stored, held.games) == ((), {}, Stored(), "digest")
    assert held.ranges == ["espn_box_scores/"], "a look lists them"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"have": HAVE._replace(modified=NOW)}, id="stored"),
        pytest.param({"seen": SEEN._replace(fetched=NOW)}, id="fetched"),
        pytest.param({"absences": {CELL.key: Absence(CELL.key, "404", NOW - HOUR, NOW)}}, id="looked for"),
        pytest.param(
            {"absences": {CELL.key: Absence(CELL.key, "404", NOW, NOW, until=NOW + EXPIRES)}}, id="made unavailable"
        ),
        pytest.param(
            {"absences": {CELL.key: Absence(CELL.key, "", NOW, NOW, until=NOW + 9 * EXPIRES, note="lost")}},
            id="marked unavailable for longer",
        ),
    ],
)
def test_what_happens_at_this_moment_is_not_in_the_future(change: dict[str, Any]) -> None:
    assert _judged(**change).is_current(NOW)


@pytest.mark.parametrize(("gaps", "files", "holds"), [(100, 100, True), (101, 202, True), (102, 202, False)])
def test_a_judgement_with_many_exceptions_is_not_worth_keeping(gaps: int, files: int, holds: bool) -> None:
    cells = {f"{n}": CELL._replace(key=f"{n}") for n in range(files)}
    objects = {key: HAVE._replace(key=key) for key in list(cells)[gaps:]}
    examinations = dict.fromkeys(objects, SEEN)
    part = assess(CONFIG, cells, objects, examinations, CHECKS, NOW)
    assert judgement_of(SUMMARIES, part, objects, examinations, {}, (), RANGES, "", EXPIRES).is_current(NOW) is holds


def test_a_judgement_changes_when_its_first_file_does_and_when_its_season_is_over() -> None:
    season = seasons.current_season(NOW)
    due = NOW + 5 * HOUR
    cell = a_cell(due_at=due)
    part = assess(CONFIG, {cell.key: cell}, {}, {}, CHECKS, NOW)
    assert judgement_of(cell.partition, part, {}, {}, {}, (), RANGES, "", EXPIRES).until == due
    gap = assess(CONFIG, {CELL.key: CELL._replace(season=season)}, {}, {}, CHECKS, NOW)
    assert (
        judgement_of(Partition("espn_summary", season), gap, {}, {}, {}, (), RANGES, "", EXPIRES).until
        == seasons.over_at(season) + 7 * DAY
    )


def test_a_season_whose_last_list_could_be_published_until_now_does_not_change_any_more() -> None:
    now = OVER + 7 * DAY
    part = assess(CONFIG, {CELL.key: CELL._replace(due_at=OVER)}, {}, {}, CHECKS, now)
    assert judgement_of(SUMMARIES, part, {}, {}, {}, (), RANGES, "", EXPIRES).until is None


def test_a_judgement_changes_when_a_game_that_is_not_needed_is_dropped() -> None:
    game = a_game(status=GameStatus.SCHEDULED, if_necessary=True, day=date(2026, 1, 10))
    cell = a_cell(game=game, due_at=NOW - DAY)
    part = assess(CONFIG, {cell.key: cell}, {}, {}, CHECKS, NOW)
    assert judgement_of(cell.partition, part, {}, {}, {}, (), RANGES, "", EXPIRES).until == seasons.eastern_midnight(
        date(2026, 1, 18)
    )


def test_the_digest_of_games_tells_every_field_and_the_order_apart() -> None:
    game = a_game()
    changes: list[list[Game]] = [
        [game],
        [],
        [game._replace(id="1")],
        [game._replace(day=date(2026, 1, 14))],
        [game._replace(start=None)],
        [game._replace(status=GameStatus.LIVE)],
        [game._replace(season_type="playoffs")],
        [game._replace(if_necessary=True)],
        [game, game._replace(id="1")],
        [game._replace(id="1"), game],
    ]
    assert len({games_digest(games) for games in changes}) == len(changes)


def test_an_assessment_is_split_into_partitions() -> None:
    board = a_board()
    cells = {CELL.key: CELL, board.key: board}
    whole_lake = assess(CONFIG, cells, {board.key: an_object(key=board.key)}, {}, CHECKS, NOW)
    parts = by_partition(whole_lake)
    assert set(parts) == {SUMMARIES, Partition("espn_scoreboard", "2025-26")}
    assert parts[SUMMARIES] == replace(parts[SUMMARIES], cells={CELL.key: CELL}, unseen=(), taken_at=NOW)
    assert parts[board.partition].unseen == [board]
    assert parts[board.partition].statuses == {board.key: whole_lake.statuses[board.key]}
