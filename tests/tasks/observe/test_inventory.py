"""A first look by an S3 Inventory: nothing counts as missing that is there, and nothing is fetched that is there."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.inventory import Inventory as Found
from blocks.listing import Listing
from blocks.store import Store
from config.models import Collect, Inventory
from tasks.domain.arrivals import LastChange
from tasks.domain.assess.doubts import Doubt, FromInventory
from tasks.domain.assess.states import Examination, Kind, LakeObject, LearntBy, State, content_of
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.errors import HeadRefusedError, NoObjectError, Reach
from tasks.domain.expected.cells import Selection
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.inventories import InventoryError
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.gaps import gaps_table
from tasks.ledger.judgements import judgement_sets_table
from tasks.ledger.runs import runs_table
from tasks.observe.listing import check_ids
from tasks.observe.look import Look, Reader, look_at_lake, look_up_newly_due, newly_due
from tasks.observe.session import Session
from tests.builders import a_config
from tests.tasks.observe.test_unannounced import Shared

NOW = datetime(2026, 1, 16, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AS_OF = NOW - 12 * HOUR
DAYS = [date(2026, 1, 5) + timedelta(days=n) for n in range(12)]
CONFIG = a_config().model_copy(
    update={
        "datasets": {name: a_config().datasets[name] for name in ("espn_scoreboard", "espn_summary")},
        "collect": Collect(since=DAYS[0]),
        "inventory": Inventory(manifest="s3://inventories/lake/daily"),
    }
)
BOARDS = {f"espn_schedules/{day:%Y%m%d}.json": day for day in DAYS}
IDS = {day: f"4018100{n:02}" for n, day in enumerate(DAYS)}
FOLDERS = ("espn_box_scores", "espn_play_by_play", "espn_team_stats")
FILES = {f"{folder}/{id_}.json": day for day, id_ in IDS.items() for folder in FOLDERS}
ALL = [*BOARDS, *FILES]
CHECKS = check_ids(CONFIG)


def _game(day: date) -> Game:
    start = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    return Game(IDS[day], day, start, GameStatus.FINAL, "2025-26", "regular")


def _object(key: str, name: str = "new", modified: datetime = AS_OF - 2 * DAY - HOUR) -> LakeObject:
    return LakeObject(key, 100_000 if name == "new" else 50_000, modified, f'"{name}"')


def _seen(have: LakeObject) -> Examination:
    """What was found in a whole file: a scoreboard lists the game of its day."""
    day = BOARDS.get(have.key)
    verdict = Verdict(Wholeness.WHOLE, games=(_game(day),) if day else ())
    check = CHECKS["espn_scoreboard" if day else "espn_summary"]
    return Examination(have.etag, have.size, check, verdict, fetched=have.modified, agreed=True)


class Bucket(Shared):
    """A bucket that remembers which folders are listed."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.refuses: set[str] = set()  # keys of which it does not tell

    async def find_each(self, keys: Iterable[str]) -> tuple[dict[str, LakeObject], dict[str, HeadRefusedError]]:
        keys = set(keys)
        refused = {key: HeadRefusedError(f"{key} is refused", Reach.KEY, "refused") for key in keys & self.refuses}
        return await super().find_all(keys - self.refuses), refused

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        found, refused = await self.find_each(keys)
        for error in refused.values():
            raise error
        return found

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        folders = list(folders)
        self.listed += folders
        listing = await super().list(folders, hints)
        listing.requests = len(folders)
        return listing

    async def get(self, key: str) -> tuple[bytes, LakeObject]:
        if key not in self.objects:
            raise NoObjectError(key)
        return await super().get(key)


