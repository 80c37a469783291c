"""The pauses that operators have set."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "operator_pauses",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
    )
