"""Why a run has deferred a file: which limit, what the limit belongs to, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("files", sa.Column("until", sa.Double))
    for name in ("left_by", "left_of"):
        op.add_column("files", sa.Column(name, sa.String))
