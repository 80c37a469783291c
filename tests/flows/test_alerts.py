"""What do others hear of reconciles: those that are told of incidents, and a dead man's switch?"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from config.load import load_config
from flows.reconcile import reconcile
from tasks.domain.errors import LakeError
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.incidents import incidents_table
from tasks.ledger.leases import RECONCILE, Leases
from tests.flows.conftest import Reconcile
from tests.receivers import Received, receiver

EVERYTHING = {"since": None, "until": None, "as_of": None}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake of one file."""
    monkeypatch.setenv("ADCE_COLLECT", "{since: 2025-26, datasets: [br_totals]}")


def pings(received: Received) -> list[str]:
    """What the switch has heard, when all has been sent."""
    for thread in threading.enumerate():
        if thread.name == "dead man's switch":
            thread.join(60)
    return [urlsplit(request["path"]).path for request in received]


@pytest.mark.usefixtures("small")
def test_a_dead_mans_switch_hears_of_reconciles_of_the_whole_lake_only(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as (url, received):
        monkeypatch.setenv("ADCE_ALERTS__PING", f"{url}/check")
        for part in ({"dry_run": True}, {"sources": ["basketball_reference"]}):
            run_reconcile(**EVERYTHING | part)
        assert pings(received) == []
        run_reconcile(**EVERYTHING)
        assert pings(received) == ["/check/start", "/check"]


@pytest.mark.usefixtures("small")
def test_a_dead_mans_switch_hears_that_a_run_could_not_begin(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as (url, received):
        monkeypatch.setenv("ADCE_ALERTS__PING", f"{url}/check")
        monkeypatch.setenv("ADCE_LEDGER", "sqlite:////no/such/folder/ledger.db")
        with pytest.raises(Exception, match="no folder /no/such"):
            run_reconcile(**EVERYTHING)
        assert pings(received) == ["/check/fail"]
        assert b"/no/such/folder" in received[-1]["body"]


def test_a_dead_mans_switch_hears_that_the_configuration_does_not_load(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_reconcile(dry_run=True)  # the database of Prefect is ready then

    def fails(**parameters: Any) -> None:
        state = asyncio.run(reconcile(**parameters, return_state=True))
        assert "collect.since" in str(state.message)

    with receiver() as (url, received):
        monkeypatch.setenv("ADCE_ALERTS__PING", f"{url}/check")
        monkeypatch.setenv("ADCE_COLLECT__SINCE", "never")
        fails(dry_run=True)
        fails(sources=["espn"])
        with monkeypatch.context() as patch:
            patch.setenv("ADCE_TEST_MODE", "true")
            fails()
        assert pings(received) == []
        fails()
        assert pings(received)[-1] == "/check/fail"
        assert b"collect.since" in received[-1]["body"]


@pytest.mark.usefixtures("small")
def test_a_run_that_leaves_its_work_to_another_tells_incidents_and_pings_nothing(
    run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as (url, received), closing(Ledger(load_config().ledger)) as ledger:
        monkeypatch.setenv("ADCE_ALERTS__PING", f"{url}/check")
        hung = Leases(ledger.database, "hung", timedelta(minutes=2))
        hung.begin("reconcile", "everything", None, lambda _: None)
        hung.take(RECONCILE)
        assert run_reconcile(**EVERYTHING).left_to
        hung.end(RunEnd.ENDED)
        assert pings(received) == []
        assert ledger.incidents.evaluated_at()


@pytest.mark.usefixtures("small")
def test_a_run_that_fails_tells_too(run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with receiver() as (url, received), closing(Ledger(load_config().ledger)) as ledger:
        targets = {"ops": {"type": "webhook", "url": url}}
        monkeypatch.setenv("ADCE_ALERTS", json.dumps({"targets": targets, "settle": "0s"}))
        run_reconcile(**EVERYTHING)
        good = load_config().lake
        (tmp_path / "no_folder").write_text("")
        monkeypatch.setenv("ADCE_LAKE", f"file://{tmp_path}/no_folder")
        for _ in range(2):
            with pytest.raises(LakeError, match="is a file"):
                run_reconcile(**EVERYTHING)
            earlier = incidents_table.update().values(began=datetime.now(UTC) - timedelta(minutes=6))
            ledger.database.write(lambda connection, earlier=earlier: connection.execute(earlier))
        assert [(one["kind"], one["what"]) for one in received.documents] == [("lake", "opened")]
        assert "no_folder" in received.documents[0]["reason"]
        monkeypatch.setenv("ADCE_LAKE", good)
        for _ in range(2):
            run_reconcile(**EVERYTHING)
            cleared = incidents_table.update().values(cleared=datetime.now(UTC) - timedelta(minutes=6))
            ledger.database.write(lambda connection, cleared=cleared: connection.execute(cleared))
        assert [one["what"] for one in received.documents] == ["opened", "closed"]


@pytest.mark.usefixtures("small")
def test_a_reconcile_tells_at_its_end_what_is_wrong(run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as (url, received):
        targets = {"ops": {"type": "webhook", "url": url}}
        alerts = {"targets": targets, "settle": "0s", "limits": {"no_reconcile": 0}}  # there is always something
        monkeypatch.setenv("ADCE_ALERTS", json.dumps(alerts))
        for part in ({"dry_run": True}, {"sources": ["basketball_reference"]}, {}, {}):
            run_reconcile(**EVERYTHING | part)
        assert [(one["kind"], one["what"]) for one in received.documents] == [("no_reconcile", "opened")]
