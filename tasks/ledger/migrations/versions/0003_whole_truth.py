"""New tables: runs, their leases and claims (marks), absences, corrections and the last plan."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("about", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("process", sa.String),
        sa.Column("flow_run", sa.String),
        sa.Column("began", sa.Double, nullable=False, index=True),
        sa.Column("ended", sa.Double),
        sa.Column("outcome", sa.String),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("run", sa.String, nullable=False, index=True),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("lasts", sa.Double, nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("work", sa.String, primary_key=True),
        sa.Column("run", sa.String, nullable=False, index=True),
    )
    op.create_table(
        "absences",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("evidence", sa.String, nullable=False),
        sa.Column("first", sa.Double, nullable=False),
        sa.Column("last", sa.Double, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("note", sa.String),
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String, nullable=False, index=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("was", sa.String, nullable=False),
        sa.Column("became", sa.String, nullable=False),
        sa.Column("kept_as", sa.String),
    )
    op.create_table(
        "plans",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.add_column("examined", sa.Column("agreed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("examined", sa.Column("was_size", sa.BigInteger))
    op.create_index("ix_fills_started", "fills", ["started"])
