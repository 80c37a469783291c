"""The version of a file has columns for its ETag, its size, the body check that read it, and how ADCE learnt of it.

It was one text, "etag:size:check". A row with any other text is dropped, so that its file is read again.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ROWS = 10_000  # at once


def upgrade() -> None:
    objects = op.create_table(
        "objects",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("etag", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.Double),
        sa.Column("learnt_by", sa.String, nullable=False),
        sa.Column("learnt_at", sa.Double),
        sa.Column("body_check", sa.String, nullable=False),
        sa.Column("wholeness", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("fault", sa.String),
        sa.Column("games", sa.String),
        sa.Column("fetched", sa.Double),
        sa.Column("agreed", sa.Boolean, nullable=False),
        sa.Column("was_size", sa.BigInteger),
        sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    for rows in _read("examined"):
        parts = [row | {"learnt_by": "listing", "content": row["version"].rpartition(":")[0]} for row in rows]
        _insert(objects, [row | {"body_check": row["version"].rpartition(":")[2]} for row in parts])
    op.drop_table("examined")
    op.rename_table("unreadable", "unreadable_before")
    unreadable = op.create_table(
        "unreadable",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("etag", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("first", sa.Double, nullable=False),
        sa.Column("last", sa.Double, nullable=False),
    )
    for rows in _read("unreadable_before"):
        _insert(unreadable, rows)
    op.drop_table("unreadable_before")


def _read(name: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of a table in the order of their keys, in which an index grows fastest."""
    table = sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
    last = ""
    while True:
        query = sa.select(table).where(table.c.key > last).order_by(table.c.key).limit(_ROWS)
        rows = [dict(row) for row in op.get_bind().execute(query).mappings()]
        if not rows:
            return
        yield rows
        last = rows[-1]["key"]


def _insert(table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Rows with a `content`, "etag:size"; an etag may have colons of its own."""
    names = [column.name for column in table.c if column.name not in ("etag", "size")]
    split = [(row, *row["content"].rpartition(":")) for row in rows]
    good = [
        {name: row[name] for name in names if name in row} | {"etag": etag, "size": int(size)}
        for row, etag, colon, size in split
        if colon and size.isdecimal()
    ]
    if good:
        op.get_bind().execute(table.insert(), good)