class World:
    """A lake, its inventory, and a ledger that has never looked at everything."""

    def __init__(self, folder: Path):
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.reset()

    def reset(self) -> None:
        """Begins anew, with an empty lake, and a ledger that knows no files, looks or runs."""
        self.ledger.database.write(self.ledger.objects.forget)
        for table in (judgement_sets_table, gaps_table, runs_table):
            self.ledger.database.write(lambda connection, table=table: connection.execute(table.delete()))
        self.lake, self.inventory = Bucket(), dict[str, LakeObject]()

    def fill(self) -> None:
        """Puts everything into the lake and into its inventory; all of it was read."""
        for key in ALL:
            self.lake.objects[key] = self.inventory[key] = _object(key)
        self.know(*self.lake.objects.values())

    def know(self, *objects: LakeObject) -> None:
        """Records that these versions were read long ago."""
        self.ledger.objects.record({have.key: _seen(have) for have in objects}, at=NOW - 5 * DAY)

    def tell(self, key: str, have: LakeObject | None, at: datetime) -> None:
        """Records that an event told at this time that the file is this one, or is gone."""
        change = LastChange(content_of(have), have.modified) if have else LastChange(None, asked=at)
        self.ledger.arrivals.record({key: change}, at, LearntBy.EVENT)

    @property
    def session(self) -> Session:
        return Session(CONFIG, Selection(), self.lake, self.ledger, NOW, begun=NOW)

    def look(self, *, remember: bool = False, at_most: int = 0) -> Look:
        session = self.session
        return asyncio.run(look_at_lake(session, Reader(session, at_most), remember=remember))

    async def read_inventory(
        self, lake: Store, address: str, folders: Iterable[str], now: datetime, max_age: timedelta
    ) -> Found:
        """Stands in for reading the inventory of the lake."""
        return Found(Listing.of(self.inventory.values()), AS_OF)


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blocks.inventory.read_inventory", world.read_inventory)
        patch.setattr("tasks.observe.listing.examine", lambda *_: Verdict(Wholeness.WHOLE))  # each body is whole
        yield world
    world.ledger.close()


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.reset()
    return shared_world


def _gaps(look: Look) -> dict[str, Kind | None]:
    return {gap.cell.key: gap.kind for gap in look.gaps()}


def test_only_what_is_doubtful_is_looked_up_and_nothing_is_listed(world: World) -> None:
    world.fill()
    late, deleted, replaced, gone = list(FILES)[:4]
    board = list(BOARDS)[3]
    del world.inventory[late], world.inventory[board]  # they were stored after the inventory had passed them
    del world.lake.objects[deleted]  # since then
    world.inventory[replaced] = _object(replaced, "former")
    del world.inventory[gone], world.lake.objects[gone]
    look = world.look()
    cells = look.assessment.cells.values()
    recent = {cell.key for cell in cells if AS_OF - 2 * DAY < cell.due_at <= NOW}
    assert len(recent) > 5
    stale = {key for key, kind in _gaps(look).items() if kind is Kind.STALE}
    assert set(world.lake.asked) == {late, board, replaced, gone} | recent | stale
    assert len(stale - recent) < 5
    assert len(world.lake.asked) == len(set(world.lake.asked))
    assert world.lake.listed == []
    assert look.assessment.cells.keys() >= FILES.keys(), "the schedule that was looked up lists its game"
    assert _gaps(look) == {gone: Kind.VANISHED} | dict.fromkeys(stale, Kind.STALE)
    assert deleted in look.known.objects, "that it was deleted since is not known before the next listing"
    from_inventory = look.overview.from_inventory
    assert from_inventory is not None
    assert from_inventory == FromInventory(AS_OF, len(world.lake.asked), 0, from_inventory.doubts)
    assert sum(from_inventory.doubts.values()) == len(world.lake.asked)
    assert (from_inventory.doubts[Doubt.LACKING], from_inventory.doubts[Doubt.CONTRADICTED]) == (3, 1)


