"""How long do commands take on a lake of 30 seasons with a full ledger, and how does that grow with the lake?

The lake is a folder of sparse files. The ledger has an examination of each file, its games, and one attempt for each
file. One file in a hundred is missing. For other sizes the listing comes from memory, because four million files are
too many for a disk.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from rich.table import Table

from blocks.listing import Listing
from blocks.store import Store
from config.load import load_config
from config.models import Config
from tasks.answers.plan import report_of
from tasks.domain.assess.assessment import expected_cells
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Examination, Kind, LakeObject, version_of
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected.cells import Cell, Selection, calendar_cells
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.outcomes import FileOutcome, Outcome, RunEnd
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord, files_table, fills_table
from tasks.ledger.database import Database
from tasks.ledger.fills import FillEnd
from tasks.ledger.leases import Leases
from tasks.observe.listing import check_ids
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.planner import Planner
from tasks.observe.session import Session
from tests.builders import obstore_batch
from tests.servers import new_database, postgresql

NOW = datetime(2026, 9, 1, tzinfo=UTC)
_FIRST = 1996
_SEASONS = 30
_SIZE = 100_000
_EVERYTHING = Selection()
_FILL = FillRecord("f", "bench", "nba_api", "d", "missing", "LOW", 1.0, NOW)
_ADCE = str(Path(sys.executable).with_name("adce"))


def looking(folder: Path) -> Table:
    """Times of the commands at 400,000 cells, with SQLite and PostgreSQL, and the growth with the number of cells."""
    columns = (
        "ledger",
        "cells",
        "listing",
        "adce plan, all judged",
        "adce plan, unchanged",
        "adce why",
        "10,000 files written",
        "look and plan in process, all judged",
        "unchanged",
    )
    caption = "bounds: plan 2 s and 450 MB and a look 0.5 s, unchanged and without the listing; why 0.6 s; writing 3 s"
    table = Table(title="Looking at 30 seasons, with a full ledger: best of three", caption=caption)
    for name in columns:
        table.add_column(name, justify="right")
    games = games_by_schedule(1600)
    with postgresql(folder / "pg") as server:
        lake = folder / "lake"
        for ledger_name in ("sqlite", "postgresql"):
            url = f"sqlite:///{folder / 'l.db'}"
            if ledger_name == "postgresql":
                url = f"postgresql://{new_database(server, 'ledger')}"
            with environment(url, lake, folder) as config:
                cells = expected_cells(config, calendar_cells(config, NOW), games, _EVERYTHING, NOW)
                if not lake.exists():
                    make_files(lake, (key for n, key in enumerate(cells) if n % 100))
                store = Store(lake.as_uri())
                objects = asyncio.run(store.list(folders(cells)))
                fill_ledger(url, config, cells, objects, games)
                key = next(key for key in cells if key.startswith("espn_box_scores/") and key not in objects)
                listing = _best(lambda store=store, cells=cells: asyncio.run(store.list(folders(cells))))
                judged = _best(lambda: _run("plan", "--json", "--as-of", NOW.isoformat()))
                judged_inside = _best(lambda config=config, objects=objects: _look(config, objects, NOW))
                _run("plan", "--json")
                unchanged = _best(lambda: _run("plan", "--json"))
                inside = _best(lambda config=config, objects=objects: _look(config, objects))
                why = _best(lambda key=key: _run("why", key))
                writes = _writes(url, config, cells)
                memory = (
                    f"{_memory('plan', '--json', '--as-of', NOW.isoformat()):.0f}",
                    f"{_memory('plan', '--json'):.0f}",
                )
            table.add_row(
                ledger_name,
                f"{len(cells):,}",
                f"{listing:.2f} s",
                f"{judged:.2f} s, {memory[0]} MB",
                f"{unchanged:.2f} s, {memory[1]} MB",
                f"{why:.2f} s",
                f"{writes:.2f} s",
                f"{judged_inside:.2f} s",
                f"{inside:.2f} s",
            )
    for per_season in (160, 16_000):
        _grow(folder, per_season, table)
    return table


def _grow(folder: Path, per_season: int, table: Table) -> None:
    url = f"sqlite:///{folder / f'{per_season}.db'}"
    games = games_by_schedule(per_season)
    with environment(url, folder / "none", folder) as config:
        cells = expected_cells(config, calendar_cells(config, NOW), games, _EVERYTHING, NOW)
        objects = {key: LakeObject(key, _SIZE, NOW, "e") for n, key in enumerate(cells) if n % 100}
        fill_ledger(url, config, cells, objects, games)
        count = len(cells)
        del cells, games
        judged = _best(lambda: _look(config, objects, NOW))
        _look(config, objects)
        inside = _best(lambda: _look(config, objects))
    table.add_row("sqlite", f"{count:,}", "", "", "", "", "", f"{judged:.2f} s", f"{inside:.2f} s")


class _Shelf(Store):
    """A lake whose listing is in memory and takes no time."""

    def __init__(self, objects: Mapping[str, LakeObject]):
        super().__init__("file:///nowhere")
        self._objects = [obstore_batch([objects[key] for key in sorted(objects)])]

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        return Listing(self._objects)


def _look(config: Config, objects: dict[str, LakeObject], as_of: datetime | None = None) -> None:
    """Looks and plans: as of a set time, which judges everything, or as of now, which uses and keeps judgements."""

    async def look() -> None:
        ledger = Ledger(config.ledger)
        session = Session(config, _EVERYTHING, _Shelf(objects), ledger, as_of)
        look = await look_at_lake(session, Reader(session), remember=as_of is None)
        report_of(session, look, Planner.of_a_look(session))
        ledger.close()

    asyncio.run(look())


def games_by_schedule(per_season: int) -> Mapping[str, list[Game]]:
    """The games by schedule dataset, spread evenly over each season."""
    found: dict[str, list[Game]] = {"espn_scoreboard": [], "nba_schedule": [], "br_schedule": []}
    number = 0
    for year in range(_FIRST, _FIRST + _SEASONS):
        season = f"{year}-{(year + 1) % 100:02d}"
        for n in range(per_season):
            number += 1
            day = date(year, 10, 25) + timedelta(days=n * 230 // per_season)
            start = datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC)
            game = Game("", day, start, GameStatus.FINAL, season, "regular")
            found["espn_scoreboard"].append(game._replace(id=f"{400_000_000 + number}"))
            found["nba_schedule"].append(game._replace(id=f"002{number:07}"))
            found["br_schedule"].append(game._replace(id=f"{day:%Y%m%d}0{_team(n)}"))
    return found


def _team(number: int) -> str:
    return "".join(chr(65 + number // 26**place % 26) for place in (2, 1, 0))


def make_files(lake: Path, keys: Iterable[str]) -> None:
    """Makes a sparse file for each key."""
    for key in keys:
        path = lake / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(_SIZE)


def folders(cells: Iterable[str]) -> set[str]:
    return {key.split("/")[0] for key in cells}


def fill_ledger(
    url: str,
    config: Config,
    cells: Mapping[str, Cell],
    objects: Mapping[str, LakeObject],
    games: Mapping[str, list[Game]],
) -> None:
    """Records an agreed examination of every stored file, the games of the schedules, and one attempt for each file."""
    ledger = Ledger(url)
    checks, listed = check_ids(config), games_of_file(config, games)
    whole = Verdict(Wholeness.WHOLE)

    def found() -> Iterator[tuple[str, Examination]]:
        for key, have in objects.items():
            cell = cells[key]
            verdict = whole
            if config.datasets[cell.dataset].lists_games:
                verdict = Verdict(Wholeness.WHOLE, games=listed(cell))
            yield key, Examination(*version_of(have, checks[cell.dataset]), verdict, NOW, agreed=True)

    ledger.objects.record(dict(found()))
    _fill_history(ledger.database, cells, objects)
    ledger.close()


def games_of_file(config: Config, games: Mapping[str, list[Game]]) -> Callable[[Cell], tuple[Game, ...]]:
    """A function that gives the games that a file of a schedule lists."""
    listed: dict[tuple[str, str], list[Game]] = {}
    for schedule, some in games.items():
        per = config.datasets[schedule].per
        for game in some:
            listed.setdefault((schedule, _period(per, game)), []).append(game)
    return lambda cell: tuple(listed.get((cell.dataset, _cell_period(config.datasets[cell.dataset].per, cell)), ()))


def _period(per: str, game: Game) -> str:
    if per == "season":
        return game.season
    return f"{game.day:%Y-%m}" if per == "month" else game.day.isoformat()


def _cell_period(per: str, cell: Cell) -> str:
    if per == "season":
        return cell.season
    return f"{cell.first_day:%Y-%m}" if per == "month" else cell.first_day.isoformat()


def _fill_history(database: Database, cells: Mapping[str, Cell], objects: Mapping[str, LakeObject]) -> None:
    def write(connection: sa.Connection) -> None:
        fill = {
            "fill": "f",
            "run": "r",
            "source": "espn",
            "dataset": "espn_summary",
            "kind": "missing",
            "priority": "LOW",
            "score": 1.0,
            "started": NOW - timedelta(days=1),
            "ended": NOW,
            "requests": 20,
            "bytes": 0,
            "stored": 20,
            "failed": 0,
        }
        connection.execute(fills_table.insert(), [{**fill, "id": n} for n in range(1, len(objects) // 20 + 2)])
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT setval('fills_id_seq', (SELECT max(id) FROM fills))"))
        file = {"at": NOW, "outcome": "stored", "requests": 1, "bytes": 1, "seconds": 0.2, "error": None}
        rows = [{**file, "key": key, "fill_id": n // 20 + 1} for n, key in enumerate(objects)]
        connection.execute(files_table.insert(), rows)

    database.write(write)


def _writes(url: str, config: Config, cells: Mapping[str, Cell]) -> float:
    """Seconds that the ledger takes for a run which stores 10,000 files in fills of 20."""
    ledger = Ledger(url)
    leases = Leases(ledger.database, "bench", timedelta(minutes=10))
    leases.begin("bench", "", None, lambda why: None)
    keys = [key for key in cells if key.startswith("nba_api_playbyplay/")][:10_000]
    last = ledger.attempts.last_file()
    began = time.perf_counter()
    for start in range(0, len(keys), 20):
        part = keys[start : start + 20]
        works = [cells[key].work for key in part]

        ledger.fills.claim(leases, works, part, last)
        outcomes = [FileOutcome(key, Outcome.STORED, 1, 100, seconds=0.1, asked=NOW, stored=NOW) for key in part]
        stored = {key: Examination("e", 100, "c", Verdict(Wholeness.WHOLE), NOW) for key in part}
        ledger.fills.record(
            FillEnd(_FILL, NOW, outcomes, stored, gaps=[Gap(cells[key], Kind.MISSING, "", NOW) for key in part])
        )
    took = time.perf_counter() - began
    leases.end(RunEnd.ENDED)
    ledger.close()
    return took


def _run(*arguments: str) -> None:
    subprocess.run([_ADCE, *arguments], check=True, stdout=subprocess.DEVNULL)


def _memory(*arguments: str) -> float:
    """The peak memory of a command, in MB. A small process starts it, since a child begins with its parent's peak."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    small = subprocess.run([sys.executable, "-c", code, _ADCE, *arguments], check=True, capture_output=True, text=True)
    return int(small.stdout) / 1000


def _best(work: object, times: int = 3) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()  # type: ignore[operator]
        best = min(best, time.perf_counter() - began)
    return best


@contextmanager
def environment(url: str, lake: Path, folder: Path) -> Iterator[Config]:
    before = dict(os.environ)
    os.environ |= {"ADCE_LEDGER": url, "ADCE_LAKE": lake.as_uri()}
    first = f"{_FIRST}-{(_FIRST + 1) % 100:02d}"
    for name in load_config().datasets:
        os.environ[f"ADCE_DATASETS__{name.upper()}__FIRST_SEASON"] = first
    try:
        yield load_config()
    finally:
        os.environ.clear()
        os.environ.update(before)
