"""Of which files that ADCE has stored itself is the event awaited?"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("unannounced", sa.Column("own", sa.Boolean, nullable=False, server_default=sa.false()))