def test_the_look_after_a_first_look_lists_the_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is remembered as of the time of the inventory. The second finds what was deleted since."""
    world = World(tmp_path)
    monkeypatch.setattr("blocks.inventory.read_inventory", world.read_inventory)
    world.fill()
    deleted = next(iter(FILES))
    del world.lake.objects[deleted]
    world.ledger.announcements.progressed(NOW)
    first = world.look(remember=True)
    assert (first.known.begun, deleted in _gaps(first)) == (AS_OF - 2 * DAY, False)
    assert world.lake.listed == []
    watch = world.ledger.announcements.watch(NOW)
    assert watch is not None
    assert watch.listed is None, "an inventory proves no event path"
    second = world.look(remember=True)
    assert second.overview.from_inventory is second.known.inventory is None
    assert _gaps(second)[deleted] is Kind.VANISHED
    assert world.lake.listed != []


@pytest.mark.parametrize(("end", "lists"), [(RunEnd.ENDED, True), (RunEnd.STOPPED, True), (RunEnd.FAILED, False)])
def test_after_a_run_of_any_part_of_the_lake_it_is_listed(world: World, end: RunEnd, lists: bool) -> None:
    """Of such a run no judgements are kept, and a newer version of ADCE may have deleted those of a look."""
    world.fill()
    run = world.session.leases
    run.begin("fill", "2025-26", None, lambda why: None)
    run.end(end)
    look = world.look()
    assert (look.known.inventory is None, world.lake.listed != []) == (lists, lists)


def test_a_look_that_is_to_list_the_lake_reads_no_inventory(world: World) -> None:
    world.fill()
    session = world.session
    look = asyncio.run(look_at_lake(session, Reader(session, 0), remember=False, by_inventory=False))
    assert look.known.inventory is None
    assert world.lake.listed != []


def test_what_the_ledger_has_learnt_since_the_inventory_is_looked_up(world: World) -> None:
    before, since = list(FILES)[:2]
    for key in (*BOARDS, before, since):
        world.inventory[key] = _object(key)
    for key in BOARDS:
        world.lake.objects[key] = _object(key)
    world.know(*map(_object, (*BOARDS, before)))
    world.ledger.objects.record({since: _seen(_object(since))}, at=AS_OF + HOUR)
    gaps = _gaps(world.look())
    assert before not in gaps
    assert gaps[since] is Kind.VANISHED


def test_events_of_the_days_that_an_inventory_may_lack_are_not_overwritten_by_it(world: World) -> None:
    """It was told hours before the inventory was begun that a file is gone, and that another has a new version."""
    world.fill()
    gone, replaced = list(FILES)[:2]
    del world.lake.objects[gone]
    world.lake.objects[replaced] = new = _object(replaced, "newer", AS_OF - 5 * HOUR)
    world.ledger.announcements.progressed(NOW)
    world.tell(gone, None, AS_OF - 5 * HOUR)
    world.tell(replaced, new, AS_OF - 5 * HOUR)
    look = world.look(remember=True)
    assert {gone, replaced} <= set(world.lake.asked)
    assert _gaps(look)[gone] is Kind.VANISHED
    known = world.ledger.objects.known()
    assert (gone in known, known[replaced]) == (False, new)
    assert gone in world.ledger.gaps.first_seen(), "what was looked up now is newer than the event"


def test_games_that_a_new_schedule_lists_are_looked_up_before_they_count_as_missing(world: World) -> None:
    world.fill()
    board, day = next(iter(BOARDS.items()))
    there, *others = [key for key, of in FILES.items() if of == day]
    for key in (board, there, *others):
        del world.inventory[key]
    for key in (board, *others):
        del world.lake.objects[key]
    look, session = world.look(), world.session
    look.known.stored(board, have := _object(board, "stored"), _seen(have))
    schedule = look.assessment.cells[board]
    assert newly_due(session, look.known, [schedule]).gaps() == [], "nothing is known of them yet"
    asyncio.run(look_up_newly_due(session, look.known, [schedule]))
    assert {gap.cell.key for gap in newly_due(session, look.known, [schedule]).gaps()} == set(others)


def test_what_a_run_stores_while_the_lake_is_asked_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new schedule has folders listed. Meanwhile other fills of the run store a file and replace another one."""
    world.fill()
    board, *_, later = BOARDS
    stored, *_ = [key for key, of in FILES.items() if of == BOARDS[later]]
    replaced = next(key for key, of in FILES.items() if of == DAYS[3])
    for key in (board, stored, *(key for key, of in FILES.items() if of == BOARDS[board])):
        del world.inventory[key], world.lake.objects[key]
    look, session = world.look(), world.session
    monkeypatch.setattr("tasks.domain.assess.doubts._HEADS_A_PAGE", 0)  # folders are listed
    new = {key: _object(key, "stored", NOW) for key in (stored, replaced)}
    answer = world.lake.list

    async def list_while_others_store(folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        listing = await answer(folders, hints)
        for have in new.values():
            look.known.stored(have.key, have, _seen(have))
        return listing

    monkeypatch.setattr(world.lake, "list", list_while_others_store)
    look.known.stored(board, have := _object(board), _seen(have))
    asyncio.run(look_up_newly_due(session, look.known, [look.assessment.cells[board]]))
    assert world.lake.listed != []
    assert {key: look.known.objects.get(key) for key in new} == new


def test_a_file_of_which_the_lake_refuses_to_tell_is_found_by_listing_its_folder(world: World) -> None:
    """The LIST requests of such questions are counted, also those for games that a schedule lists during a run."""
    world.fill()
    board, *_ = BOARDS
    mine, *others = [key for key, of in FILES.items() if of == BOARDS[board]]
    for key in (board, mine, *others):
        del world.inventory[key]
    del world.lake.objects[board]
    world.lake.refuses = {mine, *others}
    world.lake.objects[f"{_folder(mine)}/another.json"] = _object(f"{_folder(mine)}/another.json")
    look, session = world.look(), world.session
    assert (world.lake.listed, look.known.list_requests) == ([], 0)
    look.known.stored(board, have := _object(board, "stored"), _seen(have))
    asyncio.run(look_up_newly_due(session, look.known, [look.assessment.cells[board]]))
    assert set(world.lake.listed) == set(FOLDERS)
    assert {mine, *others} <= look.known.objects.keys()
    assert look.known.list_requests == len(FOLDERS)


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (InventoryError("it is of last year"), "it is of last year"),
        (RecursionError("too deep"), "ADCE fails at it: RecursionError('too deep')"),
    ],
)
def test_without_a_usable_inventory_the_lake_is_listed_and_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, why: str
) -> None:
    async def refuse(*_: object) -> Found:
        raise error

    monkeypatch.setattr("blocks.inventory.read_inventory", refuse)
    world.fill()
    look = world.look()
    assert world.lake.listed != []
    assert look.overview.from_inventory is None
    [said] = [record.message for record in caplog.records if "inventory" in record.message]
    assert said == f"inventory s3://inventories/lake/daily: {why}. The lake is listed instead"


