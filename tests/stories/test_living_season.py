"""Is green true at every moment of a season that is lived through?

Games are announced late, moved, postponed and played later, cancelled; pages come late; a site is away; and time goes
on in steps of any length, with a run at each, of which some have a clock that is ahead. The sites are a function of the
time, and nothing of a run is real but what the domain decides: what is expected, in which state it is, and what is
looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.models import Config
from tasks.domain.assess.absences import Absence, looked
from tasks.domain.assess.agreement import Disagreement, compare, trusted
from tasks.domain.assess.assessment import Assessment, assess, listed_games
from tasks.domain.assess.finality import awaited_again, published_by
from tasks.domain.assess.states import Examination, LakeObject, State, taken_at, version_of, without_false_time
from tasks.domain.assess.verdicts import Verdict, partial, whole
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Selection, calendar_cells, game_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.times import SKEW
from tests.builders import a_config

SEASON = "2024-25"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GAME_LASTS = 2.5 * HOUR
LISTS = {"espn": "espn_scoreboard", "nba_api": "nba_schedule", "basketball_reference": "br_schedule"}
FILES = {"espn": "espn_summary", "nba_api": "nba_playbyplay", "basketball_reference": "br_boxscore"}
OVER = seasons.over_at(SEASON)


@cache
def _config() -> Config:
    config = a_config()
    names = {*LISTS.values(), *FILES.values(), "br_totals"}
    return config.model_copy(update={"datasets": {n: d for n, d in config.datasets.items() if n in names}})


@dataclass(frozen=True)
class Fixture:
    """A game as it will be: on `day`, or after a change that is told `told_before` its first start on `new_day`."""

    number: int
    day: date
    hour: float
    announced: timedelta  # before its start; less than nothing: it is listed only after that
    delays: Mapping[str, timedelta]  # after the announcement, until each source lists it
    change: str = ""  # moved, postponed or cancelled
    told_before: timedelta = 12 * HOUR
    new_day: date | None = None
    page_after: timedelta = 6 * HOUR  # from its end to its page on Basketball Reference

    def start_on(self, day: date) -> datetime:
        return datetime.combine(day, time(), seasons.EASTERN).astimezone(OVER.tzinfo) + self.hour * HOUR

    @property
    def first_start(self) -> datetime:
        return self.start_on(self.day)

    @property
    def told_at(self) -> datetime:
        """When the change of its day is told."""
        return self.first_start - self.told_before

    @property
    def played(self) -> datetime | None:
        """When it begins at last."""
        if self.change == "cancelled":
            return None
        return self.start_on(self.new_day or self.day)

    def listed_at(self, source: str) -> datetime:
        return self.first_start - self.announced + self.delays[source]

    def published_at(self, source: str) -> datetime | None:
        """When the source has its file, and says so in its list, if it lists the game then."""
        if self.played is None:
            return None
        return self.played + GAME_LASTS + (self.page_after if source == "basketball_reference" else timedelta())

    def entries(self, source: str, now: datetime) -> Iterator[Game]:
        """What a source's lists say of it."""
        if now < self.listed_at(source):
            return
        day, off = self.day, None
        if self.change and now >= self.told_at:
            off = GameStatus.CANCELLED if self.change == "cancelled" else GameStatus.POSTPONED
            day = self.new_day or self.day
        if off and (self.change == "cancelled" or (self.change == "postponed" and source != "nba_api")):
            yield self._entry(source, self.day, off)
        if self.change != "cancelled" or not off:
            start, published = self.start_on(day), self.published_at(source)
            final = published is not None and now >= published
            status = GameStatus.FINAL if final else GameStatus.LIVE if now >= start else GameStatus.SCHEDULED
            yield self._entry(source, day, status)

    def _entry(self, source: str, day: date, status: GameStatus) -> Game:
        names = {"espn": f"4017{self.number:05}", "nba_api": f"00424{self.number:05}"}
        game_id = names.get(source, f"{day:%Y%m%d}0{chr(65 + self.number // 26)}{chr(65 + self.number % 26)}X")
        return Game(game_id, day, self.start_on(day), status, SEASON, "playoffs")


