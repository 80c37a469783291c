"""The settings of the last reconcile get a table of their own; they were among the plans."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "settings",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.execute("INSERT INTO settings SELECT 'reconcile', at, document FROM plans WHERE name = 'settings'")
    op.execute("DELETE FROM plans WHERE name = 'settings'")
