"""Which files in the lake cannot be read, what is wrong with the others, and which files the source never has whole."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("examined", sa.Column("fault", sa.String))
    # The exact fault of a bad file is recorded when the file is read again.
    op.execute("UPDATE examined SET fault = 'unfit' WHERE wholeness = 'bad'")
    op.add_column("absences", sa.Column("unfinished", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "unreadable",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("first", sa.Double, nullable=False),
        sa.Column("last", sa.Double, nullable=False),
    )
