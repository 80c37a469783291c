"""Does each fault of a site lead to its incident, told once, and does that end when the fault does?

The runs are real ones against the sandbox. What takes hours, such as a pause, is looked at by a clock that is ahead.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tasks.domain.incidents import Kind, What
from tasks.ledger import Ledger
from tasks.publish.evaluation import evaluate
from tests.deployments.conftest import adce  # noqa: F401  (a fixture)
from tests.flows.conftest import Reconcile
from tests.receivers import receiver

NOTHING = timedelta(0)
Told = list[tuple[What, Kind, str]]


class Heard:
    """Evaluates the conditions now or later, and returns what is new to be told."""

    def __init__(self, ledger: Ledger):
        self._ledger, self._known = ledger, set[str]()
        self._begun = datetime.now(UTC)

    def __call__(self, later: timedelta = NOTHING) -> Told:
        evaluate(load_config(), self._ledger, datetime.now(UTC) + later)
        changes = self._ledger.incidents.undelivered("a test", self._begun)
        new = [one for one in changes if one.id not in self._known]
        self._known |= {one.id for one in new}
        return sorted((one.what, one.incident.kind, one.incident.scope) for one in new)


@pytest.fixture
def heard(adce_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    for name, value in {
        "SANDBOX": "true",
        "COLLECT__SOURCES": "[espn]",
        "ALERTS__SETTLE": "0s",
        "RECONCILE__INTERVAL": "12h",
        "RECONCILE__BREAKER": "{failures: 6, window: 10m, open_for: 1s}",
    }.items():
        monkeypatch.setenv(f"ADCE_{name}", value)
    with closing(Ledger(load_config().ledger)) as ledger:
        yield Heard(ledger)


def test_files_that_vanish_and_bodies_that_are_no_game_are_told_until_all_is_mended(
    run_reconcile: Reconcile, sites: SandboxProcess, heard: Heard, adce_home: Path
) -> None:
    run_reconcile()
    assert heard() == []
    for file in sorted((adce_home / "lake/espn_box_scores").iterdir())[:6]:
        file.unlink()
    sites.set_faults("espn", "wrong_id", match="/summary")
    run_reconcile()
    both = (Kind.CHECKS, "espn/espn_summary"), (Kind.LOST, "espn/espn_summary")
    assert heard() == [(What.OPENED, *one) for one in both]
    assert heard() == [], "each is told once"
    sites.clear_faults()
    time.sleep(1)  # the circuit breaker is open for that long
    run_reconcile()
    assert heard() == [(What.CLOSED, *one) for one in both]


def test_files_that_are_fetched_again_by_the_run_that_finds_them_lost_are_told(
    run_reconcile: Reconcile, sites: SandboxProcess, adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SANDBOX": "true", "COLLECT__SOURCES": "[espn]"}.items():
        monkeypatch.setenv(f"ADCE_{name}", value)
    with receiver() as (url, received):
        run_reconcile()
        monkeypatch.setenv("ADCE_ALERTS__TARGETS", json.dumps({"ops": {"type": "webhook", "url": url}}))
        lost = sorted((adce_home / "lake/espn_box_scores").iterdir())[:6]
        for file in lost:
            file.unlink()
        run_reconcile()
        assert all(file.exists() for file in lost)
        assert [(one["what"], one["kind"], one["files"]) for one in received.documents] == [
            (what, "lost_files", 6) for what in ("opened", "closed")
        ]
        run_reconcile()
        assert len(received) == 2


def test_files_are_lost_while_their_source_is_paused(
    run_reconcile: Reconcile,
    adce: Callable[..., Result],  # noqa: F811
    sites: SandboxProcess,
    heard: Heard,
    adce_home: Path,
) -> None:
    run_reconcile()
    files = sorted((adce_home / "lake/espn_box_scores").iterdir())[:2]
    for file in files:
        file.unlink()
    sites.set_faults("espn", "403")
    run_reconcile()
    assert heard() == [(What.OPENED, Kind.LOST, "espn/espn_summary")]
    run_reconcile()
    assert heard() == [], "the source is paused after its refusal"
    sites.clear_faults()
    assert adce("resume", "espn").exit_code == adce("pause", "espn", "--note", "a test").exit_code == 0
    run_reconcile()
    assert heard() == [], "an operator has paused it"
    assert adce("resume", "espn").exit_code == 0
    run_reconcile()
    assert heard() == [(What.CLOSED, Kind.LOST, "espn/espn_summary")]
    assert all(file.exists() for file in files)


def test_a_source_that_refuses_for_hours_is_told_once_and_its_end_too(
    run_reconcile: Reconcile,
    adce: Callable[..., Result],  # noqa: F811
    sites: SandboxProcess,
    heard: Heard,
) -> None:
    sites.set_faults("espn", "403")
    run_reconcile()
    assert heard() == heard(timedelta(hours=2, minutes=59)) == [], "it has not lasted for long"
    assert heard(timedelta(hours=3, minutes=1)) == [(What.OPENED, Kind.SOURCE_PAUSED, "espn")]
    assert heard(timedelta(hours=5)) == []
    sites.clear_faults()
    assert adce("resume", "espn").exit_code == 0
    run_reconcile()  # it evaluates at its end, by the real clock
    assert heard(timedelta(minutes=14)) == [], "it may come back"
    assert heard(timedelta(minutes=16)) == [(What.CLOSED, Kind.SOURCE_PAUSED, "espn")]
