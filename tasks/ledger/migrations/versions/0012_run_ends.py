"""How a run ended, and why it was stopped, are two columns. They were one text."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_STOPPED = "stopped: "


def upgrade() -> None:
    op.add_column("runs", sa.Column("why", sa.String))
    runs = sa.table("runs", sa.column("outcome"), sa.column("why"))
    stopped = runs.c.outcome.startswith(_STOPPED)
    why = sa.func.substr(runs.c.outcome, len(_STOPPED) + 1)
    op.execute(runs.update().where(stopped).values(outcome="stopped", why=why))
    op.execute(runs.update().where(runs.c.outcome.startswith("died, ")).values(outcome="buried"))