@dataclass
class Life:
    """When a file was stored, replaced and deleted, and when the inventory passed it, in hours before now."""

    stored: int | None
    replaced: int | None
    deleted: int | None
    passed: int
    told: int | None  # when the last event told of it
    known: str

    def at(self, key: str, hours: int) -> LakeObject | None:
        """The object so many hours ago."""
        if self.stored is None or hours > self.stored or (self.deleted is not None and hours <= self.deleted):
            return None
        if self.replaced is not None and hours <= self.replaced <= self.stored:
            return _object(key, "new", NOW - self.replaced * HOUR)
        return _object(key, "former", NOW - self.stored * HOUR)


LIVES = st.builds(
    Life,
    stored=st.none() | st.integers(1, 240),
    replaced=st.none() | st.integers(1, 100),
    deleted=st.none() | st.none() | st.integers(0, 100),
    passed=st.integers(6, 12 + 48),  # from two days before the inventory was begun to hours after that
    told=st.none() | st.integers(1, 100),
    known=st.sampled_from(["nothing", "former", "new"]),
)


@given(
    lives=st.lists(LIVES, min_size=len(ALL), max_size=len(ALL)),
    at_most=st.sampled_from([0, 99]),
    heads=st.sampled_from([2, 99]),
    remember=st.booleans(),
)
def test_whatever_a_rolling_inventory_lacks_or_still_has_no_file_is_fetched_that_is_there(
    shared_world: World, lives: list[Life], at_most: int, heads: int, remember: bool
) -> None:
    """Whether bodies are read or not, and whether folders are listed or keys looked up.

    What events have told in the days of which it may lack changes is not overwritten by it in the ledger.
    """
    world = shared_world
    world.reset()
    for key, life in zip(ALL, lives, strict=True):
        if have := life.at(key, 0):
            world.lake.objects[key] = have
        if shown := life.at(key, life.passed):
            world.inventory[key] = shown
    world.know(*(_object(key, life.known) for key, life in zip(ALL, lives, strict=True) if life.known != "nothing"))
    for key, life in zip(ALL, lives, strict=True):
        if life.told is not None:
            world.tell(key, life.at(key, life.told), NOW - life.told * HOUR)
    if remember:
        world.ledger.announcements.progressed(NOW)
    before = world.ledger.objects.last(ALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.domain.assess.doubts._HEADS_A_PAGE", heads)
        look = world.look(at_most=at_most, remember=remember)
    lake, known, statuses = world.lake.objects, look.known.objects, look.assessment.statuses
    for key in _gaps(look):
        assert known.get(key) == lake.get(key), "a gap is judged by what the lake has"
    for key in lake.keys() & statuses.keys():
        assert key in known or statuses[key].state is State.NOT_DUE, "what is there is not missing"
    assert look.known.inventory is not None
    for key in filter(look.known.inventory.settled_at, ALL):
        assert known.get(key) == lake.get(key)
    for key, have in known.items():
        assert have in (lake.get(key), world.inventory.get(key))
    for key, one in world.ledger.objects.last(ALL).items():
        if key in before and before[key].is_learnt_between(AS_OF - 2 * DAY, NOW):
            is_now = LastChange.of(lake.get(key), NOW).content
            assert one.change.content in (is_now, before[key].change.content)
    if remember:
        assert _gaps(look).keys() <= world.ledger.gaps.first_seen().keys()


def test_a_body_that_is_another_version_than_the_inventory_shows_has_the_lake_asked(world: World) -> None:
    """Without that, the larger version that was read would count as lost, because the inventory shows a smaller one."""
    key, *others = [*FILES, *BOARDS]
    for one in ALL:
        world.lake.objects[one] = world.inventory[one] = _object(one)
    world.know(*map(_object, others))
    world.inventory[key] = _object(key, "former")
    look = world.look(at_most=99)
    assert key not in _gaps(look)
    assert look.known.objects[key] == world.lake.objects[key]


def test_the_games_of_a_schedule_that_is_bad_in_the_inventory_are_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is too small there to be read, and the body of another is a bad one. The lake has good ones of both."""

    def examine(body: bytes, fields: Mapping[str, str], check: object) -> Verdict:
        games = (_game(date.fromisoformat(fields["date"])),) if "date" in fields else ()
        return Verdict(Wholeness.BAD if body == b"bad".ljust(2000) else Wholeness.WHOLE, games=games)

    monkeypatch.setattr("tasks.observe.listing.examine", examine)
    world.fill()
    small, bad = list(BOARDS)[:2]
    world.ledger.database.write(world.ledger.objects.forget)
    world.know(*(have for key, have in world.lake.objects.items() if key not in (small, bad)))
    world.inventory[small] = _object(small)._replace(size=10)
    world.inventory[bad] = _object(bad, "former")

    async def get(key: str) -> tuple[bytes, LakeObject]:
        """Between the inventory and the look, the bad version is read, and then replaced."""
        if key == bad and len(read) == 0:
            read.append(key)
            return b"bad".ljust(2000), world.inventory[bad]
        return b"good".ljust(2000), world.lake.objects[key]

    read: list[str] = []
    monkeypatch.setattr(world.lake, "get", get)
    look = world.look(at_most=99)
    assert read == [bad]
    assert {key for key, day in FILES.items() if day in (BOARDS[small], BOARDS[bad])} <= look.assessment.cells.keys()
    assert not {small, bad} & _gaps(look).keys()
