"""The games that schedules list are a table. They were JSON text in a column."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_SCHEDULES = 1000  # at once


def upgrade() -> None:
    games = op.create_table(
        "games",
        sa.Column("schedule", sa.String, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("game", sa.String, nullable=False, index=True),
        sa.Column("day", sa.String, nullable=False),
        sa.Column("start", sa.Double),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("season", sa.String, nullable=False),
        sa.Column("season_type", sa.String, nullable=False),
        sa.Column("if_necessary", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    objects = sa.table("objects", sa.column("key"), sa.column("games"))
    query = sa.select(objects.c.key, objects.c.games).where(objects.c.games.is_not(None))
    schedules = op.get_bind().execute(query).all()
    names = ("game", "day", "start", "status", "season", "season_type", "if_necessary")
    for first in range(0, len(schedules), _SCHEDULES):
        rows = [
            {"schedule": key, "place": place, "if_necessary": False} | dict(zip(names, fields, strict=False))
            for key, text in schedules[first : first + _SCHEDULES]
            for place, fields in enumerate(json.loads(text))
        ]
        op.bulk_insert(games, rows)
    op.drop_column("objects", "games")
