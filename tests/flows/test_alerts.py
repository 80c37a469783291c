"""What do others hear of reconciles: those that are told of incidents, and a dead man's switch?"""

from __future__ import annotations

import json
import threading
from urllib.parse import urlsplit

import pytest

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
        assert pings(received) == ["/check/start", "/check/fail"]
        assert b"/no/such/folder" in received[-1]["body"]


@pytest.mark.usefixtures("small")
def test_a_reconcile_tells_at_its_end_what_is_wrong(run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as (url, received):
        targets = {"ops": {"type": "webhook", "url": url}}
        alerts = {"targets": targets, "settle": "0s", "limits": {"no_reconcile": 0}}  # there is always something
        monkeypatch.setenv("ADCE_ALERTS", json.dumps(alerts))
        for part in ({"dry_run": True}, {"sources": ["basketball_reference"]}, {}, {}):
            run_reconcile(**EVERYTHING | part)
        assert [(one["kind"], one["what"]) for one in received.documents] == [("no_reconcile", "opened")]