@dataclass(frozen=True)
class World:
    """What the sites say at a time: a list, or the file of a game; None is a page that is not there."""

    fixtures: tuple[Fixture, ...]
    odd: frozenset[date] = frozenset()  # days whose lists have an entry that nobody can read

    def body(self, cell: Cell, now: datetime) -> Verdict | None:
        source = _config().datasets[cell.dataset].source
        if cell.game is not None:
            return self._file(source, cell.game.id, now)
        listed = [game for fixture in self.fixtures for game in fixture.entries(source, now)]
        if cell.dataset == "br_totals":
            return Verdict(whole().wholeness, f"{sum(game.status is GameStatus.FINAL for game in listed)} games")
        games = tuple(game for game in listed if cell.first_day <= game.day <= cell.last_day)
        odd = sum(cell.first_day <= day <= cell.last_day for day in self.odd)
        days = {fixture.day for fixture in self.fixtures if fixture.listed_at(source) <= now} | {g.day for g in games}
        if cell.dataset == "br_schedule" and not any(cell.first_day <= day <= cell.last_day for day in days):
            return None  # the page of a month comes with its first game, and stays
        unsettled = sum(not game.status.settled for game in games) + odd
        return partial(f"{unsettled} of {len(games) + odd} not final", games) if unsettled else whole(games)

    def _file(self, source: str, game_id: str, now: datetime) -> Verdict | None:
        published = (
            fixture.published_at(source)
            for fixture in self.fixtures
            for game in fixture.entries(source, now)
            if game.id == game_id and game.status is GameStatus.FINAL
        )
        at = next(published, None)
        return whole() if at and at <= now else None


@dataclass
class Lake:
    """A lake with its ledger, and the runs that fill it."""

    world: World
    sources: tuple[str, ...]
    since: date
    calendar: list[Cell] = field(init=False)
    bodies: dict[str, Verdict] = field(default_factory=dict)
    objects: dict[str, LakeObject] = field(default_factory=dict)
    examined: dict[str, Examination] = field(default_factory=dict)
    absences: dict[str, Absence] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)
    requests: int = 0
    ahead: timedelta = timedelta()  # by which the clock of the run is
    keeps_time: bool = True  # by a clock of its own, as S3 does, and not by that of the run

    def __post_init__(self) -> None:
        self.selection = Selection(sources=self.sources, seasons=(SEASON,), since=self.since)
        self.calendar = list(calendar_cells(_config(), OVER, self.selection))

    def run(self, now: datetime, away: str | None = None) -> tuple[Assessment, bool]:
        """Fetches what is missing and what that makes due; says whether the run is green."""
        done: dict[str, bool] = {}
        while True:
            assessment = self.look(now + self.ahead)
            gaps = [cell for key, cell in assessment.cells.items() if assessment.statuses[key].state is State.GAP]
            gaps = [cell for cell in gaps if cell.key not in done]
            if not gaps:
                break
            done |= {cell.key: self._fetch(cell, now, away) for cell in gaps}
        undone = (State.GAP, State.DEFERRED, State.IN_FLIGHT)
        return assessment, all(done.values()) and not any(s.state in undone for s in assessment.statuses.values())

    def look(self, now: datetime) -> Assessment:
        config = _config()
        verdicts = {key: one.verdict for key, one in self.examined.items()}
        games = listed_games(config, self.calendar, verdicts)
        times = {key: taken_at(have, self.examined[key], now, now + SKEW) for key, have in self.objects.items()}
        taken = {key: at for key, at in times.items() if at is not None}
        lists = [cell for cell in self.calendar if config.datasets[cell.dataset].lists_games]
        compared = compare(config, lists, self.examined, taken, games, trusted(self.disagreements, now + SKEW), now)
        self.disagreements = compared.found
        cells = {cell.key: cell for cell in self.calendar}
        for schedule, listed in games.items():
            cells |= {cell.key: cell for cell in game_cells(config, schedule, listed, now, self.selection)}
        for key, seen in self.examined.items():
            if seen.fetched and seen.fetched > now + SKEW and key in cells:
                self.examined[key] = without_false_time(seen, self.objects[key], cells[key], now + SKEW)
        checks = dict.fromkeys(config.datasets, "check")
        return assess(
            config,
            cells,
            self.objects,
            self.examined,
            checks,
            now,
            self.absences,
            disagreements=self.disagreements,
        )

    def _fetch(self, cell: Cell, now: datetime, away: str | None) -> bool:
        """Is there nothing to complain of? As flows.scrape does it."""
        dataset = _config().datasets[cell.dataset]
        if dataset.source == away:
            return False
        self.requests += 1
        body, stored = self.world.body(cell, now), now
        now += self.ahead
        if body is None:
            awaited = awaited_again(dataset, cell.season, now)
            before, rules = self.absences.get(cell.key), _config().reconcile.unavailable
            is_awaited = awaited is not None and dataset.per != "date"
            self.absences[cell.key] = looked(
                before, cell.key, cell.dataset, "HTTP 404", cell.due_at, now, rules, awaited=is_awaited
            )
            is_late = now >= published_by(dataset, cell.season, cell.last_day)
            return awaited is not None and not is_late and cell.key not in self.objects
        self.bodies[cell.key] = body
        self.objects[cell.key] = have = LakeObject(
            cell.key, 10**6, stored if self.keeps_time else now, f"{self.requests}"
        )
        self.examined[cell.key] = Examination(*version_of(have, "check"), body, now)
        self.absences.pop(cell.key, None)
        return True


