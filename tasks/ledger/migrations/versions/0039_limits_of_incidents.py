"""Which limit was the value of an incident above? It is null where that is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("passed", sa.Double))
