"""Since when is each target told of incidents, and whose turn is it to evaluate and tell them?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from tasks.ledger.database import Database, UtcSeconds, metadata
from tasks.ledger.incidents import deliveries_table, outbox_table
from tasks.ledger.leases import ALERTS, hold, leases_table, let_go

GIVES_UP = timedelta(days=1)  # after which a message that a target has not got is not sent to it any more
_NOTED_EVERY = timedelta(minutes=1)  # how often it is noted that a target is there
_SERVICES = "services"
_WITHOUT_TARGETS = "silent-"  # how the holder of the lease is named in it who has no target to tell

alert_targets_table = sa.Table(
    "alert_targets",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("since", UtcSeconds, nullable=False),  # what was to be told before then is not sent to it
    sa.Column("seen", UtcSeconds, nullable=False),  # when it was in the settings of whoever tells, about
    sa.Column("trouble", sa.String),  # why it does not take messages; null while it does
    sa.Column("failing_since", UtcSeconds),
)


services_table = sa.Table(
    "services",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # of the only row: _SERVICES
    sa.Column("since", UtcSeconds, nullable=False),  # when services began to evaluate
    sa.Column("seen", UtcSeconds, nullable=False),  # when one did last, about
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to evaluate, and to tell the targets.

    `given_up` is the number of messages that were not sent to a target within a day.
    """

    since: Mapping[str, datetime]
    given_up: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a target that is told `since` then: so many messages, the oldest of which is of a time.

    `trouble` is why it has not taken the last one, and `failing_since` when that began; None if it has.
    """

    since: datetime
    undelivered: int
    oldest: datetime | None
    trouble: str | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class AlertTargets:
    """The targets, which only the holder of the lease ALERTS tells. Nobody else evaluates the conditions."""

    database: Database

    def take_turn(self, teller: str, names: Collection[str], now: datetime, lasts: float) -> Turn | None:
        """Takes or renews the lease for some seconds. Returns None if another process has it.

        A process without targets leaves the lease to one that has some. A target that is new, or was not in the
        settings for a day, is told from now on.
        """

        def write(connection: sa.Connection) -> Turn | None:
            if names:
                of_silent = leases_table.c.run.startswith(_WITHOUT_TARGETS, autoescape=True)
                connection.execute(leases_table.delete().where(leases_table.c.name == ALERTS, of_silent))
            holder = teller if names else f"{_WITHOUT_TARGETS}{teller}"
            if not hold(connection, self.database, ALERTS, holder, self.database.now(connection), lasts):
                return None
            rows = {row.name: row for row in connection.execute(sa.select(alert_targets_table))}
            since = {name: _since(row.since, row.seen, now) for name, row in rows.items() if name in names}
            since = dict.fromkeys(names, now) | since
            new = [
                {"name": name, "since": since[name], "seen": now}
                for name in names
                if name not in rows or abs(now - rows[name].seen) >= _NOTED_EVERY
            ]
            noted = {str(row["name"]) for row in new}
            given_up = {
                name: self._unsent(connection, name, rows[name].since, since[name])[0] for name in noted & set(rows)
            }
            self.database.upsert(connection, alert_targets_table, new, {"since", "seen"})
            return Turn(since, {name: count for name, count in given_up.items() if count})

        return self.database.write(write)

    def waiting(self, now: datetime) -> dict[str, Waiting]:
        """What waits for each target that was ever told, by its name."""

        def read(connection: sa.Connection) -> dict[str, Waiting]:
            rows = connection.execute(sa.select(alert_targets_table)).all()
            later, found = datetime.max.replace(tzinfo=UTC), {}
            for row in rows:
                since = _since(row.since, row.seen, now)
                count, oldest = self._unsent(connection, row.name, since, later)
                found[row.name] = Waiting(since, count, oldest, row.trouble, row.failing_since)
            return found

        return self.database.read(read)

    def served_since(self, now: datetime, pause: timedelta) -> datetime:
        """Notes that a service evaluates. Returns since when services have, with no break longer than a pause."""
        query = sa.select(services_table.c.since, services_table.c.seen)

        def write(connection: sa.Connection) -> datetime:
            known = connection.execute(query).first()
            goes_on = known is not None and known.since <= now and abs(now - known.seen) <= pause
            since: datetime = known.since if known and goes_on else now
            row = {"name": _SERVICES, "since": since, "seen": now}
            self.database.upsert(connection, services_table, [row], {"since", "seen"})
            return since

        return self.database.write(write)

    def note_troubles(self, troubles: Mapping[str, str | None], now: datetime) -> None:
        """Notes why targets do not take messages, or that they do (None), by their names."""
        columns = alert_targets_table.c
        query = sa.select(columns.name, columns.trouble).where(columns.name.in_(list(troubles)))
        known = self.database.read(lambda connection: {row.name: row.trouble for row in connection.execute(query)})
        changed = [name for name in known if known[name] != troubles[name]]

        def write(connection: sa.Connection) -> None:
            for name in changed:
                since = None if troubles[name] is None else sa.func.coalesce(columns.failing_since, now.timestamp())
                values = {"trouble": troubles[name], "failing_since": since}
                connection.execute(alert_targets_table.update().where(columns.name == name).values(values))

        if changed:
            self.database.write(write)

    def let_go(self, teller: str) -> None:
        """Ends the lease, if this process has it, so that another one can go on at once."""

        def write(connection: sa.Connection) -> None:
            for holder in (teller, f"{_WITHOUT_TARGETS}{teller}"):
                let_go(connection, ALERTS, holder)

        self.database.write(write)

    def _unsent(
        self, connection: sa.Connection, name: str, since: datetime, until: datetime
    ) -> tuple[int, datetime | None]:
        """The number of messages of a time that a target has not got, and the time of the oldest one."""
        columns = outbox_table.c
        delivered = deliveries_table.c.change == columns.id, deliveries_table.c.target == name
        query = sa.select(sa.func.count(), sa.func.min(columns.at)).where(
            columns.at >= since, columns.at < until, ~sa.exists().where(*delivered)
        )
        count, oldest = connection.execute(query).one()
        return count, oldest


def _since(since: datetime, seen: datetime, now: datetime) -> datetime:
    """From when on a target is told that was known before."""
    if now - seen > GIVES_UP:
        return now
    return now - GIVES_UP if since > now else max(since, now - GIVES_UP)  # it lies ahead if the clock was set back
