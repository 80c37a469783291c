"""Does a look that lists only some ranges of keys find what a look at everything finds, and the rest in time?"""

import asyncio
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.listing import KeyRange, Listing, NotListedError
from tasks.domain.arrivals import LastChange, Unannounced
from tasks.domain.assess.states import LakeObject, LearntBy, State
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import HeadRefusedError, Reach
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.ledger import Ledger
from tasks.ledger.judgements import judgement_sets_table
from tasks.observe.look import Look, Reader, look_at_lake, look_up, look_up_newly_due, newly_due
from tasks.observe.session import Session
from tests.builders import obstore_batch
from tests.tasks.observe.test_held import (
    BOARDS,
    CONFIG,
    DAY,
    DAYS,
    FILES,
    SEASONS,
    Shelf,
    World,
    _by_key,
    _change,
    _plain,
)

EVERY = timedelta(hours=2)
RULES = CONFIG.reconcile.model_copy(update={"verify_every": EVERY})
ROTATED = CONFIG.model_copy(update={"reconcile": RULES})
LATER = CONFIG.reconcile.interval
OLD_GAMES = tuple(
    Game(f"00223{number:05}", date(2024, 1, 5), None, GameStatus.FINAL, "2023-24", "regular") for number in range(200)
)
CLOSED = f"nba_api_playbyplay/playbyplay_{OLD_GAMES[150].id}.json"
OTHER = "espn_box_scores/403.json"


