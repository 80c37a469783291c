"""What does CloudWatch get, and what happens when it fails, hangs, or when processes are killed? By moto's server."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest
import sqlalchemy as sa

from blocks import cloudwatch
from blocks.cloudwatch import MOST_VALUES, CloudWatchError
from config.load import load_config
from config.models import Config
from tasks.domain.datapoints import Datapoint
from tasks.domain.errors import LedgerError
from tasks.domain.metrics import CLOUDWATCH, FILE_SECONDS, FILES, Amounts, Histogram
from tasks.ledger import Ledger
from tasks.ledger.leases import leases_table
from tasks.ledger.sendings import sendings_table
from tasks.ledger.totals import totals_table
from tasks.publish import sending as module
from tasks.publish.sending import Sender, opened, send_once, sending
from tests.servers import http_server, use_s3

STORED = {"source": "espn", "outcome": "stored"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty ledger."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def config(tmp_path: Path, empty: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A configuration with a namespace of its own and an empty ledger."""
    use_s3(monkeypatch, s3)
    shutil.copy(empty, tmp_path)
    settings = {
        "ADCE_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}",
        "ADCE_CLOUDWATCH__NAMESPACE": f"ADCE/{tmp_path.name}",
        "ADCE_CLOUDWATCH__DIMENSIONS": "{lake: nba}",
    }
    return load_config(env=settings)


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    with closing(Ledger(config.ledger)) as ledger:
        yield ledger


def happen(ledger: Ledger, files: int, seconds: Sequence[float] = ()) -> None:
    """Adds files and durations to the totals."""
    amounts = Amounts()
    amounts.count(FILES, files, source="espn", dataset="espn_summary", outcome="stored")
    for one in seconds:
        amounts.observe(FILE_SECONDS, one, dataset="espn_summary")
    ledger.database.write(lambda connection: ledger.totals.add(connection, amounts))


def a_minute_passes(ledger: Ledger) -> None:
    """Makes the next sending due."""
    earlier = datetime.now(UTC) - timedelta(minutes=1)
    ledger.database.write(lambda connection: connection.execute(sendings_table.update().values(at=earlier)))


def statistics(config: Config, name: str, **dimensions: str) -> dict[str, float]:
    """What CloudWatch has of a metric of the last hour."""
    now = datetime.now(UTC)
    answer = boto3.client("cloudwatch").get_metric_statistics(
        Namespace=config.cloudwatch.namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in {"lake": "nba", **dimensions}.items()],
        StartTime=now - timedelta(minutes=59),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["SampleCount", "Sum", "Maximum"],
    )
    points = answer["Datapoints"]
    return {
        "SampleCount": sum(point["SampleCount"] for point in points),
        "Sum": sum(point["Sum"] for point in points),
        "Maximum": max((point["Maximum"] for point in points), default=0.0),
    }


def test_cloudwatch_has_what_has_happened_since_the_first_sending(config: Config, ledger: Ledger) -> None:
    happen(ledger, 1000, [5.0])
    with opened(config) as sender:
        assert sender.send(), "the first sending only notes the totals"
        happen(ledger, 3, [0.2, 0.2, 20.0])
        assert not sender.send(), "no minute has passed"
        a_minute_passes(ledger)
        assert sender.send()
        happen(ledger, 4)
        a_minute_passes(ledger)
        assert sender.send()
    assert statistics(config, FILES.name, **STORED) == {"SampleCount": 2, "Sum": 7, "Maximum": 4}
    assert statistics(config, FILE_SECONDS.name) == {"SampleCount": 3, "Sum": 30.5, "Maximum": 30}


def test_of_two_senders_one_sends_and_the_other_goes_on_when_it_ends(config: Config, ledger: Ledger) -> None:
    with opened(config) as other:
        with opened(config) as one:
            assert one.send()
            happen(ledger, 3)
            a_minute_passes(ledger)
            assert not other.send()
        assert other.send()
    assert statistics(config, FILES.name, **STORED)["Sum"] == 3


def test_what_a_killed_sender_has_not_sent_is_lost_and_nothing_counts_twice(config: Config, ledger: Ledger) -> None:
    class Killed:
        def put(self, datapoints: Sequence[Datapoint], at: datetime) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    with opened(config) as sender:
        sender.send()
    happen(ledger, 100)
    a_minute_passes(ledger)
    if not (child := os.fork()):
        try:
            with closing(Ledger(config.ledger)) as own:
                Sender(config, own, Killed()).send()  # type: ignore[arg-type]
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    happen(ledger, 7)
    a_minute_passes(ledger)
    with opened(config) as heir:
        assert not heir.send(), "the lease of the killed sender has not lapsed yet"
        ledger.database.write(lambda connection: connection.execute(leases_table.update().values(until=0.0)))
        assert heir.send()
    assert statistics(config, FILES.name, **STORED)["Sum"] == 7


