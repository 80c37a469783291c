"""Does a look record what its listing has shown, and nothing that is older than what others record meanwhile?"""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from blocks.listing import Listing
from config.models import Collect
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Content, Examination, LakeObject, LearntBy, content_of
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import UnreadableError
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger
from tasks.observe.listing import check_ids
from tasks.observe.look import Reader, look_at_lake, newly_due
from tasks.observe.session import Session
from tasks.observe.watcher import Fate, Watcher
from tests.builders import a_config
from tests.tasks.observe.test_watcher import CONFIG, Bucket

DAYS = [date(2026, 1, 10) + timedelta(days=n) for n in range(3)]
KEYS = [f"espn_schedules/{day:%Y%m%d}.json" for day in DAYS]
NOW = datetime(2026, 1, 16, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WITH_FILES = CONFIG.model_copy(update={"datasets": a_config().datasets, "collect": Collect(since=DAYS[0])})
GAMES = {"401810001": "espn_box_scores/401810001.json", "401810002": "espn_box_scores/401810002.json"}
BODY = json.dumps({"events": []}).encode().ljust(2000)


class Clocked(Session):
    """A session at the time of its bucket."""

    def now(self) -> datetime:
        assert isinstance(self.lake, Shared)
        return self.lake.now


class Shared(Bucket):
    """A bucket that others use while it is listed or read."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.bodies: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.meanwhile: dict[str, Callable[[], object]] = {}  # what happens once after an answer, by the method

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        prefixes = tuple(f"{folder}/" for folder in folders)
        have = Listing.of(one for key, one in self.objects.items() if key.startswith(prefixes))
        self._go_on("list")
        return have

    async def get(self, key: str) -> tuple[bytes, LakeObject]:
        have = self.objects[key]
        self._go_on("get")
        return self.bodies.get(key, BODY), have

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        keys = list(keys)
        self.asked += keys
        return await super().find_all(keys)

    def obstacles(self, keys: Iterable[str]) -> dict[str, str]:
        if list(keys):
            self._go_on("obstacles")
        return {}

    def _go_on(self, method: str) -> None:
        self.now += SECOND
        if happens := self.meanwhile.pop(method, None):
            with ThreadPoolExecutor(1) as others:
                others.submit(happens).result()
            self.now += SECOND

    def store(self, key: str, content: Content | None, number: int) -> str:
        """Stores a file or removes it, and returns the message of that."""
        return self.change(key, content, self.now, f"{number:04X}")


class World:
    """A bucket, the ledger about it, and a watch that has begun."""

    def __init__(self, folder: Path):
        self.ledger, self.lake = Ledger(f"sqlite:///{folder / 'ledger.db'}"), Shared()
        self.config = CONFIG
        self.ledger.announcements.progressed(NOW)
        self.lake.now += MINUTE

    @property
    def session(self) -> Session:
        return Clocked(self.config, Selection(), self.lake, self.ledger, begun=self.lake.now)

    def take(self, *messages: str) -> list[Fate]:
        return asyncio.run(self._take(messages))

    async def _take(self, messages: Sequence[str]) -> list[Fate]:
        watcher = Watcher(self.session)
        taken = await watcher.take(messages)
        await watcher.follow()
        return taken.fates

    def look(self, at_most: int = 0) -> None:
        session = self.session
        asyncio.run(look_at_lake(session, Reader(session, at_most), remember=True))

    def missed(self) -> int:
        """Looks again until all changes count as missed of which no event has told, and returns how many do."""
        for _ in range(3):
            self.lake.now += 20 * MINUTE
            self.look()
        return sum(self.ledger.announcements.missed(DAYS[0]).values())

    def contents(self) -> dict[str, Content]:
        """The files as ADCE knows them."""
        return _contents(self.ledger.objects.known())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("tasks.ledger.events._SHOWN_AT_ONCE", 2)  # so that a look is recorded in parts
    return World(tmp_path)


def _contents(objects: dict[str, LakeObject]) -> dict[str, Content]:
    return {key: content_of(have) for key, have in objects.items()}


def a_content(name: str) -> Content:
    return Content(f'"{name}"', 100_000)


def a_board(starts: Mapping[str, str]) -> bytes:
    """A scoreboard that lists games, with their starts."""
    final = {"type": {"state": "post", "completed": True}}
    events = [{"id": game, "date": start, "status": final} for game, start in starts.items()]
    return json.dumps({"events": events}).encode().ljust(2000)


def test_what_events_and_runs_record_during_a_look_is_not_overwritten_with_its_older_listing(world: World) -> None:
    lake, ledger, (changed, added, own) = world.lake, world.ledger, KEYS
    world.take(lake.store(changed, a_content("first"), 1))
    world.look()

    def meanwhile() -> None:
        told = lake.store(changed, a_content("changed"), 2), lake.store(added, a_content("added"), 3)
        assert world.take(*told) == [Fate.APPLIED, Fate.APPLIED]
        lake.store(own, a_content("own"), 4)
        seen = Examination(*a_content("own"), check_ids(CONFIG)["espn_scoreboard"], whole(), lake.now)
        ledger.objects.database.write(
            lambda connection: ledger.objects.write(connection, {own: seen}, lake.objects, lake.now, [own])
        )
        ledger.gaps.close([own])

    lake.now += MINUTE
    lake.meanwhile["list"] = meanwhile
    world.look()
    assert not lake.meanwhile
    assert world.contents() == _contents(lake.objects)
    assert ledger.objects.last([own])[own].by is LearntBy.OWN
    assert not ledger.gaps.first_seen(KEYS)
    assert world.missed() == 0


def test_an_event_of_a_file_that_comes_after_a_look_has_read_it_and_before_its_end_is_not_missed(world: World) -> None:
    lake, (told, untold, _) = world.lake, KEYS
    message = lake.store(told, a_content("told"), 1)
    lake.store(untold, a_content("untold"), 2)
    lake.meanwhile["obstacles"] = lambda: world.take(message)
    world.look(at_most=2)
    assert not lake.meanwhile
    assert world.missed() == 1


def test_what_a_look_has_read_does_not_replace_the_version_of_which_an_event_has_told_meanwhile(world: World) -> None:
    lake, key = world.lake, KEYS[0]
    lake.store(key, a_content("first"), 1)
    lake.meanwhile["get"] = lambda: world.take(lake.store(key, a_content("second"), 2))
    world.look(at_most=1)
    assert not lake.meanwhile
    assert world.contents() == _contents(lake.objects)
    assert world.missed() == 0


def test_a_file_that_lay_in_the_lake_before_its_schedule_listed_it_makes_no_gap(world: World) -> None:
    lake, (board, *_), (there, lacking) = world.lake, KEYS, GAMES.values()
    world.config = WITH_FILES
    lake.store(there, a_content("there"), 1)
    world.look()
    lake.bodies[board] = a_board(dict.fromkeys(GAMES, f"{DAYS[0]}T23:00Z"))
    lake.now += 5 * MINUTE
    world.take(lake.store(board, a_content("board"), 2))
    assert world.ledger.gaps.first_seen(GAMES.values()).keys() == {lacking}
    assert {there, lacking} <= set(lake.asked)
    lake.asked.clear()
    assert world.take(lake.store(lacking, a_content("stored"), 3)) == [Fate.APPLIED]
    assert not lake.asked
    assert not world.ledger.gaps.first_seen(GAMES.values())
    assert world.missed() == 1, "no event has told of the file that was there"


def test_a_file_of_a_game_has_others_judged_that_were_not_due_when_the_lake_was_listed(world: World) -> None:
    lake, gaps, (old, recent) = world.lake, world.ledger.gaps, GAMES
    world.config = WITH_FILES
    lake.bodies[KEYS[0]] = a_board({old: f"{DAYS[0]}T18:00Z", recent: f"{DAYS[0]}T23:00Z"})
    lake.now = datetime(2026, 1, 11, 2, tzinfo=UTC)
    lake.store(KEYS[0], a_content("board"), 1)
    world.look(at_most=1)
    of_old = {key for key in gaps.first_seen() if old in key}
    assert len(of_old) > 1
    assert not [key for key in gaps.first_seen() if recent in key]
    gaps.close(of_old)
    lake.now += timedelta(hours=2)
    world.take(*(lake.store(key, a_content(game), 2) for game, key in GAMES.items()))
    assert {key for key in gaps.first_seen() if recent in key} == {
        key.replace(old, recent) for key in of_old - {GAMES[old]}
    }
    assert not [key for key in gaps.first_seen() if old in key], "a look has judged them already"


def test_a_watch_reads_a_body_again_that_could_not_be_read_before_and_says_when_it_learnt_of_it(world: World) -> None:
    lake, ledger, key = world.lake, world.ledger, KEYS[0]
    watcher = Watcher(world.session)

    async def take(*messages: str) -> None:
        await watcher.take(messages)
        await watcher.follow()

    def refuse() -> None:
        raise UnreadableError(f"lake: {key}: archived", cause="archived")

    lake.meanwhile["get"] = refuse
    asyncio.run(take(lake.store(key, a_content("board"), 1)))
    assert ledger.objects.unreadable().keys() == {key}
    lake.now += 20 * MINUTE
    again = lake.now
    asyncio.run(take(lake.store(key, None, 2)))
    asyncio.run(take(lake.store(key, a_content("board"), 3)))
    assert not ledger.objects.unreadable()
    message = lake.store(key, a_content("told"), 4)
    lake.store(key, a_content("newer"), 5)
    asyncio.run(take(message))
    found = ledger.objects.last([key])[key]
    assert found.change.content == a_content("newer")
    assert found.at
    assert found.at >= again


def test_a_file_of_a_dataset_that_is_not_collected_is_foreign_and_none_of_its_changes_is_missed(world: World) -> None:
    lake, ledger = world.lake, world.ledger
    key = next(keys.format(id="0022500001") for keys in a_config().datasets["nba_playbyplay"].keys)
    world.config = WITH_FILES
    assert world.take(lake.store(key, a_content("collected"), 1)) == [Fate.APPLIED]
    known = ledger.objects.last([key])
    world.config = WITH_FILES.model_copy(update={"collect": Collect(since=DAYS[0], sources=["espn"])})
    assert world.take(lake.store(key, a_content("not collected"), 2)) == [Fate.FOREIGN]
    world.look()
    assert ledger.objects.last([key]) == known
    assert world.missed() == 0


def test_a_gap_that_was_seen_under_a_clock_that_was_ahead_is_new_to_a_watch(world: World) -> None:
    lake, ledger, key = world.lake, world.ledger, KEYS[0]
    watcher = Watcher(world.session)

    async def gaps(content: Content | None, number: int) -> list[Gap]:
        await watcher.take([lake.store(key, content, number)])
        return await watcher.follow()

    asyncio.run(gaps(a_content("first"), 1))
    (gap,) = asyncio.run(gaps(None, 2))
    asyncio.run(gaps(a_content("second"), 3))
    ledger.gaps.record([dataclasses.replace(gap, first_seen=datetime.now(UTC) + timedelta(days=365))])
    assert [new.cell.key for new in asyncio.run(gaps(None, 4))] == [key]


def test_a_gap_that_a_look_has_found_in_a_new_file_is_not_closed_by_what_follows_from_its_event(world: World) -> None:
    lake, ledger, key = world.lake, world.ledger, KEYS[0]
    watcher = Watcher(world.session)
    lake.bodies[key] = b"<html>another page</html>".ljust(100_000)
    asyncio.run(watcher.take([lake.store(key, a_content("bad"), 1)]))
    lake.now += MINUTE
    world.look(at_most=1)
    assert key in ledger.gaps.first_seen()
    asyncio.run(watcher.follow())
    assert key in ledger.gaps.first_seen()


def test_a_file_that_comes_due_between_two_messages_of_its_game_is_a_gap(world: World) -> None:
    world.config, lake, (game, box) = WITH_FILES, world.lake, next(iter(GAMES.items()))
    lake.bodies[KEYS[0]] = a_board({game: f"{DAYS[0]}T23:00Z"})
    lake.now = datetime(2026, 1, 11, 2, tzinfo=UTC)
    lake.store(KEYS[0], a_content("board"), 1)
    world.look(at_most=1)
    watcher = Watcher(world.session)
    cells = watcher._expected.of_games([game])
    due, other = cells[box].due_at, next(key for key in cells if key != box)

    async def send(message: str) -> set[str]:
        await watcher.take([message])
        return {gap.cell.key for gap in await watcher.follow()}

    lake.now = due - MINUTE
    assert asyncio.run(send(lake.store(other, a_content("a"), 2))) == set()
    lake.now = due + MINUTE
    assert asyncio.run(send(lake.store(other, a_content("b"), 3))) >= {box}
    lake.now += MINUTE
    assert asyncio.run(send(lake.store(other, a_content("c"), 4))) == set(), "it is known"


def test_a_file_that_has_come_since_the_lake_was_listed_is_no_gap_when_a_new_schedule_lists_it(world: World) -> None:
    lake, (board, *_), (there, lacking) = world.lake, KEYS, GAMES.values()
    world.config = WITH_FILES
    session = world.session
    reader = Reader(session)
    look = asyncio.run(look_at_lake(session, reader, remember=True))
    lake.now += MINUTE
    world.take(lake.store(there, a_content("there"), 1))
    lake.store(board, a_content("board"), 2)
    lake.bodies[board] = a_board(dict.fromkeys(GAMES, f"{DAYS[0]}T23:00Z"))
    look.known.objects[board] = lake.objects[board]
    schedule = look.assessment.cells[board]
    asyncio.run(reader.read(look.known, [schedule]))
    gaps = newly_due(session, look.known, [schedule]).gaps()
    assert lacking in {gap.cell.key for gap in gaps}
    assert there not in {gap.cell.key for gap in gaps}
    assert world.ledger.gaps.first_seen(GAMES.values()).keys() == {lacking}
