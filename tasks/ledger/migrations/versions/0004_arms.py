"""Which rollout a fill belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("fills", sa.Column("arm", sa.String, nullable=False, server_default=""))