def test_all_durations_of_a_metric_fit_into_one_request() -> None:
    """A duration counts as one of the bounds; see Datapoint."""
    assert max(len(one.metric.bounds) for one in CLOUDWATCH if isinstance(one.metric, Histogram)) <= MOST_VALUES


def test_a_damaged_cursor_begins_anew(config: Config, ledger: Ledger) -> None:
    with opened(config) as sender:
        sender.send()
        happen(ledger, 100)
        a_minute_passes(ledger)
        ledger.database.write(lambda connection: connection.execute(sendings_table.update().values(totals=b"?")))
        assert sender.send()
        happen(ledger, 2)
        a_minute_passes(ledger)
        assert sender.send()
    assert statistics(config, FILES.name, **STORED)["Sum"] == 2


def test_damaged_totals_are_one_line(config: Config, ledger: Ledger) -> None:
    damaged = totals_table.insert().values(name=FILES.name, labels="?", bucket="", value=1)
    ledger.database.write(lambda connection: connection.execute(damaged))
    with opened(config) as sender, pytest.raises(LedgerError, match=r"ledger\.db: its totals are damaged, and no metr"):
        sender.send()


def test_a_cloudwatch_that_hangs_or_refuses_is_one_warning_of_a_run(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run_against(address: str, read_seconds: float) -> str:
        caplog.clear()
        happen(ledger, 1)
        a_minute_passes(ledger)
        monkeypatch.setattr(cloudwatch, "_READ_SECONDS", read_seconds)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        asyncio.run(send_once(config))
        return "; ".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)

    asyncio.run(send_once(config))
    refused = f"CloudWatch does not take the metrics of {config.cloudwatch.namespace}: "
    with socket.create_server(("127.0.0.1", 0)) as deaf, http_server(503, b"Slow down") as refusing:
        hanging = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        assert run_against(refusing, 5) == f"{refused}503: Slow down; they may be lost"
        assert run_against(hanging, 0.1).startswith(f"{refused}ReadTimeoutError: Read timeout on endpoint URL")
        monkeypatch.setattr(module, "_RUN_WAITS", 0.3)
        assert run_against(hanging, 60) == "CloudWatch has not taken the metrics within 0 s; they may be lost"


def test_what_cloudwatch_refuses_comes_with_the_next_sending(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = b'{"__type": "AccessDenied", "message": "no"}'

    def fail(address: str) -> str:
        happen(ledger, 3)
        a_minute_passes(ledger)
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", address)
            with opened(config) as sender, pytest.raises(CloudWatchError) as raised:
                sender.send()
        return str(raised.value)

    with opened(config) as sender:
        sender.send()
    with http_server(403, denied) as refusing:
        assert fail(refusing).endswith("AccessDenied: no; the next sending has them too")
    assert fail("http://127.0.0.1:1").endswith("; the next sending has them too")
    with http_server(403, b"a proxy") as refusing:
        assert fail(refusing).endswith("; they may be lost")
    happen(ledger, 4)
    a_minute_passes(ledger)
    with opened(config) as sender:
        assert sender.send()
    assert statistics(config, FILES.name, **STORED)["Sum"] == 4
    with http_server(403, denied) as refusing:
        fail(refusing)
    a_minute_passes(ledger)
    with opened(config) as sender:
        assert sender.send()
    assert statistics(config, FILES.name, **STORED)["Sum"] == 7


def test_a_service_sends_until_it_ends(config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(table: sa.Table) -> int:
        return len(ledger.database.read(lambda connection: connection.execute(table.select()).all()))

    with sending(config):
        ends = time.monotonic() + 60
        while not rows(sendings_table) and time.monotonic() < ends:
            time.sleep(0.01)
        assert rows(leases_table) == 1
    assert (rows(sendings_table), rows(leases_table)) == (1, 0), "it has sent, and others can go on"


def test_a_service_goes_on_after_any_error(config: Config, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    begun = threading.Event()

    def fail(*_: object) -> NoReturn:
        if caplog.records:
            begun.set()
        raise KeyError("surprise")

    monkeypatch.setattr(module, "opened", fail)
    monkeypatch.setattr(module, "RENEWED_EVERY", 0.001)
    with sending(config):
        assert begun.wait(60)
    assert caplog.messages[0] == "no metrics are sent to CloudWatch: KeyError('surprise')"


def test_a_ledger_that_cannot_be_opened_is_one_warning_of_a_run(config: Config, caplog: Any) -> None:
    asyncio.run(send_once(config.model_copy(update={"ledger": "sqlite:////no/such/folder/ledger.db"})))
    [line] = caplog.messages
    assert line.startswith("no metrics are sent to CloudWatch: there is no ledger at")
    assert not line.endswith("lost")
