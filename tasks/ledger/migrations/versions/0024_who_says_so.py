"""An operator's statement that a source does not have a file tells whose it is."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("absences", sa.Column("by", sa.String))
