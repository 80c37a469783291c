"""What has a clock that was wrong for a while left behind, and what does it keep a run from?"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from flows.scraper import scraper
from tasks.domain.errors import SelectionError
from tasks.ledger import Ledger
from tests.builders import a_gap
from tests.flows.conftest import NOW, Reconcile

BOARD = "espn_schedules/20260113.json"
YEAR = timedelta(days=365)


@pytest.fixture
def ledger(adce_home: Path) -> Iterator[Ledger]:
    with closing(Ledger(load_config().ledger)) as ledger:
        yield ledger


def _boards(run_reconcile: Reconcile, **parameters: object) -> list[str]:
    """What a run of two boards that becomes whole has fetched."""
    report = run_reconcile(datasets=["espn_scoreboard"], **parameters)
    assert report.complete, report.left
    return report.filled


def test_nothing_is_fetched_with_a_clock_that_is_set_ahead_but_by_a_sandbox(
    run_reconcile: Reconcile, sites: SandboxProcess, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(SelectionError, match="is later than now"):
        run_reconcile(datasets=["espn_scoreboard"], as_of=ahead)
    with pytest.raises(SelectionError, match="is later than now"):
        asyncio.run(scraper("espn", [BOARD], as_of=ahead, return_state=True)).result()
    assert run_reconcile(datasets=["espn_scoreboard"], as_of=ahead, dry_run=True).counts["gap"] == 2
    assert sites.requests() == []
    assert ledger.first_seen([BOARD]) == {}, "what is only looked at leaves no trace"
    assert ledger.last_plan() is None
    monkeypatch.setenv("ADCE_SANDBOX", "true")
    assert len(_boards(run_reconcile, as_of=ahead)) == 2


def test_a_file_from_the_future_is_fetched_once_more(run_reconcile: Reconcile, adce_home: Path, ledger: Ledger) -> None:
    _boards(run_reconcile)
    ahead = datetime.now(UTC) + YEAR
    os.utime(adce_home / "lake" / BOARD, (ahead.timestamp(),) * 2)
    for file in adce_home.glob("ledger.db*"):
        file.unlink()
    assert _boards(run_reconcile) == [BOARD]
    assert _boards(run_reconcile) == []


def test_the_time_of_a_download_that_is_yet_to_come_does_not_become_true(
    run_reconcile: Reconcile, ledger: Ledger
) -> None:
    _boards(run_reconcile)
    seen = ledger.examinations()[BOARD]
    ledger.record_examinations({BOARD: seen._replace(fetched=datetime.now(UTC) + YEAR)})
    _boards(run_reconcile)
    assert ledger.examinations()[BOARD].fetched is None, "what the lake says of the time counts"


def test_a_gap_that_was_seen_first_in_the_future_is_seen_anew(run_reconcile: Reconcile, ledger: Ledger) -> None:
    gap = a_gap()
    ledger.record_gaps([replace(gap, cell=gap.cell._replace(key=BOARD), first_seen=datetime.now(UTC) + YEAR)])
    report = run_reconcile(datasets=["espn_scoreboard"], max_fills=0)
    assert report.counts["deferred"] == 2
    assert ledger.first_seen([BOARD]) == {BOARD: NOW}
