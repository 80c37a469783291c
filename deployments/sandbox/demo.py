"""What does ADCE do? `make run` shows it on a small lake with holes, with a sandbox in place of the three sites."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from blocks.store import Store
from config.load import load_config
from config.models import Config
from deployments.cli.typed import typed
from deployments.sandbox.league import League
from deployments.sandbox.settings import write_settings
from deployments.sandbox.sites import answer
from tasks.domain.assess.assessment import expected_cells, listed_games
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Cell, Selection, calendar_cells
from tasks.domain.lakes import MARK_KEY, KnownLake, LakeKind, LakeMark
from tasks.ledger import Ledger
from tasks.observe.identity import read_mark
from tasks.observe.listing import judge

_HOME = Path(".adce")  # in the working folder
# The sandbox's clock stands at this moment, so that everybody sees the same.
NOW = datetime.fromisoformat("2026-01-15T12:00:00+00:00")
SPAN = Selection(since=date(2026, 1, 5), until=date(2026, 1, 14))
CLOCK = ("--as-of", f"{NOW:%Y-%m-%dT%H:%MZ}")
CLOCK_AND_SPAN = (*CLOCK, "--since", f"{SPAN.since}", "--until", f"{SPAN.until}")
_AFTER_CTRL_C = 130  # an exit status
_DONE = (0, 1)  # exit statuses of a command that has done its work; of any other, its own last line says why
_LEAGUE = League(seed=0, games_per_day=3)
# Variables that would lead a command to another lake, ledger or Prefect than the demonstration's.
_MISLEADING = ("ADCE_LAKE", "ADCE_LEDGER", "PREFECT_API_URL", "PREFECT_HOME")


def main(run: Callable[[list[str]], int] | None = None) -> int:
    """Shows commands, and runs them, or lets `run` run them. Returns the exit status of the last one.

    Raises SystemExit if a command cannot do its work, or ends because of Ctrl-C.
    """

    def shown(*arguments: str) -> int:
        _show(*arguments)
        if (status := (run or _run)(shlex.split(line(*arguments)))) not in _DONE:
            sys.exit(status)
        return status

    file, lake = _HOME / "adce.yaml", Store((_HOME / "lake").absolute().as_uri())
    write_settings(file, {"lake": "lake", "ledger": "ledger.db"}, "make run", CLOCK_AND_SPAN)
    config = load_config(file, env={})
    is_new = lake.folder is not None and not lake.folder.exists()
    if is_new:
        print(f"Making a small lake with holes in {_HOME / 'lake'}")
        asyncio.run(make_lake(config, lake))
    asyncio.run(mark_as_sandbox(lake))  # earlier versions made the lake without a mark
    _introduce(lake, config.ledger)
    settings = ("--config", str(file))
    print("\nWhat does the lake lack?")
    shown("plan", *settings, *CLOCK_AND_SPAN)
    print("\nFetch it, from a stand-in for the three sites:")
    status = shown("reconcile", "--sandbox", *settings, *CLOCK_AND_SPAN)
    if is_new:
        print(_FILL_IN_MID_RUN)
    else:
        print(f"To see it fetch again, delete files under {_HOME / 'lake'}, or all of {_HOME}, and type: make run")
    key = _broken(_expected(config))[2][0].key
    print(f"\nThe files are in {_HOME / 'lake'}. What comes next? Each of these can be typed here.")
    print("\nAsk about one file:")
    _show("why", key, *settings, *CLOCK)
    print("Look at how complete it is, as a page:")
    _show("coverage", "--html", str(_HOME / "coverage.html"), *settings, *CLOCK_AND_SPAN)
    print("See the run in the Prefect UI, at http://127.0.0.1:4200, or on another port (make ui PORT=4201):")
    print("  $ make ui\n")
    print("In an empty folder, begin a lake of your own, which fetches from the real sites:")
    _show("init")
    print("Keep that lake complete around the clock; with --sandbox, see how that is on a lake like this one:")
    _show("up")
    return status


_FILL_IN_MID_RUN = """\
The run fetched more than was planned: the scoreboard of 2026-01-14 had been taken before that evening's games ended.
The run fetched it again, and the games that it lists became due in the same run (espn_summary of 2026-01-14)."""


def _run(argv: list[str]) -> int:
    """Runs a command. Ctrl-C reaches the command itself, which says what it waits for, and so this process waits."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.call(argv)
    finally:
        signal.signal(signal.SIGINT, before)


