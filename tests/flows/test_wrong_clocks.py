"""What has a clock that was wrong for a while left behind, and what does it keep a run from?"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from flows.scraper import scraper
from tasks.domain.errors import SelectionError
from tasks.ledger import Ledger
from tests.flows.conftest import Reconcile

BOARD = "espn_schedules/20260113.json"


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
