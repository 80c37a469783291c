"""Does a look that uses former judgements find what a look finds that judges every file?"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from blocks.listing import Listing
from blocks.store import Store
from config.models import Collect, Config, Priority
from tasks.domain.assess.absences import Absence
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import Overview, Stored
from tasks.domain.assess.states import Examination, LakeObject, Unreadable, content_of
from tasks.domain.assess.verdicts import bad, partial, whole
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.expected.keys import folders
from tasks.domain.expected.seasons import eastern_midnight
from tasks.ledger import Ledger
from tasks.ledger.judgements import judgement_sets_table
from tasks.observe.held import rules_of
from tasks.observe.listing import check_ids
from tasks.observe.look import Look, Reader, look_at_lake
from tasks.observe.session import Session
from tests.builders import a_config

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGIN = datetime(2025, 6, 12, 12, tzinfo=UTC)  # in the finals of 2024-25
LONG_AGO = BEGIN - 200 * DAY
DATASETS = ("espn_scoreboard", "espn_summary", "nba_schedule", "nba_playbyplay")
DAYS = [date(2025, 1, 5), date(2025, 6, 10), date(2025, 6, 13)]
BOARDS = [f"espn_schedules/{day:%Y%m%d}.json" for day in DAYS]
SEASONS = [f"nba_api_comprehensive/schedules/schedule_{season}.json" for season in ("2023-24", "2024-25")]
ESPN, NBA = ["401", "402"], ["0022400001", "0042400405"]
FILES = [f"espn_box_scores/{id}.json" for id in ESPN] + [f"nba_api_playbyplay/playbyplay_{id}.json" for id in NBA]
KEYS = BOARDS + SEASONS + FILES


def _config() -> Config:
    datasets = a_config().datasets
    kept = {name: datasets[name].model_copy(update={"first_season": "2023-24"}) for name in DATASETS}
    return a_config(datasets=kept)


CONFIG = _config()
CHECKS = check_ids(CONFIG)


class Shelf(Store):
    """A lake in memory. Nothing stands in the way of its files, unless `in_the_way` says so."""

    def __init__(self) -> None:
        super().__init__("file:///nowhere")
        self.objects: dict[str, LakeObject] = {}
        self.in_the_way: dict[str, str] = {}
        self.hints: list[str] = []

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        self.hints = list(hints)
        return Listing.of(self.objects.values())

    def obstacles(self, keys: Iterable[str]) -> dict[str, str]:
        return {key: self.in_the_way[key] for key in keys if key in self.in_the_way}


@dataclass
class World:
    """A lake with its ledger, at a time."""

    ledger: Ledger
    lake: Shelf = field(default_factory=Shelf)
    now: datetime = BEGIN
    stored: int = 0
    config: Config = CONFIG

    def copy(self, folder: Path) -> "World":
        """The same world, with a lake and a ledger of its own."""
        shutil.copy(self.ledger.database.url.database or "", folder / "ledger.db")
        world = World(Ledger(f"sqlite:///{folder / 'ledger.db'}"))
        world.lake.objects = dict(self.lake.objects)
        return world

    def look(self, *, anew: bool, selection: Selection = Selection()) -> Look:  # noqa: B008  # it is immutable
        """A look that remembers its judgements; or one of nothing but the listing, which judges everything."""
        session = Session(self.config, selection, self.lake, self.ledger, self.now)
        reader = Reader(session, 0)
        listing = self.lake.objects if anew else None
        return asyncio.run(look_at_lake(session, reader, remember=not anew, listing=listing))

    def compare(self, selection: Selection = Selection()) -> Look:  # noqa: B008  # it is immutable
        found, full = self.look(anew=False, selection=selection), self.look(anew=True, selection=selection)
        assert _plain(found.overview) == _plain(full.overview)
        assert _by_key(found.gaps()) == _by_key(full.gaps())
        open_gaps = self.ledger.gaps.first_seen().keys()
        assert open_gaps >= {gap.cell.key for gap in full.gaps()}
        if selection.is_everything:
            expected = full.assessment.cells.keys() & open_gaps
            assert all(full.assessment.statuses[key].kind for key in expected)
        return found

    def fill(self) -> None:
        """Stores every file of the calendar whole, so that only what changes later is an exception."""
        cells = [cell for cell in calendar_cells(CONFIG, self.now) if cell.due_at <= self.now]
        self.lake.objects = {cell.key: LakeObject(cell.key, 100_000, LONG_AGO, "first") for cell in cells}
        seen = {
            cell.key: Examination("first", 100_000, CHECKS[cell.dataset], whole(), self.now - HOUR) for cell in cells
        }
        self.ledger.objects.record(seen, objects=self.lake.objects, at=self.now)

    def store(self, key: str, *, etag: str | None = None, modified: datetime | None = None) -> LakeObject:
        self.stored += 1
        have = LakeObject(key, 100_000, modified or self.now - HOUR, etag or f"{self.stored}")
        self.lake.objects[key] = have
        return have

    def damage_ranges(self) -> None:
        damaged = judgement_sets_table.update().values(ranges=b"garbage")
        self.ledger.database.write(lambda connection: connection.execute(damaged))

    def examine(self, key: str, verdict: Any, **found: Any) -> None:
        have = self.lake.objects.get(key) or self.store(key)
        seen = Examination(have.etag, have.size, CHECKS[_dataset(key)], verdict, self.now - HOUR)._replace(**found)
        self.ledger.objects.record({key: seen}, objects=self.lake.objects, at=self.now)


def _by_key(gaps: Iterable[Gap]) -> dict[str, Gap]:
    return {gap.cell.key: gap for gap in gaps}


def _plain(overview: Overview) -> Overview:
    """The overview without counts of no file."""
    counts = {place: {of: n for of, n in standings.items() if n} for place, standings in overview.counts.items()}
    statuses = dict(sorted(overview.statuses.items()))
    cells = dict(sorted(overview.cells.items()))
    return replace(overview, counts={k: v for k, v in sorted(counts.items()) if v}, statuses=statuses, cells=cells)


def _dataset(key: str) -> str:
    prefixes = {"espn_schedules": 0, "espn_box_scores": 1, "nba_api_comprehensive": 2, "nba_api_playbyplay": 3}
    return DATASETS[prefixes[key.partition("/")[0]]]


def _games(draw: st.DrawFn, key: str) -> tuple[Game, ...]:
    """The games that a schedule lists: each with the same id may be there with any status, on any day."""
    if key in FILES:
        return ()
    games = []
    for id in draw(st.lists(st.sampled_from(ESPN if key in BOARDS else NBA), unique=True)):
        day = DAYS[BOARDS.index(key)] if key in BOARDS else draw(st.sampled_from(DAYS))
        start = draw(st.sampled_from([None, datetime(day.year, day.month, day.day, 23, tzinfo=UTC)]))
        season = "2023-24" if key == SEASONS[0] else "2024-25"
        status = draw(st.sampled_from(GameStatus))
        games.append(Game(id, day, start, status, season, draw(st.sampled_from(["regular", "playoffs"])), False))
    return tuple(games)


@st.composite
def _change(draw: st.DrawFn) -> Any:
    """Something that happens to a world."""
    key = draw(st.sampled_from(KEYS))
    happens = ["store", "lose", "examine", "look", "hand", "clear", "refuse", "block", "wait", "touch", "damage"]
    what = draw(st.sampled_from(happens))
    if what == "store":
        return lambda world: world.store(key)
    if what == "touch":  # the same content was stored again, or its time is wrong
        modified = draw(st.sampled_from([LONG_AGO, BEGIN + 400 * DAY]))
        return lambda world: world.store(key, etag="same", modified=modified)
    if what == "lose":
        return lambda world: world.lake.objects.pop(key, None)
    if what == "examine":
        games = _games(draw, key)
        verdicts = [whole(games), partial("1 of 2 not final", games), bad("another page")]
        verdict, agreed = draw(st.sampled_from(verdicts)), draw(st.booleans())
        return lambda world: world.examine(key, verdict, agreed=agreed)
    if what in ("look", "hand"):
        first, note = draw(st.sampled_from([LONG_AGO, BEGIN - HOUR])), "lost" if what == "hand" else None

        def absent(world: World) -> None:
            until = world.now + 30 * DAY if note else None
            absence = Absence(key, "HTTP 404", first, world.now, 5, until, note, _dataset(key))
            world.ledger.absences.record([absence])

        return absent
    if what == "clear":
        return lambda world: world.ledger.absences.clear([key])
    if what == "refuse":

        def refuse(world: World) -> None:
            have = world.lake.objects.get(key) or world.store(key)
            refused = Unreadable(content_of(have), "archived", world.now, world.now)
            world.ledger.objects.record({}, {key: refused})

        return refuse
    if what == "damage":
        return World.damage_ranges
    if what == "block":
        return lambda world: world.lake.in_the_way.update({} if key in world.lake.in_the_way else {key: "a folder"})
    hours = draw(st.sampled_from([1, 5, 24, 24 * 8, 24 * 40, 24 * 150]))

    def wait(world: World) -> None:
        world.now += hours * HOUR

    return wait


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which every list that is due was stored whole, and its ledger is closed."""
    world = World(Ledger(f"sqlite:///{tmp_path_factory.mktemp('filled') / 'ledger.db'}"))
    world.fill()
    world.ledger.close()
    return world