BEGINNINGS = (date(2025, 1, 10), date(2025, 4, 12), date(2025, 5, 25), date(2025, 6, 8))
SPAN = 6  # days


@st.composite
def _fixtures(draw: st.DrawFn, first: date) -> tuple[Fixture, ...]:
    fixtures = []
    for number in range(draw(st.integers(1, 5))):
        day = first + draw(st.integers(0, SPAN - 1)) * DAY
        announced = draw(st.sampled_from([200, 60, 30, 10, 1, 0, -2, -8, -30])) * HOUR
        late = announced < timedelta()
        delays = {source: draw(st.sampled_from([0, 0, 0, 1, 3])) * HOUR for source in LISTS}
        change = "" if late else draw(st.sampled_from(["", "", "", "moved", "postponed", "cancelled"]))
        new_day = day + draw(st.integers(1, 6)) * DAY if change in ("moved", "postponed") else None
        told = draw(st.sampled_from([1, 9, 40])) * HOUR
        page_after = draw(st.sampled_from([1, 6, 9])) * HOUR
        hour = draw(st.sampled_from([12, 15.5, 19, 20.5, 22.5]))
        fixtures.append(Fixture(number, day, hour, announced, delays, change, told, new_day, page_after))
    return tuple(fixtures)


@st.composite
def _stories(draw: st.DrawFn) -> tuple[World, tuple[str, ...], date, list[float], set[int]]:
    first = draw(st.sampled_from(BEGINNINGS))
    sources = draw(st.sets(st.sampled_from(list(LISTS)), min_size=1))
    world = World(
        draw(_fixtures(first)), frozenset(draw(st.sets(st.integers(0, 20).map(lambda n: first + n * DAY), max_size=1)))
    )
    steps = draw(st.lists(st.sampled_from([1, 3, 5, 8, 13, 24, 30]), min_size=4, max_size=10))
    away = draw(st.sets(st.integers(0, 40), max_size=4))
    return world, tuple(sorted(sources)), first, steps, away


def _moments(first: date, steps: list[float]) -> Iterator[datetime]:
    """Over and over the same steps while games are played, then some days, and the end of the season."""
    now = seasons.eastern_midnight(first) - 12 * HOUR
    n = 0
    while now < seasons.eastern_midnight(first + (SPAN + 5) * DAY):
        yield now
        now += steps[n % len(steps)] * HOUR
        n += 1
    yield from (OVER + n * HOUR for n in (-30, 6, 30, 24 * 7, 24 * 8, 24 * 9, 24 * 10))


@given(_stories())
@settings(max_examples=100)
def test_nothing_is_green_while_a_published_file_is_missing(
    story: tuple[World, tuple[str, ...], date, list[float], set[int]],
) -> None:
    world, sources, first, steps, away = story
    lake = Lake(world, sources, first)
    for n, now in enumerate(_moments(first, steps)):
        _, green = lake.run(now, sources[n % len(sources)] if n in away and now < OVER else None)
        missing = [key for source in sources for key in _missing(lake, source, now)]
        assert not (green and missing), (now, missing)
    assert green
    for cell in lake.calendar:
        body = world.body(cell, now)
        if _config().datasets[cell.dataset].per != "date":
            assert lake.bodies.get(cell.key) == body, cell.key
    owed = {
        key
        for source in sources
        for key, f in _published(lake, source, now).items()
        if now >= _must_be_there(lake, f, source)
    }
    assert owed <= lake.objects.keys()


