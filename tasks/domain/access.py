"""What may a command or a run do with the ledger?

It is not in the ledger's package, so that `adce --help` and the shell's completion do not load SQLAlchemy.
"""

from __future__ import annotations

from enum import StrEnum


class Access(StrEnum):
    """What somebody wants to do with the ledger."""

    LOOK = "look"  # read it as it is when it is opened; if there is none, an empty one in memory is used instead
    READ = "read"  # read it as it is when it is opened; it must be there
    CHANGE = "change"  # read and write it; it must be there
    MIGRATE = "migrate"  # update its schema, too
    RUN = "run"  # create it, too, if there is none

    @property
    def only_reads(self) -> bool:
        """Is nothing written? Then not even a file beside a SQLite database has to be."""
        return self in (Access.LOOK, Access.READ)

    @property
    def migrates(self) -> bool:
        """Is an older schema updated? Otherwise it is an error."""
        return self in (Access.MIGRATE, Access.RUN)
