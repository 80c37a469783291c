"""Which expected file does a key stand for, and which other files belong to its game? From what the ledger knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta

from tasks.domain.expected.cells import Cell, calendar_cells, game_cells
from tasks.domain.expected.games import Game, deduplicated
from tasks.domain.expected.seasons import eastern_day
from tasks.observe.session import Session

_REMEMBERED = timedelta(minutes=15)  # how long the games that the ledger lists are taken to be the same


class ExpectedFiles:
    """The expected files of a session, as far as they were asked for.

    The files of a game are remembered for some time, because its messages tend to come together.
    """

    def __init__(self, session: Session):
        self._session = session
        self._calendar: dict[str, Cell] = {}
        self._today: date | None = None
        self._games: dict[str, dict[str, Cell]] = {}  # the files of each game
        self._judged: dict[str, datetime] = {}  # when the files of each game were last judged
        self._since: datetime | None = None

    def forget(self) -> None:
        """Forgets what the schedules listed, because they have changed."""
        self._games, self._judged, self._since = {}, {}, None

    def judged(self, cells: Iterable[Cell], at: datetime) -> None:
        """Remembers when the files of the games of these files were judged: all that were due then."""
        self._judged |= {cell.game.id: at for cell in cells if cell.game}

    def last_judged(self, game: str) -> datetime | None:
        """When the files of a game were last judged; None if that was long ago."""
        return self._judged.get(game)

    def is_schedule(self, cell: Cell) -> bool:
        """Does the file list games?"""
        return self._session.config.datasets[cell.dataset].lists_games

    def dataset_of(self, key: str) -> str | None:
        """The dataset of a key; None if it belongs to none."""
        return self._session.keys.dataset_of(key)

    def cells(self, keys: Iterable[str]) -> dict[str, Cell]:
        """The expected files with these keys."""
        self._refresh()
        cells, of_games = {}, {}
        for key in keys:
            if cell := self._calendar.get(key):
                cells[key] = cell
            elif (found := self._session.keys.match(key)) and (game := found[1].get("id")):
                of_games[key] = game
        self._load(of_games.values())
        return cells | {key: cell for key, game in of_games.items() if (cell := self._games[game].get(key))}

    def of_games(self, games: Collection[str]) -> dict[str, Cell]:
        """The files of some games, by the schedules that list them."""
        self._refresh()
        self._load(games)
        return {key: cell for game in games for key, cell in self._games[game].items()}

    def _load(self, games: Iterable[str]) -> None:
        if missing := {game for game in games if game not in self._games}:
            self._games |= self._listed(missing)

    def _refresh(self) -> None:
        now = self._session.now()
        if self._today != eastern_day(now):
            self._today = eastern_day(now)
            self._calendar = {cell.key: cell for cell in calendar_cells(self._session.config, now)}
        if self._since is None or now - self._since > _REMEMBERED:
            self.forget()
            self._since = now

    def _listed(self, games: Collection[str]) -> dict[str, dict[str, Cell]]:
        """The files of each of these games by key, by the schedules that the ledger knows."""
        session = self._session
        entries: dict[str, list[Game]] = {}
        for schedule, listed in session.ledger.games.entries(games).items():
            if name := session.keys.dataset_of(schedule):
                entries.setdefault(name, []).extend(listed)
        found: dict[str, dict[str, Cell]] = {game: {} for game in games}
        for name, some in entries.items():
            for cell in game_cells(session.config, name, deduplicated(some), session.now()):
                assert cell.game
                found[cell.game.id][cell.key] = cell
        return found
