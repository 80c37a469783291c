"""What is a gap?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tasks.domain.assess.states import Kind
from tasks.domain.expected.cells import Cell


@dataclass(frozen=True, slots=True)
class Gap:
    """A due cell whose file is missing or not as it should be."""

    cell: Cell
    kind: Kind
    reason: str
    first_seen: datetime
    last_seen: datetime | None = None  # when a look last saw the file; only of a new gap whose file has vanished

    def came_due_after(self, since: datetime | None) -> bool:
        """Is a file missing that came due after `since`, from when on it would have been noticed? None is no limit."""
        return self.kind is Kind.MISSING and (since is None or self.cell.due_at > since)
