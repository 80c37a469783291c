"""Why does a target not take its messages, and since when? Both are null while it does."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    op.add_column("alert_targets", sa.Column("trouble", sa.String))
    op.add_column("alert_targets", sa.Column("failing_since", sa.Double))
