"""What must survive a run: memory, one file a subject. Nothing here decides, looks at the lake, or asks a source."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

import sqlalchemy as sa

from tasks.ledger.absences import Absences, absences_table
from tasks.ledger.attempts import Attempts, files_table, fills_table
from tasks.ledger.breakers import Breakers, holds_table
from tasks.ledger.corrections import Corrections
from tasks.ledger.database import Database
from tasks.ledger.disagreements import Disagreements, disagreements_table
from tasks.ledger.fills import Fills
from tasks.ledger.games import Games, games_table
from tasks.ledger.gaps import Gaps, gaps_table
from tasks.ledger.identity import Identity
from tasks.ledger.judgements import Judgements
from tasks.ledger.leases import leases_table, marks_table
from tasks.ledger.objects import Objects, objects_table, unreadable_table
from tasks.ledger.plans import Plans
from tasks.ledger.runs import Runs, runs_table
from tasks.ledger.totals import Totals, totals_table

_COUNTED = (
    gaps_table,
    objects_table,
    unreadable_table,
    games_table,
    absences_table,
    disagreements_table,
    holds_table,
    fills_table,
    files_table,
    runs_table,
    leases_table,
    marks_table,
    totals_table,
)


class Ledger:
    """The ledger in its database, and its subjects. Every method of these raises LedgerError.

    A ledger that is lost costs history, and never truth: everything else is seen again from the lake.
    """

    def __init__(self, url: str, *, create: bool = True):
        """Raises LedgerError where there is none and it is not to `create` one."""
        self.database = database = Database(url, create=create)
        self.identity = Identity(database)
        self.games = Games(database)
        self.objects = Objects(database, self.games)
        self.totals = Totals(database)
        self.gaps = Gaps(database, self.totals)
        self.absences = Absences(database)
        self.judgements = Judgements(database)
        self.disagreements = Disagreements(database)
        self.breakers = Breakers(database, self.totals)
        self.attempts = Attempts(database)
        self.corrections = Corrections(database)
        self.runs = Runs(database)
        self.plans = Plans(database)
        self.fills = Fills(database, self.attempts, self.objects, self.absences, self.totals)

    def close(self) -> None:
        self.database.close()

    @property
    def name(self) -> str:
        """Its address, without a password."""
        return self.database.name

    @cached_property
    def id(self) -> str:
        """The same for all who use it, wherever they see it."""
        return self.identity.ledger()

    def forget_lake(self) -> int:
        """Forgets where its lake is and what was found in it, so that the next one is filled anew; gives of how many
        files. What the sources have said counts on.
        """

        def write(connection: sa.Connection) -> int:
            self.identity.forget(connection)
            connection.execute(disagreements_table.delete())
            return self.objects.forget(connection)

        return self.database.write(write, durable=True)

    def prune(self, before: datetime) -> int:
        """Forgets attempts and runs from before then; gives how many attempts."""

        def write(connection: sa.Connection) -> int:
            self.runs.prune(connection, before)
            return self.attempts.prune(connection, before)

        return self.database.write(write)

    def check(self) -> dict[str, int]:
        """How many rows each table has. Raises LedgerError when the database says that it is damaged."""
        return self.database.read(_check)


def _check(connection: sa.Connection) -> dict[str, int]:
    if connection.dialect.name == "sqlite":
        found = connection.execute(sa.text("PRAGMA integrity_check(1)")).scalar_one()
        if found != "ok":
            raise sa.exc.DatabaseError("", None, Exception(f"malformed: {found}"))
    return {
        table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in _COUNTED
    }
