"""Tables and a column get the names that the code has for them: claims, pauses and a fill's variant."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.drop_index("ix_marks_run", "marks")
    op.rename_table("marks", "claims")
    op.create_index("ix_claims_run", "claims", ["run"])
    op.rename_table("holds", "pauses")
    op.alter_column("fills", "arm", new_column_name="variant")
