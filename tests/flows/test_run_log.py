"""What is in the log of a run, and what is left to the debug log?"""

import io
import json
import logging
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from prefect.settings import PREFECT_LOGGING_LEVEL, temporary_settings

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from flows.log_format import RunLines
from flows.run_log import fill_line, plan_lines
from tasks.answers.ending import ending
from tasks.answers.report import Report
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.ledger import Ledger
from tests.builders import NOW, a_config, a_fill
from tests.flows.conftest import Reconcile


def test_a_plan_is_told_in_a_few_lines() -> None:
    fills = tuple(replace(a_fill(n, requests=2), eta=NOW) for n in range(5))
    gaps = [gap for fill in fills for gap in fill.gaps]
    cells = {gap.cell.key: gap.cell for gap in gaps}
    missing = Status(State.GAP, "not in the lake", Kind.MISSING)
    overview = overview_of(Assessment(cells, dict.fromkeys(cells, missing), NOW))
    assert list(plan_lines(Report(overview, fills, (), a_config()))) == [
        "plan: 10 of 10 files are gaps",
        "plan: espn: 10 files, 1 request, 3.9 MB, done about 2026-01-15 12:00 UTC",
        *["plan: first espn_summary 2026-01-13: 2 missing files, HIGH"] * 3,
        "plan: then 2 more fills",
    ]


def test_a_line_about_a_fill_tells_what_became_of_its_files() -> None:
    fill = a_fill(requests=3)
    stored = [FileOutcome(key, Outcome.STORED) for key in fill.keys]
    failed = FileOutcome(fill.keys[0], Outcome.FAILED, error="https://site/a: HTTP 500")
    begin = "espn_summary 2026-01-13 missing: "
    assert fill_line(fill, stored, 12.2, "") == f"{begin}3 files stored; 12s"
    assert fill_line(fill, [failed, *stored[1:]], 1.25, "") == (
        f"{begin}of 3 files, 1 failed: {fill.keys[0]}: HTTP 500 · 2 stored; 1.2s"
    )
    assert fill_line(fill, [], 90, "its process died") == f"{begin}3 files not done: its process died; 1m 30s"


def test_lines_of_a_run_and_of_its_fills_name_it_by_its_id_in_the_ledger(
    run_reconcile: Reconcile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flows")
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("flows")
    handler.setFormatter(RunLines())
    logger.addHandler(handler)
    try:
        run_reconcile(datasets=["espn_scoreboard"], since=date(2026, 1, 14))
    finally:
        logger.removeHandler(handler)
    with closing(Ledger(load_config().ledger)) as ledger:
        (run,) = ledger.runs.begun_since(datetime.min.replace(tzinfo=UTC), ["reconcile"], 2)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert {line["dataset"] for line in lines if "dataset" in line} == {"espn_scoreboard"}
    assert {(line["run"], line["flow_run"]) for line in lines} == {(run.id, run.flow_run)}


def test_a_run_tells_its_plan_its_fills_and_once_its_end_and_prefect_the_rest_when_debugging(
    run_reconcile: Reconcile, sites: SandboxProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flows")
    report = run_reconcile(datasets=["espn_scoreboard"], since=date(2026, 1, 14))
    names = ("prefect.flow_runs", "prefect.task_runs", "flows")
    said = [r.getMessage() for r in caplog.records if r.name.startswith(names) and r.levelno >= logging.INFO]
    assert [line.partition(":")[0] for line in said[:3]] == ["plan"] * 3
    own, about, end = said[3:]
    assert own == "Completed: 1 file stored"
    assert about.startswith("espn_scoreboard 2026-01-14 missing: 1 file stored; ")
    assert end == str(ending(report)) == "Completed: Complete: 1 file · 1 fetched"
    of_prefect = logging.makeLogRecord({"module": "engine", "msg": "Created task run 'fill-0' for task 'fill'"})
    logger = logging.getLogger("prefect.task_runs")
    assert not logger.filter(of_prefect)
    with temporary_settings({PREFECT_LOGGING_LEVEL: "DEBUG"}):
        assert logger.filter(of_prefect)
