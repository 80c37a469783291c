"""A run tells the name of its final state in Prefect."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("runs", sa.Column("state", sa.String))
