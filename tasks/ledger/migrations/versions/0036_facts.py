"""Which files and bodies fail again and again, how often do circuit breakers open, and how many events are there?"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.add_column("fills", sa.Column("absent", sa.Integer, nullable=False, server_default="0"))
    op.add_column("pauses", sa.Column("openings", sa.String, nullable=False, server_default="[]"))
    op.create_table(
        "failing_files",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("priority", sa.String, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "failed_checks",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("bodies", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("error", sa.String, nullable=False),
    )
    op.create_table(
        "events_taken",
        sa.Column("day", sa.String, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )
