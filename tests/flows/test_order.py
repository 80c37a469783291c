"""Do fills start in score order? As the Prefect API reports it."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from config.load import load_config
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.ledger import Ledger
from tests.flows.conftest import NOW, Reconcile


def test_fifty_fills_start_in_score_order_and_never_more_than_five_at_once(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__BATCH", "1")
    config = load_config()
    days = {"since": date(2025, 11, 1), "until": date(2025, 12, 20)}
    selection = Selection(datasets=("espn_scoreboard",), **days)
    cells = [c for c in calendar_cells(config, NOW, selection) if c.dataset == "espn_scoreboard"]
    assert len(cells) == 50
    ledger = Ledger(config.ledger)  # first seen at times that have nothing to do with the days
    ledger.gaps.record(
        Gap(cell, Kind.MISSING, "", NOW - timedelta(hours=index * 37 % 101)) for index, cell in enumerate(cells)
    )
    ledger.close()
    begun = datetime.now(UTC)
    report = run_reconcile(datasets=["espn_scoreboard"], **days)
    runs = asyncio.run(_runs_of({fill.id for fill in report.fills}, begun))
    assert len(runs) == 50
    runs.sort(key=lambda run: run.start_time)
    scores = [run.parameters["score"] for run in runs]
    assert scores == sorted(scores, reverse=True)
    for run in runs:
        at_once = [other for other in runs if other.start_time <= run.start_time < other.end_time]
        assert len(at_once) <= 5
    assert set(runs[0].tags) == {"adce", "source:espn", "dataset:espn_scoreboard", "priority:HIGH"}
    assert runs[0].name == f"espn_scoreboard {report.fills[0].days} missing"


async def _runs_of(fills: set[str], since: datetime) -> list[FlowRun]:
    """The runs of these fills that began since then: other tests may have had the same fills."""
    here = FlowRunFilter(tags={"all_": ["adce"]}, expected_start_time={"after_": since})
    async with get_client() as client:
        runs = await client.read_flow_runs(flow_run_filter=here, limit=200)
    return [run for run in runs if run.parameters.get("fill") in fills]
