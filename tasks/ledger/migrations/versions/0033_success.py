"""When was a gap's file due, and how long did each reconcile take from its start to its plan?"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.add_column("gaps", sa.Column("due", sa.Double))
    op.add_column("runs", sa.Column("cycle_seconds", sa.Double))
