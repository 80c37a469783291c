"""A version of a stored file is columns: etag and size, and the check that has read it; and how it was learnt.

It was one text, "etag:size:check". A row whose text is none such is dropped, and its file is read anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

# What stands before the last colon of `text`, with that colon; the same without it; and whether `number` is one.
_HEAD = "rtrim({text}, replace({text}, ':', ''))"
_BEFORE_COLON = "CASE WHEN head = '' THEN '' ELSE substr(head, 1, length(head) - 1) END"
_IS_NUMBER = "{number} <> '' AND ltrim({number}, '0123456789') = ''"


def upgrade() -> None:
    op.create_table(
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
    same = "wholeness, reason, fault, games, fetched, agreed, was_size, changed"
    op.execute(
        f"""
        INSERT INTO objects (key, etag, size, body_check, learnt_by, {same})
        SELECT key, etag, CAST(digits AS BIGINT), body_check, 'listing', {same}
        FROM ({_parts("version", f"key, {same}", "examined", has_check=True)}) AS parts
        WHERE {_IS_NUMBER.format(number="digits")}
        """
    )
    op.drop_table("examined")
    op.rename_table("unreadable", "unreadable_before")
    op.create_table(
        "unreadable",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("etag", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("first", sa.Double, nullable=False),
        sa.Column("last", sa.Double, nullable=False),
    )
    same = "reason, first, last"
    op.execute(
        f"""
        INSERT INTO unreadable (key, etag, size, {same})
        SELECT key, etag, CAST(digits AS BIGINT), {same}
        FROM ({_parts("content", f"key, {same}", "unreadable_before", has_check=False)}) AS parts
        WHERE {_IS_NUMBER.format(number="digits")}
        """
    )
    op.drop_table("unreadable_before")


def _parts(column: str, others: str, table: str, *, has_check: bool) -> str:
    """A query for the parts of "etag:size:check" or "etag:size"; an etag may have colons of its own."""
    source = f"SELECT {others}, '' AS body_check, {column} AS content FROM {table}"
    if has_check:
        head = _HEAD.format(text=column)
        source = (
            f"SELECT {others}, substr({column}, length(head) + 1) AS body_check, "
            f"{_BEFORE_COLON} AS content "
            f"FROM (SELECT {others}, {column}, {head} AS head FROM {table}) AS heads"
        )
    head = _HEAD.format(text="content")
    return (
        f"SELECT {others}, body_check, substr(content, length(head) + 1) AS digits, "
        f"{_BEFORE_COLON} AS etag "
        f"FROM (SELECT {others}, body_check, content, {head} AS head FROM ({source}) AS contents) AS contents_and_heads"
    )
