"""Many runs at once on one lake: nothing is fetched twice. With real processes, Prefect and PostgreSQL servers."""

import asyncio
import json
from collections import Counter
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.answers.ending import ending
from tasks.answers.plan import plan_lake
from tasks.domain.expected.cells import Selection
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import RECONCILE, Leases
from tests import forks
from tests.flows.conftest import NOW, Reconcile
from tests.servers import new_database, prefect_server

SPAN = ["--source", "espn", "--since", "2025-12-28", "--until", "2026-01-14"]


def test_a_second_reconcile_says_to_whom_it_leaves_what_another_is_at(
    run_reconcile: Reconcile,
    sites: SandboxProcess,
) -> None:
    config = load_config()
    selection = Selection(datasets=("espn_scoreboard",), since=date(2026, 1, 13), until=date(2026, 1, 14))
    plan = asyncio.run(plan_lake(config, selection, as_of=NOW))
    works = {gap.cell.work for fill in plan.fills for gap in fill.gaps}
    with closing(Ledger(config.ledger)) as ledger:
        first = Leases(ledger.database, "first", timedelta(seconds=2))
        first.begin("reconcile", "everything", None, lambda _: None)
        first.take(RECONCILE)
        ledger.database.write(lambda connection: first.claim(connection, works))
        report = run_reconcile(datasets=["espn_scoreboard"])
        first.end(RunEnd.ENDED)
    assert sites.requests() == []
    assert (report.counts["in_flight"], report.deferrals) == (len(works), [])
    assert report.left_to
    assert report.left_to.id == "first"
    assert ending(report).name == "Skipped"
    assert ending(report).message.startswith("another reconcile is at work: run first of ")


def test_four_reconciles_and_two_ad_hoc_fills_ask_for_nothing_twice(
    adce_home: Path, sites: SandboxProcess, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_LEDGER", f"postgresql://{new_database(postgres, 'overlap')}")
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", "3s")
    with prefect_server(tmp_path / "prefect") as env:
        forks.run([forks.ADCE, "setup"], env)
        reconcile, log = [forks.ADCE, "reconcile", *SPAN], tmp_path / "log"
        fill = forks.fill(source="espn", since="2025-12-28", until="2026-01-14")
        runs = [forks.start(command, env, log, log) for command in [reconcile] * 4 + [fill] * 2]
        assert {run.wait() for run in runs} <= {0, 1}, log.read_text()[-3000:]
        assert forks.start(reconcile, env, log, log).wait() == 0, log.read_text()[-3000:]
    asked = Counter(request["url"] for request in sites.requests())
    assert set(asked.values()) == {1}
    assert not any(request["limited"] for request in sites.requests())
    output = forks.run([forks.ADCE, "plan", "--json", *SPAN], {}).stdout
    cells = json.loads(output)["cells"]
    assert cells["present"] == cells["total"] > 60
