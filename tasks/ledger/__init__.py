"""The database of what must survive a run, one module for each subject.

Nothing here makes decisions, reads the lake or asks a source.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property

import sqlalchemy as sa

from tasks.domain.access import Access
from tasks.ledger.absences import Absences
from tasks.ledger.alert_targets import AlertTargets
from tasks.ledger.announcements import Announcements
from tasks.ledger.arrivals import Arrivals
from tasks.ledger.attempts import Attempts
from tasks.ledger.completeness import Completeness
from tasks.ledger.corrections import Corrections
from tasks.ledger.database import Database, UtcSeconds, metadata
from tasks.ledger.disagreements import Disagreements, disagreements_table
from tasks.ledger.events import Events
from tasks.ledger.failures import Failures
from tasks.ledger.figures import Figures
from tasks.ledger.fills import Fills
from tasks.ledger.games import Games
from tasks.ledger.gaps import Gaps
from tasks.ledger.identity import Identity
from tasks.ledger.incidents import Incidents
from tasks.ledger.judgements import Judgements, judgements_table
from tasks.ledger.looks import Looks
from tasks.ledger.objects import Objects
from tasks.ledger.operator_pauses import OperatorPauses
from tasks.ledger.pauses import Pauses
from tasks.ledger.plans import Plans
from tasks.ledger.process_facts import ProcessFacts
from tasks.ledger.requests import Requests
from tasks.ledger.runs import Runs
from tasks.ledger.sendings import Sendings
from tasks.ledger.settings import Settings
from tasks.ledger.totals import Totals
from tasks.ledger.unread_messages import UnreadMessages

_OF_THE_FUTURE = {"until", "probe_until", "due", "start"}  # columns of times that may lie ahead


class Ledger:
    """The ledger: a database, with one attribute for each subject. All their methods raise LedgerError.

    If the ledger is lost, only history is lost: everything else can be read from the lake again.
    """

    def __init__(self, url: str, access: Access = Access.RUN):
        """Opens the ledger for what somebody wants to do with it. Raises LedgerError if that cannot be done."""
        self.database = database = Database(url, access)
        self.identity = Identity(database)
        self.games = Games(database)
        self.arrivals = Arrivals(database)
        self.totals = Totals(database)
        self.announcements = Announcements(database, self.totals)
        self.unread_messages = UnreadMessages(database)
        self.objects = Objects(database, self.games, self.arrivals)
        self.gaps = Gaps(database, self.totals)
        self.absences = Absences(database)
        self.events = Events(database, self.objects, self.arrivals, self.announcements, self.gaps, self.totals)
        self.judgements = Judgements(database)
        self.completeness = Completeness(database)
        self.looks = Looks(database, self.completeness)
        self.disagreements = Disagreements(database)
        self.pauses = Pauses(database, self.totals)
        self.operator_pauses = OperatorPauses(database)
        self.attempts = Attempts(database)
        self.corrections = Corrections(database)
        self.requests = Requests(database)
        self.runs = Runs(database)
        self.plans = Plans(database, self.totals)
        self.settings = Settings(database)
        self.figures = Figures(database)
        self.sendings = Sendings(database, self.totals)
        self.incidents = Incidents(database)
        self.alert_targets = AlertTargets(database)
        self.process_facts = ProcessFacts(database)
        self.failures = Failures(database)
        self.fills = Fills(
            database, self.attempts, self.failures, self.objects, self.absences, self.totals, self.announcements
        )

    def close(self) -> None:
        """Closes the database."""
        self.database.close()

    @property
    def only_reads(self) -> bool:
        """Was the ledger opened to be read only?"""
        return self.database.access.only_reads

    @property
    def is_there(self) -> bool:
        """Was there a ledger when it was opened? If not, it has been made, or an empty one stands in for it."""
        return self.database.is_there

    @property
    def name(self) -> str:
        """The URL of the ledger's database, without its password."""
        return self.database.name

    @cached_property
    def id(self) -> str:
        """The id that was made with the ledger. All processes that use it see the same one."""
        return self.identity.ledger()

    def forget_lake(self) -> int:
        """Forgets where the lake is and what was found in it, so that another lake can be filled.

        Returns the number of files that it knew of. What the sources have answered is not forgotten.
        """

        def write(connection: sa.Connection) -> int:
            self.identity.forget(connection)
            connection.execute(disagreements_table.delete())
            self.judgements.forget(connection)
            self.looks.forget(connection)
            self.completeness.forget(connection)
            return self.objects.forget(connection)

        return self.database.write(write, durable=True)

    def prune(self, before: datetime) -> int:
        """Deletes what is kept of the past from before a time. Returns the number of attempts that it deleted."""

        def write(connection: sa.Connection) -> int:
            self.runs.prune(connection, before)
            self.plans.prune(connection, before)
            self.judgements.trim(connection)
            self.unread_messages.prune(connection, before)
            self.announcements.prune(connection, before)
            self.objects.prune(connection, before)
            self.incidents.prune(connection, before)
            self.failures.prune(connection, before)
            self.completeness.prune(connection, before)
            return self.attempts.prune(connection, before)

        return self.database.write(write)

    def check(self) -> dict[str, int]:
        """The number of rows by table. Raises LedgerError if the database is damaged."""
        return self.database.read(_check)

    def times_after(self, moment: datetime) -> dict[str, tuple[int, datetime]]:
        """Which times of past events lie after a moment: their number and the latest, by "table.column"."""
        return self.database.read(lambda connection: dict(_times_after(connection, moment)))


def _times_after(connection: sa.Connection, moment: datetime) -> Iterator[tuple[str, tuple[int, datetime]]]:
    for name, table in sorted(metadata.tables.items()):
        if table is judgements_table:  # a judgement of the future is made anew, and a damaged one may have no time
            continue
        for column in table.columns:
            if isinstance(column.type, UtcSeconds) and column.name not in _OF_THE_FUTURE:
                query = sa.select(sa.func.count(), sa.func.max(column)).where(column > moment)
                count, latest = connection.execute(query).one()
                if count:
                    yield f"{name}.{column.name}", (count, latest)


def _check(connection: sa.Connection) -> dict[str, int]:
    if connection.dialect.name == "sqlite":
        found = connection.execute(sa.text("PRAGMA integrity_check(1)")).scalar_one()
        if found != "ok":
            what = found.rpartition("\n")[2]  # without its heading, "*** in database main ***"
            raise sa.exc.DatabaseError("", None, Exception(f"malformed: {what}"))
    counts = {name: sa.select(sa.func.count()).select_from(table) for name, table in sorted(metadata.tables.items())}
    return {name: connection.execute(count).scalar_one() for name, count in counts.items()}