@given(_stories(), st.sets(st.integers(0, 40), min_size=1, max_size=6), st.sampled_from([10, 40, 400]), st.booleans())
@settings(max_examples=12)
def test_nothing_is_green_while_a_file_is_stale_that_was_taken_under_a_clock_that_was_ahead(
    story: tuple[World, tuple[str, ...], date, list[float], set[int]], wrong: set[int], days: int, keeps_time: bool
) -> None:
    world, sources, first, steps, _ = story
    lake = Lake(world, sources, first, keeps_time=keeps_time)
    moments = list(_moments(first, steps))
    for n, now in enumerate(moments):
        lake.ahead = days * DAY if n in wrong and n < len(moments) - 3 else timedelta()
        _, green = lake.run(now)
        missing = [key for source in sources for key in _missing(lake, source, now)]
        assert not (green and missing and not lake.ahead), (now, missing)
        if not lake.ahead:
            before = lake.requests
            lake.run(now)
            assert lake.requests == before or not green, "one look under the right clock heals it"
    assert green
    for cell in lake.calendar:
        if _config().datasets[cell.dataset].per != "date":
            assert lake.bodies.get(cell.key) == world.body(cell, now), cell.key


@pytest.mark.parametrize("source", LISTS)
def test_a_game_that_is_listed_late_is_found_in_time_beside_an_entry_that_cannot_be_read(source: str) -> None:
    last_of_january = date(2025, 1, 31)
    late = Fixture(0, last_of_january, 19, -30 * HOUR, dict.fromkeys(LISTS, timedelta()))
    lake = Lake(World((late,), frozenset({last_of_january})), (source,), last_of_january)
    for hours in range(24 * 4):
        now = seasons.eastern_midnight(last_of_january) + hours * HOUR
        lake.run(now)
        assert not _missing(lake, source, now)
    assert _published(lake, source, now)


def test_a_season_that_is_over_costs_one_request_a_file() -> None:
    delays = dict.fromkeys(LISTS, timedelta())
    games = [Fixture(n, date(2025, 5, 25) + n % 9 * DAY, 19, 30 * HOUR, delays) for n in range(60)]
    lake = Lake(World(tuple(games), frozenset({date(2025, 5, 27)})), tuple(LISTS), date(2025, 5, 25))
    for days in (60, 61, 62, 70):
        _, green = lake.run(OVER + days * DAY)
        assert green
    assert len(lake.objects) > 300
    assert lake.requests == len(lake.objects)


def _published(lake: Lake, source: str, now: datetime) -> dict[str, Fixture]:
    """The files of games that a source has, by key."""
    found = {}
    for fixture in lake.world.fixtures:
        finals = [g for g in fixture.entries(source, now) if g.status is GameStatus.FINAL]
        for cell in game_cells(_config(), LISTS[source], finals, now, lake.selection):
            found[cell.key] = fixture
    return found


def _missing(lake: Lake, source: str, now: datetime) -> list[str]:
    """The published files that a green run must have: as soon as they are due, where their game was listed in time."""
    missing = []
    for key, fixture in _published(lake, source, now).items():
        if key not in lake.objects and now >= _must_be_there(lake, fixture, source):
            missing.append(key)
    return missing


def _must_be_there(lake: Lake, fixture: Fixture, source: str) -> datetime:
    lists, files = _config().datasets[LISTS[source]], _config().datasets[FILES[source]]
    assert fixture.played is not None
    due = fixture.played + files.due_after
    if source == "espn":  # a day's board is asked for when the day is over
        due = max(due, seasons.eastern_midnight((fixture.new_day or fixture.day) + DAY) + lists.due_after)
    listed = fixture.listed_at(source)
    if listed <= fixture.played:
        return due
    assert lists.refresh is not None
    return max(due, listed + lists.refresh)
