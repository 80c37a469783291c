"""Which downloads had new content, and which schedules list fewer games than another source's."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("examined", sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "disagreements",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("day", sa.String, primary_key=True),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("first", sa.Double, nullable=False),
        sa.Column("taken", sa.Double, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
        sa.Column("richer", sa.String, nullable=False, server_default=""),
    )
