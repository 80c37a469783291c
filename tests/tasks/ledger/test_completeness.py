"""Is there one row for each hour, of the last look within it?"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.ledger import Ledger
from tasks.ledger.database import Database
from tests.deployments.test_serve import a_look

HOUR = timedelta(hours=1)


def test_each_hour_has_what_its_last_look_has_found(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = datetime(2026, 1, 15, 12, 10, tzinfo=UTC)
    unknown = (UnknownSchedule("espn_summary", "2024-25", "", "a"), UnknownSchedule("br_totals", "2024-25", "", "a"))
    standings = {State.PRESENT: 90, State.GAP: 5, State.DEFERRED: 5, State.UNAVAILABLE: 7, State.NOT_DUE: 9}
    counts = {Place("espn_summary", "2025-26", ""): {Standing(state): n for state, n in standings.items()}}
    with closing(Ledger(url)) as ledger:
        for minutes, look in ((0, a_look()), (40, a_look(counts=counts)), (60, a_look(unknown=unknown))):
            at = begin + timedelta(minutes=minutes)
            monkeypatch.setattr(Database, "now", lambda *_, at=at: at.timestamp())
            ledger.looks.record(look)
        first = datetime(2026, 1, 15, 12, tzinfo=UTC)
        rows = ledger.completeness.since(first)
        assert rows == [(first, 100, 90, 0), (first + HOUR, 2, 1, 1)]
        assert ledger.completeness.since(first + HOUR) == rows[1:]
        ledger.prune(first + HOUR)
        assert ledger.completeness.since(first) == rows[1:]
        ledger.forget_lake()
        assert ledger.completeness.since(first) == []
