"""Which incidents are there, what is to be told of them, and what is silenced?"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from tasks.domain import incidents as domain
from tasks.domain.incidents import Change, Incident, Kind, QuietTime, What
from tasks.ledger.database import Database, UtcSeconds, metadata

_LAST = "last"  # the name of the only row of `evaluations`

incidents_table = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("scope", sa.String, nullable=False),
    sa.Column("began", UtcSeconds, nullable=False),
    sa.Column("opened", UtcSeconds),
    sa.Column("cleared", UtcSeconds),
    sa.Column("alone", UtcSeconds),
    sa.Column("cause", sa.String, nullable=False),
    sa.Column("told", UtcSeconds),
    sa.Column("reminded", UtcSeconds),
    sa.Column("reminders", sa.Integer, nullable=False),
    sa.Column("closed", UtcSeconds),
    sa.Column("is_held", sa.Boolean, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("passed", sa.Double),  # the limit; null if an older version opened it
    sa.Column("unwatched", sa.String, nullable=False, server_default=""),  # why nothing is known, if that ended it
    sa.Column("is_over", sa.Boolean, nullable=False),  # nothing is left to be told of it
    sa.Index("ix_incidents_is_over", "is_over"),
    sa.Index("ix_incidents_closed", "closed"),
)
evaluations_table = sa.Table(
    "evaluations",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),  # the number of the last incident
)
outbox_table = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False, index=True),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("document", sa.String, nullable=False),  # JSON: the incident, and those that the message closes
)
deliveries_table = sa.Table(
    "deliveries",
    metadata,
    sa.Column("change", sa.String, primary_key=True),
    sa.Column("target", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
)
silences_table = sa.Table(
    "silences",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),  # "" for all
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("since", UtcSeconds, nullable=False),
    sa.Column("until", UtcSeconds, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),
)
_TIMES = ("began", "opened", "cleared", "alone", "told", "reminded", "closed")

Rule = Callable[[domain.Incidents], tuple[domain.Incidents, tuple[Change, ...]]]


@dataclass(frozen=True, slots=True)
class Silence:
    """What an operator does not want to be told for some time, and why."""

    hold: QuietTime
    note: str
    by: str


@dataclass(frozen=True, slots=True)
class Incidents:
    """The incidents, the outbox of messages with their deliveries to each target, and the silences of operators."""

    database: Database

    def evaluate(self, rule: Rule, now: datetime) -> tuple[Change, ...]:
        """Applies a rule to the incidents, and puts the changes that it tells into the outbox, in one transaction.

        Of several processes that do this, one waits for the other, so that each change is told once. The number of an
        incident is the time in seconds at which it began to be known, or the next free one: so a ledger that is lost or
        restored gives no number again that it had given before.
        """

        def write(connection: sa.Connection) -> tuple[Change, ...]:
            number = evaluations_table.c.last
            insert = self.database.dialect.insert(evaluations_table).values(name=_LAST, at=now, last=0)
            # The update takes the lock: on the row in PostgreSQL, on the file in SQLite.
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"at": now}))
            last = max(connection.execute(sa.select(number)).scalar_one(), int(now.timestamp()) - 1)
            before = domain.Incidents(last, tuple(_standing(connection)))
            after, changes = rule(before)
            self._replace(connection, before, after)
            self.database.insert(connection, outbox_table, [_row_of(change) for change in changes])
            connection.execute(evaluations_table.update().values(last=after.last))
            return changes

        return self.database.write(write, durable=True)

    def _replace(self, connection: sa.Connection, before: domain.Incidents, after: domain.Incidents) -> None:
        known = {incident.id: incident for incident in before.standing}
        rows = [_stored(one, is_over=False) for one in after.standing if known.get(one.id) != one]
        rows += [_stored(one, is_over=True) for one in after.ended]
        gone = known.keys() - {incident.id for incident in (*after.standing, *after.ended)}
        for id_ in gone:
            connection.execute(incidents_table.delete().where(incidents_table.c.id == id_))
        self.database.upsert(connection, incidents_table, rows, set(incidents_table.c.keys()) - {"id"})

    def adopt(
        self,
        incident: Incident,
        changes: Sequence[Change],
        delivered: Iterable[tuple[str, str]] = (),
        *,
        now: datetime,
    ) -> None:
        """Takes over an open incident that lived in memory, what was told of it, and which target has got what.

        Nothing changes if it is over here. If there is another one of its kind and scope, which goes on for both, this
        one ends now, and that is told if its beginning was.
        """

        def write(connection: sa.Connection) -> None:
            columns = incidents_table.c
            is_live = ~columns.is_over & columns.closed.is_(None)
            of_its_place = (columns.kind == incident.kind.value) & (columns.scope == incident.scope) & is_live
            is_its_own = columns.id == incident.id

            def is_there(which: sa.ColumnElement[bool]) -> bool:
                return connection.execute(sa.select(columns.id).where(which)).first() is not None

            if is_there(is_its_own & ~is_live):
                return
            goes_on = not is_there(~is_its_own & of_its_place)
            if not goes_on and not changes:
                return
            ended = incident._replace(cleared=incident.cleared or now, closed=now)
            row = _stored(incident if goes_on else ended, is_over=not goes_on)
            end = [] if goes_on else [Change(f"{incident.id}-{What.CLOSED}", ended, What.CLOSED, now)]
            self.database.upsert(connection, incidents_table, [row], set(columns.keys()) - {"id"})
            self.database.upsert(connection, outbox_table, [_row_of(change) for change in (*changes, *end)], {"what"})
            rows = [{"change": change, "target": target, "at": incident.began} for change, target in delivered]
            self.database.upsert(connection, deliveries_table, rows, {"at"})

        self.database.write(write, durable=True)

    def unknown(self, incidents: Iterable[Incident]) -> list[Incident]:
        """Those of some incidents of which the ledger has never heard."""
        named = {one.id: one for one in incidents}
        query = sa.select(incidents_table.c.id).where(incidents_table.c.id.in_(list(named)))
        known = self.database.read(lambda connection: set(connection.execute(query).scalars()))
        return [one for id_, one in named.items() if id_ not in known]

    def evaluated_at(self) -> datetime | None:
        """When the conditions were evaluated last; None if they never were."""
        query = sa.select(evaluations_table.c.at)
        return self.database.read(lambda connection: connection.execute(query).scalar())

    def open(self) -> list[Incident]:
        """The incidents that are open, in the order in which they were opened."""
        standing = self.database.read(lambda connection: list(_standing(connection)))
        return sorted((one for one in standing if one.is_open), key=lambda one: (one.opened, one.id))

    def closed_since(self, since: datetime) -> list[Incident]:
        """The incidents that were closed since then, the last one first."""
        query = sa.select(incidents_table).where(incidents_table.c.closed >= since)
        newest_first = query.order_by(incidents_table.c.closed.desc(), incidents_table.c.id)
        return self.database.read(lambda connection: list(_incidents(connection, newest_first)))

    def undelivered(self, target: str, since: datetime, most: int = 100, without: Collection[str] = ()) -> list[Change]:
        """The changes since then that are not known to have been delivered to a target, the oldest first.

        Changes with the ids in `without` are left out, and so are those that only a later version knows.
        """
        columns = outbox_table.c
        delivered = deliveries_table.c.change == columns.id, deliveries_table.c.target == target
        query = (
            sa.select(columns.id, columns.at, columns.what, columns.document)
            .where(columns.at >= since, ~sa.exists().where(*delivered))
            .order_by(columns.at, columns.id)
        )

        def read(connection: sa.Connection) -> list[Change]:
            known = (change for row in connection.execute(query) if (change := _change_of(*row)))
            return list(islice((change for change in known if change.id not in without), most))

        return self.database.read(read)

    def deliveries(self, changes: Collection[str]) -> dict[str, dict[str, datetime]]:
        """When each target has got each of these changes, by the change and the target. Others are left out."""
        query = sa.select(deliveries_table).where(deliveries_table.c.change.in_(list(changes)))

        def read(connection: sa.Connection) -> dict[str, dict[str, datetime]]:
            found: dict[str, dict[str, datetime]] = {}
            for row in connection.execute(query.order_by(deliveries_table.c.at, deliveries_table.c.target)):
                found.setdefault(row.change, {})[row.target] = row.at
            return found

        return self.database.read(read)

    def record_delivery(self, change: str, target: str, at: datetime) -> None:
        """Records that a target has got a change."""
        row = {"change": change, "target": target, "at": at}
        self.database.write(
            lambda connection: self.database.upsert(connection, deliveries_table, [row], {"at"}), durable=True
        )

    def silence(self, silence: Silence) -> None:
        """Records a silence in place of the one of the same kind and scope. Deletes those that are over."""
        hold = silence.hold
        row = {"kind": hold.kind or "", "scope": hold.scope, "since": hold.since, "until": hold.until}

        def write(connection: sa.Connection) -> None:
            connection.execute(silences_table.delete().where(silences_table.c.until <= hold.since))
            new = row | {"note": silence.note, "by": silence.by}
            self.database.upsert(connection, silences_table, [new], {"since", "until", "note", "by"})

        self.database.write(write, durable=True)

    def end_silence(self, kind: Kind | None, scope: str) -> bool:
        """Ends a silence. Returns whether there was one."""
        columns = silences_table.c
        mine = silences_table.delete().where(columns.kind == (kind or ""), columns.scope == scope)
        return self.database.write(lambda connection: connection.execute(mine).rowcount > 0, durable=True)

    def silences(self, now: datetime) -> list[Silence]:
        """The silences that are not over, by their end."""
        columns = silences_table.c
        query = sa.select(silences_table).where(columns.until > now).order_by(columns.until, columns.kind)

        def read(connection: sa.Connection) -> list[Silence]:
            known = (row for row in connection.execute(query) if row.kind in ("", *Kind))
            return [
                Silence(
                    QuietTime(row.since, row.until, Kind(row.kind) if row.kind else None, row.scope), row.note, row.by
                )
                for row in known
            ]

        return self.database.read(read)

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes what was closed and told before then, in an open transaction."""
        old = incidents_table.c.is_over & (incidents_table.c.closed < before)
        connection.execute(incidents_table.delete().where(old))
        connection.execute(outbox_table.delete().where(outbox_table.c.at < before))
        is_done = deliveries_table.c.change.not_in(sa.select(outbox_table.c.id))  # else it would be sent again
        connection.execute(deliveries_table.delete().where(deliveries_table.c.at < before, is_done))


