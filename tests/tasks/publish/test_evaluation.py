"""Which incidents follow from the ledger and from what a process knows, and what holds messages back?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from config.models import IncidentKind, Maintenance
from tasks.domain.incidents import BY_KIND, Fact, Kind, QuietTime, What
from tasks.ledger import Ledger
from tasks.ledger.incidents import Silence
from tasks.publish.evaluation import evaluate
from tests.builders import NOW, a_config

MINUTE = timedelta(minutes=1)
UNREADABLE = Fact(Kind.LAKE, "", 1, reason="it does not answer")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'adce.db'}")) as ledger:
        yield ledger


def test_the_settings_know_every_kind() -> None:
    assert get_args(IncidentKind) == tuple(kind.value for kind in Kind)
    assert set(get_args(IncidentKind)) == BY_KIND.keys()


def test_what_a_process_knows_opens_an_incident_that_the_ledger_keeps(ledger: Ledger) -> None:
    told = [evaluate(a_config(), ledger, NOW + n * MINUTE, [UNREADABLE]) for n in range(8)]
    [change] = (change for changes in told for change in changes)
    assert (change.what, change.incident.kind, change.at) == (What.OPENED, Kind.LAKE, NOW + 7 * MINUTE)
    assert ledger.incidents.open() == [change.incident]
    assert ledger.incidents.undelivered("ops", NOW) == [change]


@pytest.mark.parametrize("of", ["all", "espn", "espn_summary"])
def test_a_maintenance_window_holds_back_what_lies_within_it(ledger: Ledger, of: str) -> None:
    window = Maintenance.model_validate({"of": of, "from": str(NOW), "to": str(NOW + 10 * MINUTE)})
    config = a_config().model_copy(update={"maintenance": [window]})
    fact = Fact(Kind.LOST, "espn/espn_summary", 1)
    assert [evaluate(config, ledger, NOW + n * MINUTE, [fact]) for n in range(10)] == 10 * [()]
    [change] = evaluate(config, ledger, NOW + 10 * MINUTE, [fact])
    assert change.incident.opened == NOW


def test_a_silence_holds_back_its_kind(ledger: Ledger) -> None:
    ledger.incidents.silence(Silence(QuietTime(NOW, NOW + 9 * MINUTE, Kind.LAKE), "moved", "me"))
    assert [evaluate(a_config(), ledger, NOW + n * MINUTE, [UNREADABLE]) for n in range(9)] == 9 * [()]
    assert len(evaluate(a_config(), ledger, NOW + 9 * MINUTE, [UNREADABLE])) == 1
