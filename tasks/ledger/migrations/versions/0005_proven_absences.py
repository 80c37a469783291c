"""Absences whose evidence was no proof are forgotten: a page in place of JSON, or another page than the one asked for.

What an operator has set stays, and so does what a site said in its own way. The files are looked for again.
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
