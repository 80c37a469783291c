"""Has a run left something undone that needs mending? It is null where that is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    op.add_column("runs", sa.Column("needs_mending", sa.Boolean))
