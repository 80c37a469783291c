"""Is there one row for each hour, of the look within it that has found the least?"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.ledger import Ledger
from tasks.ledger.database import Database
from tests.deployments.test_serve import a_look

HOUR = timedelta(hours=1)


def found(present: int, lacking: int) -> RecordedLook:
    standings = {State.PRESENT: present, State.GAP: lacking}
    return a_look(
        counts={Place("espn_summary", "2025-26", ""): {Standing(state): n for state, n in standings.items() if n}}
    )


@pytest.mark.parametrize(
    ("looks", "lowest"),
    [
        pytest.param([(73, 27), (86, 14), (100, 0)], (100, 73), id="what was mended stays known"),
        pytest.param([(100, 0), (199, 1), (150, 50)], (200, 150), id="it gets worse"),
        pytest.param([(0, 0), (90, 10), (0, 0)], (100, 90), id="where nothing is wanted nothing is lacking"),
    ],
)
def test_an_hour_keeps_the_look_that_found_the_smallest_part(
    url: str, monkeypatch: pytest.MonkeyPatch, looks: list[tuple[int, int]], lowest: tuple[int, int]
) -> None:
    begin = datetime(2026, 1, 15, 12, tzinfo=UTC)
    with closing(Ledger(url)) as ledger:
        for minutes, counts in enumerate(looks):
            at = begin + timedelta(minutes=minutes)
            monkeypatch.setattr(Database, "now", lambda *_, at=at: at.timestamp())
            ledger.looks.record(found(*counts))
        assert ledger.completeness.since(begin) == [(begin, *lowest, 0)]


def test_each_hour_has_a_row_until_it_is_pruned(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = datetime(2026, 1, 15, 12, 10, tzinfo=UTC)
    unknown = (UnknownSchedule("espn_summary", "2024-25", "", "a"), UnknownSchedule("br_totals", "2024-25", "", "a"))
    standings = {State.PRESENT: 90, State.GAP: 5, State.DEFERRED: 5, State.UNAVAILABLE: 7, State.NOT_DUE: 9}
    counts = {Place("espn_summary", "2025-26", ""): {Standing(state): n for state, n in standings.items()}}
    with closing(Ledger(url)) as ledger:
        for minutes, look in ((0, a_look(counts=counts)), (60, a_look(unknown=unknown))):
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
