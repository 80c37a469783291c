"""What does each process watch, and since when do services evaluate? Which incidents are over since nobody watches?"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.add_column("process_facts", sa.Column("watches", sa.String, nullable=False, server_default="[]"))
    op.add_column("incidents", sa.Column("unwatched", sa.String, nullable=False, server_default=""))
    op.create_table(
        "services",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
    )
