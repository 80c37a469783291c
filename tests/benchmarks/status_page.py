"""How soon is the status page there, while a reconcile records what it has found and others ask for the page, too?

The ledger knows each of its files, so that a hole is looked up among all of them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median, quantiles

import httpx
from playwright.sync_api import sync_playwright
from rich.table import Table

from config.load import load_config
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Examination, Kind, LakeObject
from tasks.domain.assess.verdicts import whole
from tasks.ledger import Ledger
from tasks.observe.listing import check_ids
from tests.benchmarks.serve import PER_SECOND, ask, fill, recording, service
from tests.builders import a_cell, a_game
from tests.chromium import chromium_program

CELLS, SECONDS, PAGES = 4_000_000, 30, 20
DAY = date(2024, 1, 15)
BOARD, HOLE = "espn_schedules/20240115.json", "espn_box_scores/401580002.json"
SEASON, FILE = "/coverage/espn_summary/2023-24", f"/files/{HOLE}"
_PAINT = "performance.getEntriesByName('first-contentful-paint').map((paint) => paint.startTime)[0]"


def shown(folder: Path) -> Table:
    """Latencies of the overview at 500 requests a second, of a season and a hole, and the time to the first paint."""
    table = Table(
        title=f"The status page, with a ledger of {CELLS:,} cells, beside a process that records looks",
        caption=f"/: {PER_SECOND} requests a second for {SECONDS} s; the others: P50 and slowest of {PAGES}; aims: P99 "
        "50 ms for /, 300 ms for a hole, 200 ms to the first paint",
    )
    for name in ("requests", "errors", "/ P50", "/ P99", "a season", "a hole", "first paint"):
        table.add_column(name, justify="right")
    url = f"sqlite:///{folder / 'page.db'}"
    fill(url, CELLS)
    _know_files(url)
    with service(url, folder) as (address, _):
        with recording(url, CELLS):
            latencies, errors = asyncio.run(ask(address, ("/",), SECONDS))
            season, hole = (_asked(f"{address}{path}") for path in (SEASON, FILE))
        painted = _painted(address)
    table.add_row(
        f"{len(latencies):,}",
        str(errors),
        *(f"{1000 * seconds:.1f} ms" for seconds in (median(latencies), quantiles(latencies, n=100)[98])),
        *map(_both, (season, hole)),
        _both(painted) if painted else "no Chromium",
    )
    return table


def _both(seconds: list[float]) -> str:
    return f"{1000 * median(seconds):.0f} and {1000 * max(seconds):.0f} ms"


def _know_files(url: str) -> None:
    """Has the ledger know as many files, and a schedule with two games, of which one file is a hole."""
    file = url.removeprefix("sqlite:///")
    now = datetime.now(UTC)
    with closing(Ledger(url)) as ledger:
        games = tuple(a_game(id=f"40158000{n}", day=DAY, start=None, season="2023-24") for n in (1, 2))
        seen = Examination("etag", 100_000, check_ids(load_config(env={}))["espn_scoreboard"], whole(games), now)
        ledger.objects.record({BOARD: seen}, objects={BOARD: LakeObject(BOARD, 100_000, now, "etag")}, at=now)
        ledger.gaps.record([Gap(a_cell(key=HOLE), Kind.MISSING, "not in the lake", now)])
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA synchronous = OFF")
        columns = [row[1] for row in database.execute("PRAGMA table_info(objects)") if row[1] != "key"]
        query = f"""
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {CELLS})
            INSERT INTO objects (key, {", ".join(columns)})
            SELECT printf('nba_api_playbyplay/playbyplay_%010d.json', n), {", ".join(columns)}
            FROM numbers, (SELECT * FROM objects WHERE key = '{BOARD}')
        """
        database.execute(query)
        database.commit()


def _asked(address: str) -> list[float]:
    """The seconds that each of some requests takes, one after the other."""
    with httpx.Client(trust_env=False) as client:
        return [client.get(address).raise_for_status().elapsed.total_seconds() for _ in range(PAGES)]


def _painted(address: str) -> list[float]:
    """The seconds from asking for the page to its first paint, each time in a new window."""
    program = chromium_program()
    if program is None:
        return []
    seconds = []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]) as it,
    ):
        for _ in range(PAGES):
            with it.new_context() as context:
                page = context.new_page()
                page.goto(address)
                while (painted := page.evaluate(_PAINT)) is None:  # the page lets nobody else wait in its script
                    time.sleep(0.01)
                seconds.append(painted / 1000)
            time.sleep(0.1)
    return seconds
