"""What does ADCE do? `make run` shows it on a small lake with holes, with a sandbox in place of the three sites."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from blocks.store import Store
from config.load import load_config
from config.models import Config
from deployments.sandbox.league import League
from deployments.sandbox.sites import answer
from tasks.domain.assess.assessment import expected_cells, listed_games
from tasks.domain.expected.cells import Cell, Selection, calendar_cells
from tasks.domain.lakes import MARK_KEY, LakeKind, LakeMark
from tasks.observe.listing import judge

_HOME = Path(__file__).resolve().parents[2] / ".adce"
# The sandbox's clock stands at this moment, so that everybody sees the same.
NOW = datetime.fromisoformat("2026-01-15T12:00:00+00:00")
SPAN = Selection(since=date(2026, 1, 5), until=date(2026, 1, 14))
_LEAGUE = League(seed=0, games_per_day=3)


def main() -> int:
    lake = _HOME / "lake"
    os.environ |= {
        "ADCE_LAKE": lake.as_uri(),
        "ADCE_LEDGER": f"sqlite:///{_HOME / 'ledger.db'}",
        "PREFECT_HOME": str(_HOME / "prefect"),
    }
    os.environ.pop("PREFECT_API_URL", None)
    if not lake.exists():
        print(f"Making a small lake with holes in {lake}")
        asyncio.run(make_lake(load_config(env={}), Store(lake.as_uri())))
    asyncio.run(mark_as_sandbox(Store(lake.as_uri())))  # earlier versions made the lake without a mark
    span = ["--as-of", NOW.isoformat(), "--since", f"{SPAN.since}", "--until", f"{SPAN.until}"]
    adce = [sys.executable, "-m", "deployments"]
    print("\n$ adce plan                 what the lake lacks", flush=True)
    subprocess.run([*adce, "plan", *span], check=True)
    print("\n$ adce reconcile --sandbox   fetch it, from a stand-in for the three sites", flush=True)
    status = subprocess.run([*adce, "reconcile", "--sandbox", *span], check=False).returncode
    print(f"\nThe files are in {lake}. The same run in the Prefect UI: make ui, then http://127.0.0.1:4200")
    return status


async def make_lake(config: Config, lake: Store) -> None:
    """Fills a lake with the sandbox's answers, and leaves files out, stale and broken for ADCE to find."""
    lake.check(create=True)
    await mark_as_sandbox(lake)
    calendar = [cell for cell in calendar_cells(config, NOW, SPAN) if cell.due_at <= NOW]
    verdicts = {
        cell.key: judge(_body(config, cell, NOW), cell.fields, config.datasets[cell.dataset])
        for cell in calendar
        if config.datasets[cell.dataset].lists_games
    }
    games = listed_games(config, calendar, verdicts)
    everything = list(expected_cells(config, calendar, games, SPAN, NOW).values())
    holes = _holes(everything)
    for cell in everything:
        if cell.key not in holes and cell.due_at <= NOW:
            await lake.put(cell.key, _body(config, cell, NOW))
    for key, body in _broken(config, everything).items():
        await lake.put(key, body)


async def mark_as_sandbox(lake: Store) -> None:
    """Writes the mark of a sandbox's lake, unless the lake has a mark already."""
    await lake.put(MARK_KEY, LakeMark(uuid.uuid4().hex, LakeKind.SANDBOX, datetime.now(UTC)).body())


def _holes(cells: Iterable[Cell]) -> set[str]:
    """Keys of the missing files: a season page, three pages of games, the last two days of ESPN and the NBA, and every
    fifth of their games before."""
    holes = set()
    pages = 0
    for cell in cells:
        if cell.dataset == "br_totals":
            holes.add(cell.key)
        elif cell.game is not None and cell.dataset.startswith("br_"):
            pages += 1
            if pages in (1, 2, 3):
                holes.add(cell.key)
        elif cell.game is not None and (cell.first_day >= date(2026, 1, 13) or int(cell.game.id) % 5 == 0):
            holes.add(cell.key)
    return holes | _broken_keys(cells).keys()


def _broken_keys(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Cells of the broken files, in this order: a block page, a truncated file, a box score taken during the game, and
    a scoreboard taken that evening."""
    box_scores = [c for c in cells if c.key.startswith("espn_box_scores/") and c.first_day < date(2026, 1, 10)]
    evening = [c for c in cells if c.key == "espn_schedules/20260114.json"]
    return {cell.key: cell for cell in [*box_scores[:3], *evening]}


def _broken(config: Config, cells: Iterable[Cell]) -> dict[str, bytes]:
    block, short, mid_game, evening = _broken_keys(cells).values()
    assert mid_game.game is not None
    assert mid_game.game.start is not None
    denied = "<html><head><title>Access Denied</title></head><body>You don't have permission.</body></html>"
    return {
        block.key: denied.encode().ljust(2000),
        short.key: _body(config, short, NOW)[:500],
        mid_game.key: _body(config, mid_game, mid_game.game.start + timedelta(hours=1)),
        evening.key: _body(config, evening, datetime.fromisoformat("2026-01-15T01:30:00+00:00")),
    }


def _body(config: Config, cell: Cell, now: datetime) -> bytes:
    return answer(_LEAGUE, config.datasets[cell.dataset].source, cell.request, now).body


if __name__ == "__main__":
    sys.exit(main())
