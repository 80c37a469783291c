"""Which Prefect server's rate buckets a run uses."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for name in ("server", "buckets"):
        op.add_column("runs", sa.Column(name, sa.String))
