"""Which totals did CloudWatch get last?"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.create_table(
        "sendings",
        sa.Column("sink", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("totals", sa.LargeBinary, nullable=False),
    )
