"""Which ranges of keys do judgements rest on? All former judgements are deleted, and made anew by the next look."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.drop_table("judgements")
    op.drop_table("judgement_sets")
    op.create_table(
        "judgements",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("season", sa.String, primary_key=True),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("judged", sa.Double, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("games", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "judgement_sets",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("partitions", sa.String, nullable=False),
        sa.Column("ranges", sa.LargeBinary, nullable=False),
    )
