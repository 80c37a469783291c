"""Which gaps is another run fetching?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tasks.domain.assess.states import State, Status
from tasks.domain.expected.cells import Cell


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of another run on a request: which run has it (`holder` in words), and until when it is valid."""

    run: str
    holder: str
    until: datetime


def in_flight(
    cells: Mapping[str, Cell], statuses: Mapping[str, Status], claims: Mapping[str, Claim]
) -> dict[str, Status]:
    """The new statuses, by key, of the gaps that other runs have claimed. `claims` is by Cell.work."""
    if not claims:
        return {}
    return {
        key: replace(gap, state=State.IN_FLIGHT, reason=f"being fetched by {claim.holder}", until=claim.until)
        for key, gap in statuses.items()
        if gap.state is State.GAP and (claim := claims.get(cells[key].work))
    }