def _standing(connection: sa.Connection) -> Iterable[Incident]:
    return _incidents(connection, sa.select(incidents_table).where(~incidents_table.c.is_over))


def _incidents(connection: sa.Connection, query: sa.Select[Any]) -> Iterable[Incident]:
    """The incidents of rows. A kind that no version of this age knows is left out."""
    for row in connection.execute(query):
        if row.kind in tuple(Kind):
            values = {name: getattr(row, name) for name in Incident._fields}
            yield Incident(**{**values, "kind": Kind(row.kind)})


def _stored(incident: Incident, *, is_over: bool) -> dict[str, object]:
    return {**incident._asdict(), "kind": incident.kind.value, "is_over": is_over}


def _row_of(change: Change) -> dict[str, object]:
    document = {"incident": _as_json(change.incident), "closes": [_as_json(one) for one in change.closes]}
    return {"id": change.id, "at": change.at, "what": change.what.value, "document": json.dumps(document)}


def _change_of(id_: str, at: datetime, what: str, document: str) -> Change | None:
    """The change of a row; None if no version of this age knows what it is about."""
    content = json.loads(document)
    if what not in tuple(What) or not _is_known(content["incident"]):
        return None
    closes = tuple(_from_json(one) for one in content["closes"] if _is_known(one))
    return Change(id_, _from_json(content["incident"]), What(what), at, closes)


def _is_known(values: Mapping[str, Any]) -> bool:
    return values["kind"] in tuple(Kind)


def _as_json(incident: Incident) -> dict[str, object]:
    values = incident._asdict()
    return values | {name: moment and moment.timestamp() for name in _TIMES for moment in [values[name]]}


def _from_json(values: dict[str, Any]) -> Incident:
    times = {name: None if values[name] is None else datetime.fromtimestamp(values[name], UTC) for name in _TIMES}
    known = {name: value for name, value in values.items() if name in Incident._fields}
    return Incident(**{**known, **times, "kind": Kind(values["kind"])})
