"""Deletes absences whose evidence proves nothing, such as a page instead of JSON, so that the files are fetched again.

Absences that an operator has set, or that a site has stated in its own way, stay.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PROOF = (
    "%: HTTP 404",
    "%: HTTP 410",
    "%: error body 404%",
    "%: no actions",
    "% rows of play-by-play",
    "%: final, but without plays",
)


def upgrade() -> None:
    absences = sa.table("absences", sa.column("note", sa.String), sa.column("evidence", sa.String))
    proven = sa.or_(*(absences.c.evidence.like(evidence) for evidence in _PROOF))
    op.execute(absences.delete().where(absences.c.note.is_(None), sa.not_(proven)))
