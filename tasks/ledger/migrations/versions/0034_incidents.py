"""Which incidents are there, what is to be told of them, and what is silenced?"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("opened", sa.Double),
        sa.Column("cleared", sa.Double),
        sa.Column("alone", sa.Double),
        sa.Column("cause", sa.String, nullable=False),
        sa.Column("told", sa.Double),
        sa.Column("reminded", sa.Double),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.Column("closed", sa.Double),
        sa.Column("is_held", sa.Boolean, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
    )
    op.create_index("ix_incidents_is_over", "incidents", ["is_over"])
    op.create_index("ix_incidents_closed", "incidents", ["closed"])
    op.create_table(
        "evaluations",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("document", sa.String, nullable=False),
    )
    op.create_index("ix_outbox_at", "outbox", ["at"])
    op.create_table(
        "deliveries",
        sa.Column("change", sa.String, primary_key=True),
        sa.Column("target", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "silences",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("scope", sa.String, primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
    )
