"""Which gaps is another run fetching?"""

from dataclasses import replace
from datetime import timedelta

from tasks.domain.assess.claims import Claim, in_flight
from tasks.domain.assess.states import Kind, State, Status
from tests.builders import NOW, a_cell

UNTIL = NOW + timedelta(hours=1)
GAP = Status(State.GAP, "not in the lake", Kind.MISSING)
CELL = a_cell()
CLAIM = Claim("run-2", "adce reconcile on host b", UNTIL)


def test_a_claimed_gap_is_in_flight_until_the_claim_ends() -> None:
    claimed = replace(GAP, state=State.IN_FLIGHT, reason="being fetched by adce reconcile on host b", until=UNTIL)
    assert in_flight({CELL.key: CELL}, {CELL.key: GAP}, {CELL.work: CLAIM}) == {CELL.key: claimed}


def test_only_gaps_of_the_claimed_request_are_in_flight() -> None:
    other = a_cell(key="other", fields={"id": "1"})
    cells = {CELL.key: CELL, other.key: other}
    statuses = {CELL.key: Status(State.PRESENT, "complete"), other.key: GAP}
    assert in_flight(cells, statuses, {CELL.work: CLAIM}) == {}
    assert in_flight(cells, statuses, {}) == {}
