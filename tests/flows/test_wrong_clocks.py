"""What has a clock that was wrong for a while left behind, and what does it keep a run from?"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.store import Put, Store
from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from flows.scraper import scraper
from tasks.answers.plan import plan_lake
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import Selection
from tasks.domain.limits.pauses import Pause
from tasks.ledger import Ledger
from tasks.ledger.plans import PLAN
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
    assert report.complete, report.deferrals
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
    assert ledger.gaps.first_seen([BOARD]) == {}, "what is only looked at leaves no trace"
    assert ledger.plans.kept(PLAN) is None
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
    seen = ledger.objects.examined()[BOARD]
    ledger.objects.record({BOARD: seen._replace(fetched=datetime.now(UTC) + YEAR)})
    _boards(run_reconcile)
    assert ledger.objects.examined()[BOARD].fetched is None, "what the lake says of the time counts"


def test_a_file_is_as_old_as_its_request_however_late_it_is_stored(
    run_reconcile: Reconcile, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, begun = Store.put, list[datetime]()

    async def put(lake: Store, key: str, *rest: Any) -> Put:
        begun.append(datetime.now(UTC))
        return await store(lake, key, *rest)

    monkeypatch.setattr(Store, "put", put)
    _boards(run_reconcile, as_of=None)
    taken = [seen.fetched for seen in ledger.objects.examined().values()]
    assert len(taken) == 2
    assert all(at is not None and at < max(begun) for at in taken)


def test_a_gap_that_was_seen_first_in_the_future_is_seen_anew(run_reconcile: Reconcile, ledger: Ledger) -> None:
    gap = a_gap()
    ledger.gaps.record([replace(gap, cell=gap.cell._replace(key=BOARD), first_seen=datetime.now(UTC) + YEAR)])
    report = run_reconcile(datasets=["espn_scoreboard"], max_fills=0)
    assert report.counts["deferred"] == 2
    assert ledger.gaps.first_seen([BOARD]) == {BOARD: NOW}


def test_holds_and_probes_that_end_later_than_any_can_keep_nobody_from_asking(
    run_reconcile: Reconcile, ledger: Ledger
) -> None:
    now = datetime.now(UTC)
    ledger.pauses.change("espn_scoreboard", lambda pause: Pause(pause.name, now + YEAR, "8 failures"))
    ledger.pauses.change("espn", lambda pause: Pause(pause.name, now, "HTTP 503", probe_until=now + YEAR))
    report = asyncio.run(plan_lake(load_config(), Selection(datasets=("espn_scoreboard",)), as_of=NOW))
    assert (report.counts["deferred"], len(report.fills) > 0) == (0, True), "nor do they a plan"
    assert len(_boards(run_reconcile)) == 2
    assert [pause.until for pause in ledger.pauses.current().values()] == [None, None]


def test_a_run_with_nothing_else_to_do_waits_a_while_for_the_probe_of_another_and_says_so(
    run_reconcile: Reconcile, sites: SandboxProcess, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.run.dispatcher._IDLE_WAIT", timedelta(seconds=1))
    now = datetime.now(UTC).replace(microsecond=0)
    given_up = now + timedelta(seconds=100)
    ledger.pauses.change("espn", lambda pause: Pause(pause.name, now, "HTTP 503", probe_until=given_up))
    report = run_reconcile(datasets=["espn_scoreboard"])
    assert sites.requests() == []
    reason = "espn is asked again, once, and has not answered yet: HTTP 503"
    assert {(why, until) for _, why, until in report.deferrals} == {(reason, given_up)}
    assert [refusal.until for refusal in report.refusals] == [given_up]
