"""The ids of the ledger and of the lake that it belongs to."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    identities = op.create_table(
        "identities",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("kind", sa.String),
        sa.Column("url", sa.String),
    )
    op.bulk_insert(identities, [{"name": "ledger", "id": uuid.uuid4().hex}])