class Bucket(Shelf):
    """A lake in S3, which lists only the ranges that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.url = "s3://nowhere/nba"
        self.listed: list[KeyRange] = []
        self.asked: list[str] = []  # keys of which it was asked alone
        self.refused: set[str] = set()  # keys of which it does not tell

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        self.listed.append(("", None))
        return await super().list(folders, hints)

    async def list_ranges(self, folders: Iterable[str], ranges: Iterable[KeyRange]) -> Listing:
        ranges = list(ranges)
        self.listed += ranges
        return Listing.of_ranges(
            ranges, [obstore_batch(found) for one in ranges if (found := _within(self.objects, one))]
        )

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        self.asked += keys
        if self.refused.intersection(keys):
            raise HeadRefusedError("403", Reach.KEY, "but other files can be read")
        return {key: self.objects[key] for key in keys if key in self.objects}

    async def find_each(self, keys: Iterable[str]) -> tuple[dict[str, LakeObject], dict[str, HeadRefusedError]]:
        refused = {key: HeadRefusedError("403", Reach.KEY, "but other files can be read") for key in self.refused}
        return await self.find_all(set(keys) - self.refused), refused


def _within(objects: dict[str, LakeObject], one: KeyRange) -> list[LakeObject]:
    start, end = one
    return [objects[key] for key in sorted(objects) if start <= key and (end is None or key < end)]


@dataclass
class Watched(World):
    """A world whose events are watched, and whose scheduled looks are on a rotation."""

    lake: Bucket = field(default_factory=Bucket)
    is_proved: bool = True

    def copy(self, folder: Path) -> "Watched":
        former = super().copy(folder)
        world = Watched(former.ledger, config=ROTATED)
        world.lake.objects = former.lake.objects
        world.rotate()
        world.lake.listed.clear()
        return world

    def fill(self) -> None:
        """Stores every list, and the files of the games of a season that is over."""
        super().fill()
        for game in OLD_GAMES:
            self.examine(f"nba_api_playbyplay/playbyplay_{game.id}.json", whole())
        self.examine(SEASONS[0], whole(OLD_GAMES))

    def rotate(self) -> Look:
        """A scheduled look."""
        self.ledger.announcements.progressed(self.now, self.now, self.now if self.is_proved else None)
        return self._look(by_schedule=True)

    def full(self) -> Look:
        return self._look(listing=self.lake.objects)

    def _look(self, **how: Any) -> Look:
        with self.clock():
            session = self.session()
            remember = "listing" not in how
            return asyncio.run(look_at_lake(session, Reader(session, 0), remember=remember, **how))

    def session(self, selection: Selection = Selection()) -> Session:  # noqa: B008  # it is immutable
        return Session(self.config, selection, self.lake, self.ledger, begun=self.now)

    @contextmanager
    def clock(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "now", lambda session: self.now)
            yield

    def announce(self, change: Any) -> None:
        """Makes a change of which an event tells."""
        before = dict(self.lake.objects)
        change(self)
        changed = {key for key, _ in set(before.items()) ^ set(self.lake.objects.items())}
        told = {key: LastChange.of(self.lake.objects.get(key), self.now) for key in changed}
        self.ledger.arrivals.record(told, self.now, LearntBy.EVENT)

    def agrees(self) -> Look:
        found, full = self.rotate(), self.full()
        told = replace(found.overview, verified_since=None)
        assert _plain(told) == _plain(full.overview)
        assert _by_key(found.gaps()) == _by_key(full.gaps())
        return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    world = Watched(Ledger(f"sqlite:///{tmp_path_factory.mktemp('rotated') / 'ledger.db'}"), config=ROTATED)
    world.fill()
    world.ledger.close()
    return world


@pytest.fixture
def world(filled: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr("tasks.domain.assess.ranges.SIZE", 10)
    world = filled.copy(tmp_path)
    yield world
    world.ledger.close()


@settings(max_examples=12)  # each takes half a second
@given(changes=st.lists(_change(), max_size=10), size=st.sampled_from([1, 10, 50]))
def test_if_events_tell_of_every_change_a_look_at_ranges_finds_what_one_at_everything_finds(
    filled: Watched, changes: list[Any], size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.domain.assess.ranges.SIZE", size)
        world = filled.copy(Path(folder))
        for change in changes:
            world.announce(change)
            world.lake.in_the_way.clear()  # S3 has nothing in the way of files
            world.agrees()
            world.now += LATER
        world.agrees()
        world.ledger.close()


def test_an_unchanged_lake_is_listed_where_schedules_are_and_bit_by_bit(world: Watched) -> None:
    files = [start for start in world.ledger.judgements.ranges() if start.startswith("nba_api_playbyplay/")]
    assert len(files) == 20
    listed = []
    for _ in range(16):
        world.now += LATER
        world.lake.listed.clear()
        found = world.agrees()
        starts = {start for start, _ in world.lake.listed}
        assert len(starts) == len(world.lake.listed), "each range is listed once"
        listed.append(starts)
        assert found.overview.verified_since
        assert world.now - EVERY <= found.overview.verified_since < world.now
    assert all(set(files) <= set().union(*some) for some in (listed[:8], listed[8:]))
    numbers = [len(starts.difference(set.intersection(*listed))) for starts in listed]
    assert 0 < max(numbers) - 1 <= min(numbers) <= len(files) / 5, "each has about as many on the rotation"


@pytest.mark.parametrize("key", [CLOSED, FILES[0]])
def test_a_lost_file_of_which_no_event_has_told_is_found_on_the_rotation(world: Watched, key: str) -> None:
    game = Game("401", DAYS[0], None, GameStatus.FINAL, "2024-25", "regular")
    world.announce(lambda world: (world.examine(BOARDS[0], whole((game,))), world.store(key)))
    world.agrees()
    del world.lake.objects[key]
    begun = world.now
    while not (found := key in world.rotate().overview.statuses) and world.now < begun + EVERY:
        world.now += LATER
    assert found
    assert world.now <= begun + EVERY
    world.agrees()


@pytest.mark.parametrize("broken", ["broken", "unproved", "not watched", "digests", "settings", "asked"])
def test_without_proof_or_digests_everything_is_listed(
    world: Watched, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    del world.lake.objects[BOARDS[0]]
    caplog.set_level(logging.INFO, "tasks.observe.look")
    world.now += LATER
    if broken == "broken":  # the event of a file that ADCE has stored has not come
        world.is_proved = False
        stored = {"own": Unannounced.stored(LakeObject("own", 1, world.now - LATER / 2, "e"))}
        announcements = world.ledger.announcements
        world.ledger.database.write(lambda connection: announcements.write(connection, stored, are_own=True))
    elif broken == "unproved":
        world.is_proved = False
        world.now += 2 * DAY  # the watch begins anew
    elif broken == "digests":
        sets = judgement_sets_table.update().values(ranges=b"damaged")
        world.ledger.database.write(lambda connection: connection.execute(sets))
    elif broken == "settings":
        world.config = world.config.model_copy(
            update={"reconcile": RULES.model_copy(update={"look_again": RULES.look_again[1:]})}
        )
    if broken == "asked":
        look = world._look()
    elif broken == "not watched":
        world.now += 2 * DAY
        look = world._look(by_schedule=True)
    else:
        look = world.rotate()
    assert world.lake.listed == [("", None)]
    assert look.overview.verified_since is None
    assert look.overview.statuses[BOARDS[0]].state is State.GAP
    if broken == "asked":
        assert caplog.messages == []
    else:
        assert any(line.startswith("this look lists the whole lake: ") for line in caplog.messages)
        assert broken not in ("broken", "unproved") or f"path is {broken}" in caplog.text
    assert _plain(look.overview) == _plain(world.full().overview)


def test_games_that_become_due_in_the_run_are_looked_up(world: Watched) -> None:
    games = [Game(id, DAYS[1], None, GameStatus.FINAL, "2024-25", "playoffs") for id in ("401", "402")]
    there = world.store(FILES[0])
    other = Game("403", DAYS[0], None, GameStatus.FINAL, "2024-25", "playoffs")
    world.announce(lambda world: (world.examine(BOARDS[0], whole((other,))), world.examine(OTHER, whole())))
    world.rotate()
    world.now += timedelta(minutes=5)
    world.rotate()
    look = world.rotate()
    board = next(cell for cell in calendar_cells(CONFIG, world.now) if cell.key == BOARDS[1])
    assert not look.known.has_asked(FILES[1])
    world.examine(BOARDS[1], whole(tuple(games)))
    look.known.examinations |= world.ledger.objects.examined([BOARDS[1]])
    look.known.stored(BOARDS[1], world.lake.objects[BOARDS[1]], look.known.examinations[BOARDS[1]])
    with world.clock():
        session = world.session()
        assert newly_due(session, look.known, [board]).gaps() == [], "it is not known whether they are there"
        asyncio.run(look_up_newly_due(session, look.known, [board]))
        found = newly_due(session, look.known, [board])
    assert FILES[1] in world.lake.asked
    assert FILES[1] in _by_key(found.gaps())
    assert look.known.objects[FILES[0]] == there


def test_what_is_to_be_fetched_is_looked_up_if_it_was_not_listed(world: Watched) -> None:
    keys = [f"nba_api_playbyplay/playbyplay_{OLD_GAMES[number].id}.json" for number in (50, 100, 199)]
    world.announce(lambda world: [world.lake.objects.pop(key) for key in keys])
    world.agrees()
    world.now += timedelta(minutes=5)
    world.rotate()  # the clock of whoever has taken in the events may be ahead, so it lists there again
    look = world.rotate()
    gaps = look.gaps()
    assert {gap.cell.key for gap in gaps} >= set(keys)
    assert not any(look.known.has_asked(key) for key in keys)
    with pytest.raises(NotListedError):
        look.known.is_as_read(keys[0])
    world.examine(keys[0], whole())  # stored, and no event has told of it
    world.lake.refused = {keys[1]}
    some = [gap for gap in gaps if gap.cell.key in keys]
    with world.clock():
        session = world.session()
        look.known.loaded = set()
        closed = asyncio.run(look_up(session, Reader(session, 0), look.known, some))
    assert closed == {keys[0], keys[1]}, "one is there, and nothing is known of the other"
    assert [look.known.has_asked(key) for key in keys] == [True, False, True]
    assert look.known.objects[keys[0]] == world.lake.objects[keys[0]]
    world.now += LATER
    assert keys[0] not in world.rotate().overview.statuses, "the next look lists where it is"


def test_a_dataset_of_which_all_files_have_other_names_is_named_by_every_look(world: Watched) -> None:
    """Its folder is listed each time, while the lake has no file of the dataset."""
    odd = ["espn_box_scores/401.txt", "espn_box_scores/402.txt"]
    world.announce(lambda world: [world.store(key) for key in odd])
    for _ in range(3):
        world.now += LATER
        [misnamed] = world.agrees().overview.misnamed
        assert (misnamed.files, misnamed.example) == (2, odd[0])
    game = Game("401", DAYS[0], None, GameStatus.FINAL, "2024-25", "regular")
    world.announce(lambda world: (world.examine(BOARDS[0], whole((game,))), world.examine(FILES[0], whole())))
    assert world.agrees().overview.misnamed == ()
    world.lake.listed.clear()
    world.now += timedelta(minutes=5)
    world.rotate()
    world.lake.listed.clear()
    world.rotate()
    assert not any(start.startswith("espn_box_scores/") for start, _ in world.lake.listed)
