"""How many files of each season are in each state? A service reads these sums at each new look."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    op.create_table(
        "season_tallies",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("season", sa.String, primary_key=True),
        sa.Column("state", sa.String, primary_key=True),
        sa.Column("by_operator", sa.Boolean, primary_key=True),
        sa.Column("unread", sa.Boolean, primary_key=True),
        sa.Column("cells", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    columns = "dataset, season, state, by_operator, unread"
    op.execute(f"INSERT INTO season_tallies SELECT {columns}, SUM(cells) FROM tallies GROUP BY {columns}")
