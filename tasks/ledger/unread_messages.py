"""Which messages of a queue could not be read?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from tasks.ledger.database import Database, UtcSeconds, metadata

unread_messages_table = sa.Table(
    "unread_messages",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", UtcSeconds, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("begin", sa.String, nullable=False),
    sa.Column("receives", sa.Integer, nullable=False),
)


class UnreadMessage(NamedTuple):
    """A message that could not be read."""

    id: str
    at: datetime  # when it was last received
    reason: str
    begin: str  # its first characters
    receives: int  # how often it was received


@dataclass(frozen=True, slots=True)
class UnreadMessages:
    """The messages that could not be read, whether or not their queue still has them."""

    database: Database

    def keep(self, messages: Iterable[UnreadMessage]) -> None:
        """Keeps messages; of one that came before, only the last time."""
        rows = [message._asdict() for message in messages]
        replaced = set(UnreadMessage._fields) - {"id"}
        self.database.write(lambda connection: self.database.upsert(connection, unread_messages_table, rows, replaced))

    def newest(self, most: int) -> list[UnreadMessage]:
        """The messages that came last, the newest first."""
        table = unread_messages_table.c
        query = sa.select(*(table[name] for name in UnreadMessage._fields)).order_by(table.at.desc()).limit(most)
        return self.database.read(lambda connection: [UnreadMessage(*row) for row in connection.execute(query)])

    def count(self) -> int:
        """The number of messages that are kept."""
        query = sa.select(sa.func.count()).select_from(unread_messages_table)
        return self.database.read(lambda connection: connection.execute(query).scalar_one())

    def prune(self, connection: sa.Connection, before: datetime) -> None:
        """Deletes the messages from before a time, in an open transaction."""
        connection.execute(unread_messages_table.delete().where(unread_messages_table.c.at < before))
