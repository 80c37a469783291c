"""When a file was due, detected, requested and stored, its refusals and waiting time; and running totals."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    for name in ("due", "detected", "asked", "stored"):
        op.add_column("files", sa.Column(name, sa.Double))
    op.add_column("files", sa.Column("refusals", sa.Integer, nullable=False, server_default="0"))
    op.add_column("files", sa.Column("waited", sa.Double, nullable=False, server_default="0"))
    op.create_table(
        "totals",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("labels", sa.String, primary_key=True),
        sa.Column("bucket", sa.String, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
    )
