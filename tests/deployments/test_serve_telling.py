"""Does `adce serve` tell of incidents, and does another one go on when it is killed? Real processes and a webhook."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from deployments.up.ports import free_port
from tasks.domain.incidents import Fact, Kind, Settings, step
from tasks.ledger import Ledger
from tasks.ledger.leases import ALERTS, leases_table
from tests import forks
from tests.receivers import receiver

UNREADABLE = Fact(Kind.UNREADABLE, "espn/espn_summary", 3, 3, "denied")


def until(condition: Callable[[], bool]) -> None:
    """Waits until something is true."""
    ends = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def happen(ledger: Ledger, fact: Fact) -> None:
    """Puts what follows from a fact into the outbox, as a reconcile does."""
    now = datetime.now(UTC)
    rule = partial(step, facts=[fact], now=now, settings=Settings(settle=timedelta(0)))
    assert len(ledger.incidents.evaluate(rule, now)) == 1


def lease(ledger: Ledger) -> str | None:
    """Whose turn it is."""
    holder = sa.select(leases_table.c.run).where(leases_table.c.name == ALERTS)
    return ledger.database.read(lambda connection: connection.execute(holder).scalar())


def test_a_service_tells_and_another_one_goes_on_when_it_is_killed(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    (tmp_path / "lake").mkdir()

    def serve() -> forks.Fork:
        return forks.start(["-m", "deployments", "serve", "--port", str(free_port())], env, folder=tmp_path)

    with receiver() as (url, received), closing(Ledger(address)) as ledger:
        targets = {"ops": {"type": "webhook", "url": url}}
        env = {
            **{"ADCE_CONFIG": "", "ADCE_LEDGER": address, "ADCE_LAKE": (tmp_path / "lake").as_uri()},
            **{"ADCE_ALERTS__TARGETS": json.dumps(targets), "PREFECT_PROFILES_PATH": str(tmp_path / "profiles.toml")},
        }
        first = serve()
        try:
            until(lambda: lease(ledger) is not None)
            happen(ledger, UNREADABLE)
            until(lambda: len(received) == 1)
            until(lambda: ledger.alert_targets.waiting(datetime.now(UTC))["ops"].undelivered == 0)
        finally:
            first.kill()
            first.wait()
        happen(ledger, UNREADABLE._replace(value=0))
        killed = lease(ledger)
        ledger.database.write(lambda connection: connection.execute(leases_table.update().values(until=0.0)))
        second = serve()
        try:
            until(lambda: len(received) == 2)
            assert lease(ledger) != killed
        finally:
            with suppress(ProcessLookupError):
                second.terminate()
            assert second.wait() == 0
        assert lease(ledger) is None, "a service that ends lets others go on"
    assert [document["what"] for document in received.documents] == ["opened", "closed"]
    assert len(set(received.told)) == 2