def _introduce(lake: Store, url: str) -> None:
    """Makes or migrates the ledger, and lets a new one know its lake, so that no command has to speak of that."""
    with closing(Ledger(url)) as ledger:
        if (mark := asyncio.run(read_mark(lake))) and ledger.identity.lake() is None:
            ledger.identity.remember(KnownLake(mark.id, mark.kind, lake.address))


def _show(*arguments: str) -> None:
    print(f"  $ {line(*arguments)}\n", flush=True)


def line(*arguments: str) -> str:
    """The command as it is typed in this shell. It leaves out the variables that are set here and would mislead it."""
    unset = [word for name in _MISLEADING if name in os.environ for word in ("-u", name)]
    return " ".join(["env", *unset] * bool(unset) + [typed(*arguments)])


def _expected(config: Config) -> list[Cell]:
    """All files that the lake should hold, by the schedules as they are at the end of SPAN."""
    calendar = [cell for cell in calendar_cells(config, NOW, SPAN) if cell.due_at <= NOW]
    verdicts = {
        cell.key: judge(_body(config, cell, NOW), cell.fields, config.datasets[cell.dataset])
        for cell in calendar
        if config.datasets[cell.dataset].lists_games
    }
    games = listed_games(config, calendar, verdicts)
    return list(expected_cells(config, calendar, games, SPAN, NOW).values())


async def make_lake(config: Config, lake: Store) -> None:
    """Fills a lake with the sandbox's answers, and leaves files out, stale and broken for ADCE to find.

    Raises AdceError if the settings expect none of these files.
    """
    if not (everything := _expected(config)):
        days = f"{SPAN.since} to {SPAN.until}"
        raise AdceError(f"--sandbox: its games are of {days}, and the settings collect none of them; change `collect`")
    lake.check(create=True)
    await mark_as_sandbox(lake)
    holes = _holes(everything)
    for cell in everything:
        if cell.key not in holes and cell.due_at <= NOW:
            await lake.put(cell.key, _body(config, cell, NOW))
    for cell, body in _broken(everything):
        await lake.put(cell.key, body(config, cell))


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
    return holes | {cell.key for cell, _ in _broken(cells)}


def _broken(cells: Iterable[Cell]) -> list[tuple[Cell, Callable[[Config, Cell], bytes]]]:
    """The cells of the broken files, each with what makes its body; fewer if the settings leave some of them out."""
    box_scores = [c for c in cells if c.key.startswith("espn_box_scores/") and c.first_day < date(2026, 1, 10)]
    evening = [c for c in cells if c.key == "espn_schedules/20260114.json"]
    return [
        *zip(box_scores, (_block_page, _truncated, _during_the_game), strict=False),
        *((c, _evening) for c in evening),
    ]


def _block_page(_config: Config, _cell: Cell) -> bytes:
    denied = "<html><head><title>Access Denied</title></head><body>You don't have permission.</body></html>"
    return denied.encode().ljust(2000)


def _truncated(config: Config, cell: Cell) -> bytes:
    return _body(config, cell, NOW)[:500]


def _during_the_game(config: Config, cell: Cell) -> bytes:
    assert cell.game is not None
    assert cell.game.start is not None
    return _body(config, cell, cell.game.start + timedelta(hours=1))


def _evening(config: Config, cell: Cell) -> bytes:
    return _body(config, cell, datetime.fromisoformat("2026-01-15T01:30:00+00:00"))


def _body(config: Config, cell: Cell, now: datetime) -> bytes:
    return answer(_LEAGUE, config.datasets[cell.dataset].source, cell.request, now).body


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(_AFTER_CTRL_C)
