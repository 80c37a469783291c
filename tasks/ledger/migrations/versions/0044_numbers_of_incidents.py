"""What is the number of an incident? The time in seconds, which a column of 32 bits holds only until 2038."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    with op.batch_alter_table("evaluations") as table:
        table.alter_column("last", type_=sa.BigInteger, existing_nullable=False)
