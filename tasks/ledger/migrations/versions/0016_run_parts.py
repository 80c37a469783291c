"""How long the parts of a run took."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for part in ("look", "judge", "plan", "fetch"):
        op.add_column("runs", sa.Column(f"{part}_seconds", sa.Double))