@settings(max_examples=40)  # each takes a third of a second
@given(changes=st.lists(_change(), max_size=12), size=st.sampled_from([1, 2, 50, 1000]), in_parts=st.booleans())
def test_a_look_with_memory_finds_what_a_look_at_everything_finds(
    filled: World, changes: list[Any], size: int, in_parts: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.domain.assess.ranges.SIZE", size)
        if in_parts:  # as at a lake of millions of files
            patch.setattr("tasks.observe.look._MANY_GAMES", 0)
            patch.setattr("tasks.observe.look._MANY_FILES", 0)
            patch.setattr("tasks.ledger.objects._MANY", 1)
        world = filled.copy(Path(folder))
        world.compare()
        for change in changes:
            change(world)
            if not world.lake.in_the_way:
                world.compare()
                world.compare(Selection(datasets=("nba_playbyplay",)))
        world.lake.in_the_way.clear()
        world.compare()
        world.ledger.close()


def test_a_look_that_spans_midnight_keeps_no_game_that_is_dropped_then(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = filled.copy(tmp_path)
    game = Game("401", DAYS[2], None, GameStatus.SCHEDULED, "2024-25", "playoffs", if_necessary=True)
    dropped = eastern_midnight(DAYS[2] + timedelta(days=8))
    world.now = dropped - timedelta(seconds=1)
    world.examine(BOARDS[2], partial("1 of 1 not final", (game,)))
    times = chain([world.now], repeat(dropped + timedelta(seconds=1)))
    with monkeypatch.context() as moving:
        moving.setattr(Session, "now", lambda session: next(times))
        world.look(anew=False)
    world.now = dropped + HOUR
    world.compare()
    world.ledger.close()


def test_a_look_lists_the_lake_along_the_ranges_of_the_last_one(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.domain.assess.ranges.SIZE", 50)
    world = filled.copy(tmp_path)
    keys = sorted(world.lake.objects)
    world.look(anew=False)
    assert world.lake.hints == []
    world.look(anew=False)
    within = [key for key in world.lake.hints if key in keys]
    assert set(world.lake.hints).difference(within) == {"", *(f"{one}/" for one in folders(CONFIG.datasets.values()))}
    assert len(keys) // 100 - 5 <= len(within) <= len(keys) // 50
    world.ledger.close()


def test_no_judgement_holds_without_the_digest_of_each_range_that_it_rests_on(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.domain.assess.ranges.SIZE", 50)
    world = filled.copy(tmp_path)
    world.compare()
    del world.lake.objects[next(key for n, key in enumerate(sorted(world.lake.objects)) if n == 120)]
    world.damage_ranges()
    world.compare()
    world.ledger.close()


def _another(value: Any) -> Any:
    """A value like this one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case timedelta():
            return value + HOUR
        case list():
            return value[:-1]
        case BaseModel():
            return value.model_copy(update={name: _another(old) for name, old in value})
    return {None: HOUR, "America/New_York": "UTC"}[value] if value != {} else {Priority.LOW: 1}


def test_judgements_rest_on_few_settings_of_reconcile() -> None:
    """A change of any other does not have the whole lake judged anew."""
    rules = CONFIG.reconcile
    changes = {name: {name: _another(value)} for name, value in rules if name != "unavailable"}
    for name, value in rules.unavailable:
        changes[name] = {"unavailable": rules.unavailable.model_copy(update={name: _another(value)})}
    digests = {
        name: rules_of(a_config(reconcile=rules.model_copy(update=change)), CHECKS, BEGIN)
        for name, change in changes.items()
    }
    same = rules_of(a_config(), CHECKS, BEGIN)
    assert {name for name, digest in digests.items() if digest != same} == {"look_again", "looks", "over", "expires"}


def test_no_judgement_holds_once_something_else_is_collected(filled: World, tmp_path: Path) -> None:
    world = filled.copy(tmp_path)
    games = [Game(id, day, None, GameStatus.FINAL, "2024-25", "regular") for id, day in zip(ESPN, DAYS, strict=False)]
    for board, game in zip(BOARDS, games, strict=False):
        world.examine(board, whole((game,)))
    everything = world.compare()
    collect = Collect(since=DAYS[1], datasets=["espn_summary"], season_types=["regular"])
    world.config = CONFIG.model_copy(update={"collect": collect})
    less = world.compare()
    assert {place.dataset for place in less.overview.counts} == {"espn_scoreboard", "espn_summary"}
    assert {gap.cell.game for gap in less.gaps() if gap.cell.game} == {games[1]}
    assert less.overview.needed_by == {"espn_scoreboard": "espn_summary"}
    world.config = CONFIG
    assert world.compare().overview.totals == everything.overview.totals
    world.ledger.close()


def test_a_selected_season_is_estimated_from_one_that_is_not(filled: World, tmp_path: Path) -> None:
    world = filled.copy(tmp_path)
    days = [date(2024, 1, 5) + timedelta(days=n) for n in range(100)]
    games = [Game(f"00223{n:05}", day, None, GameStatus.FINAL, "2023-24", "regular") for n, day in enumerate(days)]
    world.store(SEASONS[0])
    world.examine(SEASONS[0], whole(tuple(games)))
    for game in games:
        world.store(f"nba_api_playbyplay/playbyplay_{game.id}.json")
    del world.lake.objects[SEASONS[1]]
    world.now = datetime(2025, 8, 1, tzinfo=UTC)
    overview = world.look(anew=True, selection=Selection(sources=("nba_api",), seasons=("2024-25",))).overview
    assert overview.unlisted == {("nba_playbyplay", "2024-25"): 100}
    assert overview.stored == {("nba_playbyplay", "2023-24"): Stored(100, 10_000_000)}
    both = world.look(anew=True, selection=Selection(sources=("nba_api",))).overview
    assert both.unlisted == overview.unlisted
    world.ledger.close()
