"""What events have told of the files in the lake, and of which changes they have not told."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_table(
        "arrivals",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("etag", sa.String),
        sa.Column("size", sa.BigInteger),
        sa.Column("modified", sa.Double),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("sequencer", sa.String, nullable=False),
        sa.Column("asked", sa.Double),
        sa.Column("learnt_by", sa.String, nullable=False),
        sa.Column("learnt_at", sa.Double, nullable=False),
    )
    op.create_table(
        "unannounced",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("etag", sa.String),
        sa.Column("size", sa.BigInteger),
        sa.Column("changed", sa.Double, nullable=False),
        sa.Column("earliest", sa.Double),
    )
    op.create_table(
        "missed_events",
        sa.Column("day", sa.String, primary_key=True),
        sa.Column("folder", sa.String, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_table(
        "watches",
        sa.Column("lake", sa.String, primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("listed", sa.Double),
        sa.Column("read_to", sa.Double),
        sa.Column("returned", sa.Double),
    )
    op.create_table(
        "unread_messages",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("begin", sa.String, nullable=False),
        sa.Column("receives", sa.Integer, nullable=False),
    )
