"""What does each process know for the conditions of incidents?"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.create_table(
        "process_facts",
        sa.Column("process", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("facts", sa.String, nullable=False),
    )
