"""How complete was the lake, hour by hour?"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.create_table(
        "completeness",
        sa.Column("hour", sa.Double, primary_key=True, autoincrement=False),
        sa.Column("wanted", sa.BigInteger, nullable=False),
        sa.Column("present", sa.BigInteger, nullable=False),
        sa.Column("unknown", sa.Integer, nullable=False),
    )
