"""A pause and a circuit breaker tell since when they have not been closed."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("pauses", sa.Column("since", sa.Double))
