"""What has the last look at the whole lake found, in numbers?"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.create_table(
        "looks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("taken_at", sa.Double, nullable=False),
        sa.Column("verified_since", sa.Double, nullable=False),
        sa.Column("inventory", sa.Double),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("lake", sa.String, nullable=False),
        sa.Column("list_requests", sa.Integer, nullable=False),
        sa.Column("never_read", sa.Integer, nullable=False),
        sa.Column("by_former_checks", sa.Integer, nullable=False),
        sa.Column("unknown", sa.Integer, nullable=False),
    )
    op.create_table(
        "tallied",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("season", sa.String, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "tallies",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("season", sa.String, primary_key=True),
        sa.Column("span", sa.String, primary_key=True),
        sa.Column("state", sa.String, primary_key=True),
        sa.Column("by_operator", sa.Boolean, primary_key=True),
        sa.Column("unread", sa.Boolean, primary_key=True),
        sa.Column("cells", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unknown_schedules",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("season", sa.String, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("span", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "waiting",
        sa.Column("priority", sa.String, primary_key=True),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("oldest", sa.Double, nullable=False),
    )
    op.create_table(
        "gauges",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("labels", sa.String, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
    )
    op.create_index("ix_runs_kind_outcome_ended", "runs", ["kind", "outcome", "ended"])
