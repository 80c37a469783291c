"""Is each change told to each target once, in order, whatever fails, hangs, or is killed?

The clock is the test's, the targets are webhooks on loopback, and the ledger is a real one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from blocks.alert_targets import AlertTarget, DeliveryError, target_of
from config.load import load_config
from config.models import Config
from deployments.serve.refresh import Refresh
from tasks.answers.health import health_of
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.errors import LedgerError
from tasks.domain.incidents import Fact, Kind
from tasks.ledger import Ledger
from tasks.ledger import database as database_module
from tasks.ledger.leases import leases_table
from tasks.publish import notifier as module
from tasks.publish import telling as telling_module
from tasks.publish.notifier import Notifier
from tasks.publish.telling import tell_once, telling
from tests.builders import NOW
from tests.receivers import Received, receiver
from tests.servers import Handler, postgresql, postgresql_programs, restart_postgresql, stop_postgresql

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
UNREADABLE = Fact(Kind.UNREADABLE, "espn/espn_summary", 3, 3)
DEAD = Fact(Kind.DEAD_LETTERS, "", 1)
FOUND = UNREADABLE._replace(value=0)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty ledger."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def file(tmp_path: Path, empty: Path) -> Path:
    """The file of an empty ledger of this test."""
    return Path(shutil.copy(empty, tmp_path))


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        yield ledger


def settings(ledger: Path | str, **urls: str) -> Config:
    """A configuration in which a webhook for each URL is told."""
    targets = {name: {"type": "webhook", "url": f"{url}/{name}"} for name, url in urls.items()}
    address = ledger if isinstance(ledger, str) else f"sqlite:///{ledger}"
    return load_config(env={"ADCE_LEDGER": address, "ADCE_ALERTS": json.dumps({"targets": targets})})


class Process:
    """A process with a notifier, of which the test is the clock. It knows `facts`."""

    def __init__(self, config: Config, now: datetime = NOW, **more: Any):
        self.now, self.seconds, self.facts = now, 0.0, [UNREADABLE]
        self.notifier = Notifier(config, lambda: self.facts, lambda: self.now, lambda: self.seconds, **more)

    def later(self, span: timedelta) -> None:
        self.now += span
        self.seconds += span.total_seconds()

    async def rounds(self, count: int = 4, every: timedelta = MINUTE) -> list[str]:
        """Some rounds, each of which waits for what it tells. Returns the errors of the ledger."""
        errors = []
        for _ in range(count):
            try:
                await self.notifier.round()
            except LedgerError as error:
                errors.append(str(error))
            await self.notifier.delivered()
            self.later(every)
        return errors


def ids(received: Received) -> list[str]:
    """The ids of the changes that were told, without the id of the ledger, and with incidents numbered from 1 on."""
    parts = [told.split("-") for told in received.told]
    numbers = sorted({incident for first, incident, *_ in parts if first != "m"})
    return ["-".join(of) if of[0] == "m" else "-".join([str(numbers.index(of[1]) + 1), *of[2:]]) for of in parts]


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something is true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_each_change_is_told_once_to_each_target_in_order(file: Path) -> None:
    async def test() -> None:
        with receiver() as (url, received), receiver() as (other_url, other):
            process = Process(settings(file, ops=url, pager=other_url))
            await process.rounds()
            process.facts = [FOUND, DEAD]
            await process.rounds()
            assert ids(received) == ids(other) == ["1-opened", "1-closed", "2-opened"]
            assert {document["kind"] for document in received.documents} == {"unreadable_files", "dead_letters"}
            await process.notifier.end(1)
            heir = Process(process.notifier._config, process.now)
            heir.facts = process.facts
            await heir.rounds()
            assert len(received) == 3

    asyncio.run(test())


def test_a_target_that_hangs_delays_no_other(file: Path) -> None:
    answered = threading.Event()

    async def test() -> None:
        with receiver(lambda handler: answered.wait(60) and None) as (url, hung), receiver() as (other_url, other):
            process = Process(settings(file, ops=url, pager=other_url))
            for facts in ([UNREADABLE], [UNREADABLE], [UNREADABLE], [FOUND]):
                process.facts = facts
                await process.notifier.round()
                await asyncio.sleep(0)  # so that what is told is sent before the time passes
                process.later(MINUTE)
            await until(lambda: len(other) >= 1 and process.notifier._deliveries["pager"].done())
            await process.notifier.round()
            await until(lambda: len(other) == 2)
            assert ids(hung) == ["1-opened"]
            answered.set()
            await process.notifier.end(0)

    asyncio.run(test())


def test_a_target_whose_block_cannot_be_read_is_told_before_there_is_a_message(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            blocks = {"hook": ""}

            async def opened(name: str, target: Any, config: Config) -> AlertTarget:
                if not blocks["hook"]:
                    raise DeliveryError(f"alerts.targets.{name}: Prefect has no Secret block 'hook'")
                return await target_of(name, target, config)

            monkeypatch.setattr(module, "target_of", opened)
            process = Process(settings(file, ops=url))
            process.facts = []
            process.notifier.open_targets()
            await process.notifier.delivered()
            first = "alerts.targets.ops: Prefect has no Secret block 'hook'; that is tried again in 15s"
            assert caplog.messages == [first]
            await process.rounds(5)
            assert caplog.messages == [first], "it is told once while it lasts"
            blocks["hook"] = url
            await process.rounds(5)
            assert caplog.messages[1].startswith("the settings of ops can be read now; they could not since ")
            process.facts = [UNREADABLE]
            await process.rounds()
            assert ids(received) == ["1-opened"]

    asyncio.run(test())


def test_a_receiver_that_is_down_for_an_hour_gets_all_of_it_afterwards(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    is_up = threading.Event()

    async def test() -> None:
        with receiver(lambda handler: handler.answer(200 if is_up.is_set() else 500)) as (url, received):
            process = Process(settings(file, ops=url))
            await process.rounds(30)
            process.facts = [FOUND]
            await process.rounds(30)
            assert set(ids(received)) == {"1-opened"}
            assert 5 < len(received) < 12, "it is asked again later each time"
            is_up.set()
            received.clear()
            await process.rounds(20)
            assert ids(received) == ["1-opened", "1-closed"]

    asyncio.run(test())
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors[0] == "alerts.targets.ops: HTTP 500; the message is sent again in 15s"


def test_a_target_that_asks_for_time_gets_it(file: Path) -> None:
    answers = iter([(429, {"Retry-After": "600"}), (200, {})])

    async def test() -> None:
        with receiver(lambda handler: handler.answer(*_with_body(*next(answers)))) as (url, received):
            process = Process(settings(file, ops=url))
            await process.rounds(12)
            assert len(received) == 1
            await process.rounds(3)
            assert len(received) == 2

    asyncio.run(test())


def _with_body(status: int, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    return status, b"", headers


def test_a_message_that_is_refused_holds_up_no_other(file: Path) -> None:
    def refuse_the_first(handler: Handler) -> None:
        handler.answer(400 if handler.headers["Idempotency-Key"].endswith("-opened") else 200)

    async def test() -> None:
        with receiver(refuse_the_first) as (url, received):
            process = Process(settings(file, ops=url))
            await process.rounds()
            process.facts = [FOUND]
            await process.rounds(1)
            assert ids(received)[-1] == "1-closed"
            assert 1 < ids(received).count("1-opened") < 5

    asyncio.run(test())


def test_a_hundred_messages_that_are_refused_hide_no_later_one(file: Path) -> None:
    async def test() -> None:
        with receiver(lambda handler: handler.answer(400)) as (url, received):
            config = settings(file, ops=url)
            scopes = [f"{source}/{dataset}" for source in config.sources for dataset in config.datasets]
            kinds = Kind.LOST, Kind.UNREADABLE, Kind.CONFIGURATION, Kind.SERVERS
            facts = [Fact(kind, scope, 1) for kind in kinds for scope in scopes]
            assert len(facts) > 100, "more than are read at once"
            process = Process(config)
            process.facts = facts[:100]
            await process.rounds(4, timedelta(seconds=61))
            process.facts = facts[:101]
            await process.rounds(6, timedelta(seconds=61))
            assert facts[100][:2] in {(document["kind"], document["scope"]) for document in received.documents}

    asyncio.run(test())


def test_what_flaps_gives_two_messages(file: Path) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            process = Process(settings(file, ops=url))
            paused = Fact(Kind.SOURCE_PAUSED, "espn", 4 * 3600)
            for flap in range(200):
                process.facts = [paused._replace(value=paused.value * (flap < 10 or flap % 2))]
                await process.rounds(1, 0.5 * MINUTE)
            process.facts = [paused._replace(value=0)]
            await process.rounds(20)
            assert ids(received) == ["1-opened", "1-closed"]

    asyncio.run(test())


def test_two_processes_on_one_ledger_tell_each_change_once_and_one_goes_on_for_the_other(file: Path) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            one, other = Process(config), Process(config)
            for facts in ([UNREADABLE], [UNREADABLE], [UNREADABLE, DEAD], [UNREADABLE, DEAD], [UNREADABLE, DEAD]):
                one.facts = other.facts = facts
                await asyncio.gather(one.rounds(1), other.rounds(1))
            assert sorted(ids(received)) == ["1-opened", "2-opened"]
            await one.notifier.end(1)
            other.facts = [FOUND, DEAD]
            await other.rounds(1)
            assert ids(received)[-1] == "1-closed"

    asyncio.run(test())


FULL = Fact(Kind.DISK, "", 1, reason="1 MiB is free")
ROOM = FULL._replace(value=0)


@pytest.mark.parametrize("first", [0, 1], ids=["who sees it tells", "another one tells"])
@pytest.mark.parametrize("with_targets", [True, False], ids=["targets", "no target"])
def test_what_one_process_sees_is_an_incident_though_another_does_not(
    file: Path, ledger: Ledger, first: int, with_targets: bool
) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url) if with_targets else settings(file)
            one, other = Process(config), Process(config)
            one.facts, other.facts = [FULL], [ROOM]
            both = [one, other] if first == 0 else [other, one]
            for _ in range(40):
                for process in both:
                    await process.rounds(1, timedelta(seconds=15))
            assert [(incident.kind, incident.reason) for incident in ledger.incidents.open()] == [
                (Kind.DISK, "1 MiB is free")
            ]
            one.facts = [ROOM]
            for _ in range(80):
                for process in both:
                    await process.rounds(1, timedelta(seconds=15))
            assert ledger.incidents.open() == []
            assert ids(received) == (["1-opened", "1-closed"] if with_targets else [])

    asyncio.run(test())


def test_an_incident_of_prefect_ends_once_no_process_watches_prefect(file: Path, ledger: Ledger) -> None:
    away = Fact(Kind.PREFECT, "", 1, reason="it answers HTTP 503")

    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            before = Process(config, watches=[Kind.PREFECT])
            before.facts = [away]
            await before.rounds(7)
            before.facts = []
            await before.rounds(30)
            assert [one.kind for one in ledger.incidents.open()] == [Kind.PREFECT], "it is watched, and not known"
            await before.notifier.end(1)
            after = Process(config, before.now)
            after.facts = []
            await after.rounds(7)
            assert ids(received) == ["1-opened", "1-closed"]
            assert "It is over because no running process" in received.documents[1]["text"]

    asyncio.run(test())


def test_no_reconcile_is_told_by_services_that_restart_often(file: Path, ledger: Ledger) -> None:
    look = RecordedLook(NOW, NOW, None, "run", "lake", 0, 0, 0, {}, {}, (), {}, {})
    ledger.looks.record(look, is_done=True)

    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            for restart in range(7):
                process = Process(config, NOW + restart * 10 * MINUTE, serves=True)
                process.facts = []
                await process.rounds(9)
                await process.notifier.end(1)
            assert [one["kind"] for one in received.documents] == ["no_reconcile"]

    asyncio.run(test())


def test_the_clock_of_a_machine_that_is_behind_delays_nothing_and_hastens_nothing(file: Path, ledger: Ledger) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            one, behind = Process(config), Process(config, NOW - 6 * MINUTE)
            one.facts = behind.facts = [FULL]
            for _ in range(5):
                await one.rounds(1)
                await behind.rounds(1)
                assert received == [], "it has not held for five minutes"
            await one.rounds(1)
            assert ids(received) == ["1-opened"]

    asyncio.run(test())


def test_a_process_that_slept_beyond_its_lease_sends_nothing(file: Path, ledger: Ledger) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            process = Process(settings(file, ops=url))
            await process.rounds(2)
            process.later(MINUTE)
            begin = process.notifier._begin

            def sleep_first(*arguments: Any) -> None:
                process.seconds += 51  # of the 60 of the lease, when a message may take 10
                begin(*arguments)

            process.notifier._begin = sleep_first  # type: ignore[method-assign]
            await process.rounds(1)
            assert received == []
            process.notifier._begin = begin  # type: ignore[method-assign]
            await process.rounds(1)
            assert ids(received) == ["1-opened"]

    asyncio.run(test())


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def dies_before_it_sends(process: Process) -> None:
    for courier in process.notifier._couriers:
        courier._send = die  # type: ignore[method-assign]


def dies_before_it_records(process: Process) -> None:
    for courier in process.notifier._couriers:
        courier._record = die


def dies_after_it_has_recorded(process: Process) -> None:
    for courier in process.notifier._couriers:
        record = courier._record

        async def record_and_die(id_: str, name: str, record: Any = record) -> None:
            await record(id_, name)
            die()

        courier._record = record_and_die


@pytest.mark.parametrize(
    ("mortal", "by_it", "by_its_heir"),
    [(dies_before_it_sends, 0, 1), (dies_before_it_records, 1, 1), (dies_after_it_has_recorded, 1, 0)],
    ids=["before it sends", "before it records", "after it has recorded"],
)
def test_of_a_process_that_is_killed_nothing_is_lost_and_a_message_is_repeated_once_with_its_id(
    file: Path, ledger: Ledger, mortal: Callable[[Process], None], by_it: int, by_its_heir: int
) -> None:
    with receiver() as (url, received):
        config = settings(file, ops=url)
        if not (child := os.fork()):
            try:
                process = Process(config)
                mortal(process)
                asyncio.run(process.rounds())
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert ids(received) == by_it * ["1-opened"]
        heir = Process(config, NOW + 10 * MINUTE)
        asyncio.run(heir.rounds(1))
        assert len(received) == by_it, "the lease of the killed process has not lapsed yet"
        ledger.database.write(lambda connection: connection.execute(leases_table.update().values(until=0.0)))
        asyncio.run(heir.rounds(3))
        assert received.told == (by_it + by_its_heir) * received.told[:1]
        assert all(document == received.documents[0] for document in received.documents)


def test_without_targets_incidents_are_known_and_who_comes_later_is_not_told_of_them(
    file: Path, ledger: Ledger
) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            alone = Process(settings(file))
            await alone.rounds()
            assert [one.kind for one in ledger.incidents.open()] == [Kind.UNREADABLE]
            later = Process(settings(file, ops=url), alone.now)  # to which the other one leaves the lease
            await later.rounds()
            await alone.notifier.end(1)
            assert received == []
            later.facts = [FOUND]
            await later.rounds(1)
            assert ids(received) == ["1-closed"]

    asyncio.run(test())


def test_where_another_system_tells_adce_does_not(file: Path, ledger: Ledger) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            alerts = config.alerts.model_copy(update={"owner": "prometheus"})
            await Process(config.model_copy(update={"alerts": alerts})).rounds()
            assert received == []
            assert len(ledger.incidents.open()) == 1

    asyncio.run(test())


def test_a_clock_that_is_set_back_hides_no_end(file: Path) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            process = Process(settings(file, ops=url))
            await process.rounds()
            process.now -= timedelta(days=300)
            await process.rounds()
            process.facts = [FOUND]
            await process.rounds(2)
            assert ids(received) == ["1-opened", "1-closed"]

    asyncio.run(test())


def test_what_a_target_has_not_got_for_a_day_is_given_up_with_one_warning(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_up = threading.Event()

    async def test() -> None:
        with receiver(lambda handler: handler.answer(200 if is_up.is_set() else 500)) as (url, received):
            process = Process(settings(file, ops=url))
            await process.rounds()
            await process.rounds(25, HOUR)
            is_up.set()
            received.clear()
            await process.rounds(3, HOUR)
            assert received == []

    asyncio.run(test())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line for line in warnings if "not sent any more" in line] == [
        "ops has not got 1 message within a day; it is not sent any more"
    ]


def away_and_back(away: Callable[[], Awaitable[None]], back: Callable[[], Awaitable[None]]) -> Callable[..., Any]:
    """What is told while a ledger goes away and comes back, several times."""

    async def test(config: Config, received: Received) -> None:
        process = Process(config)
        await process.rounds(3)
        assert ids(received) == ["1-opened"]
        received.clear()
        await away()
        process.facts = [FOUND]
        errors = await process.rounds(1)
        errors += await process.rounds(1, 2 * MINUTE)
        assert len(errors) == 2
        assert received == [], "it has not been away for long enough"
        await process.rounds(1)
        [opened] = ids(received)
        assert opened.startswith("m-")
        assert opened.endswith("1-opened")
        assert received.documents[0]["kind"] == "ledger"
        await back()
        assert await process.rounds(2) == []
        assert ids(received) == [opened, "1-closed"], "what ended meanwhile is told"
        with closing(Ledger(config.ledger)) as ledger:
            assert [one.kind for one in ledger.incidents.open()] == [Kind.LEDGER]
        await away()
        assert len(await process.rounds(1, 4 * MINUTE)) == 1
        await back()
        await process.rounds(3)
        assert len(received) == 2, "it was not back for long enough"
        await process.rounds(10)
        assert ids(received) == [opened, "1-closed", opened.replace("opened", "closed")]
        with closing(Ledger(config.ledger)) as ledger:
            assert ledger.incidents.open() == []
        await process.notifier.end(1)

    return test


def test_a_ledger_that_is_gone_is_told_from_memory_and_its_end_once(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    async def away() -> None:
        for one in file.parent.glob("ledger.db*"):
            one.rename(elsewhere / one.name)

    async def back() -> None:
        for one in elsewhere.iterdir():
            one.rename(file.parent / one.name)

    with receiver() as (url, received):
        asyncio.run(away_and_back(away, back)(settings(file, ops=url), received))


@pytest.mark.parametrize("is_restored", [False, True], ids=["lost", "restored"])
def test_the_incidents_of_a_ledger_that_is_replaced_end_and_those_of_the_new_one_are_told(
    file: Path, empty: Path, tmp_path: Path, is_restored: bool, caplog: Any
) -> None:
    """With the numbers of a ledger that begins anew, messages would be taken for those that were told before."""

    async def test() -> None:
        with receiver() as (url, received):
            process = Process(settings(file, ops=url))
            process.facts = []
            await process.rounds(1)
            shutil.copy(file, tmp_path / "backup")
            process.facts = [UNREADABLE]
            await process.rounds()
            assert ids(received) == ["1-opened"]
            for part in file.parent.glob("ledger.db*"):
                part.unlink()
            await process.rounds(1)
            if is_restored:
                shutil.copy(tmp_path / "backup", file)
            else:
                Ledger(f"sqlite:///{file}").close()
            process.facts = [FOUND, DEAD]
            await process.rounds()
            assert sorted(ids(received)) == ["1-closed", "1-opened", "2-opened"]
            assert received.documents[0]["incident"] in {document["incident"] for document in received.documents[1:]}
            with closing(Ledger(f"sqlite:///{file}")) as ledger:
                assert [one.kind for one in ledger.incidents.open()] == [Kind.DEAD_LETTERS]
            await process.notifier.end(1)

    with caplog.at_level(logging.WARNING):
        asyncio.run(test())
    is_told = "the ledger is another one than before; 1 open incident is taken over from memory" in caplog.text
    assert is_told is not is_restored


def test_who_was_away_together_with_the_ledger_is_told_when_both_are_back(file: Path, tmp_path: Path) -> None:
    is_up = threading.Event()

    async def test() -> None:
        flaky = receiver(lambda handler: handler.answer(200 if is_up.is_set() else 500))
        with receiver() as (url, received), flaky as (other_url, other):
            process = Process(settings(file, ops=url, pager=other_url))
            process.facts = []
            await process.rounds(1)
            file.rename(tmp_path / "moved")
            await process.rounds(4)
            assert len(received) == 1
            (tmp_path / "moved").rename(file)
            is_up.set()
            other.clear()
            await process.rounds(10)
            assert ids(other) == ids(received)
            assert len(received) == 2

    asyncio.run(test())


def test_a_server_of_the_ledger_that_is_stopped_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if postgresql_programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    monkeypatch.setattr(database_module, "_SERVER_AWAY_SECONDS", 0.1)
    monkeypatch.setattr(database_module, "_OPENS_WITHIN_SECONDS", 0.1)
    folder = tmp_path / "postgresql"

    async def away() -> None:
        stop_postgresql(folder)

    async def back() -> None:
        await asyncio.to_thread(restart_postgresql, folder)

    with receiver() as (url, received), postgresql(folder) as server:
        address = f"postgresql://{server}/postgres"
        Ledger(address).close()
        asyncio.run(away_and_back(away, back)(settings(address, ops=url), received))


def test_a_ledger_that_hangs_counts_as_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWERS_WITHIN", 0.05)
    goes_on = threading.Event()

    async def test() -> None:
        with receiver() as (url, received):
            process = Process(settings(file, ops=url))
            process.facts = []
            hang = lambda: goes_on.wait(60) and []  # noqa: E731
            process.notifier._others = hang  # type: ignore[assignment]
            errors = await process.rounds(5)
            assert all("has not answered for" in error for error in errors)
            assert len(errors) == 5
            assert received.documents[0]["kind"] == "ledger"
            goes_on.set()

    asyncio.run(test())


def test_the_time_of_a_ledger_that_is_away_goes_on_while_it_is_waited_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    goes_on = threading.Event()

    async def test() -> None:
        with receiver() as (url, received):
            process = Process(settings(file, ops=url))
            process.facts = []
            await process.rounds(1)
            monkeypatch.setattr(module, "_ANSWERS_WITHIN", 0.05)
            hang = lambda: goes_on.wait(60) and []  # noqa: E731
            process.notifier._others = hang
            assert len(await process.rounds(1)) == 1
            monkeypatch.setattr(module, "_ANSWERS_WITHIN", 60.0)
            process.notifier._hanging = None  # it is asked again, and hangs again
            asking = asyncio.create_task(process.notifier.round())
            while not received:
                process.later(timedelta(seconds=15))
                await asyncio.sleep(0.02)
            assert received.documents[0]["kind"] == "ledger"
            goes_on.set()
            process.notifier._others = list
            await asking
            await process.rounds(10)
            assert [told.rpartition("-")[2] for told in received.told] == ["opened", "closed"]
            with closing(Ledger(f"sqlite:///{file}")) as ledger:
                assert ledger.incidents.open() == []
            await process.notifier.end(1)

    asyncio.run(test())


def test_another_process_than_the_one_that_told_does_not_tell_of_the_ledger(file: Path, tmp_path: Path) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            one, other = Process(config), Process(config)
            one.facts = other.facts = []
            await one.rounds(1)
            await other.rounds(1)
            file.rename(tmp_path / "moved")
            await one.rounds(6)
            await other.rounds(6)
            assert len(received) == 1

    asyncio.run(test())


def test_of_two_processes_that_begin_without_the_ledger_each_tells_of_the_end_of_what_it_told(
    file: Path, ledger: Ledger, tmp_path: Path
) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            config = settings(file, ops=url)
            both = Process(config), Process(config)
            file.rename(tmp_path / "moved")
            file.mkdir()  # so that it is there, and cannot be used
            for process in both:
                process.facts = []
                assert len(await process.rounds(4)) == 4
            opened = set(ids(received))
            assert len(opened) == len(received) == 2
            file.rmdir()
            (tmp_path / "moved").rename(file)
            for _ in range(10):
                for process in both:
                    await process.rounds(1)
            assert len(received) == 4
            assert set(ids(received)[2:]) == {id_.replace("opened", "closed") for id_ in opened}

    asyncio.run(test())
    assert ledger.incidents.open() == []


def test_a_ledger_that_no_run_has_made_yet_is_no_incident(tmp_path: Path) -> None:
    async def test() -> None:
        with receiver() as (url, received):
            errors = await Process(settings(tmp_path / "none.db", ops=url)).rounds(10)
            assert len(errors) == 10
            assert received == []

    asyncio.run(test())


def held_lease(ledger: Ledger) -> int:
    return len(ledger.database.read(lambda connection: connection.execute(leases_table.select()).all()))


def test_a_run_tells_at_its_end_unless_a_service_does(file: Path, ledger: Ledger) -> None:
    with receiver() as (url, received):
        config = settings(file, ops=url)
        service = Process(config, datetime.now(NOW.tzinfo))
        service.facts = []
        asyncio.run(service.rounds(1))
        asyncio.run(tell_once(config, lambda: [DEAD]))
        assert received == []
        asyncio.run(service.notifier.end(1))
        asyncio.run(tell_once(config, lambda: [DEAD._replace(value=0)]))
        assert ids(received) == []
        asyncio.run(tell_once(config, lambda: [DEAD]))
        assert held_lease(ledger) == 0


def test_a_run_in_test_mode_or_a_dry_one_tells_nothing(file: Path, ledger: Ledger) -> None:
    for change in ({"dry_run": True}, {"test_mode": True}):
        asyncio.run(tell_once(settings(file).model_copy(update=change), lambda: [DEAD]))
    assert ledger.incidents.evaluated_at() is None


def test_a_run_does_not_wait_for_a_target_that_hangs(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling_module, "_RUN_WAITS", 0.5)
    answered = threading.Event()
    with receiver(lambda handler: answered.wait(60) and None) as (url, received):
        config = settings(file, ops=url)
        early = Process(config, datetime.now(NOW.tzinfo) - 5 * MINUTE)
        early.facts = []
        asyncio.run(early.rounds(1))
        asyncio.run(early.notifier.end(1))
        alone = Process(settings(file), datetime.now(NOW.tzinfo) - 4 * MINUTE)
        asyncio.run(alone.rounds(3))
        asyncio.run(tell_once(config))
        asyncio.run(until(lambda: len(received) == 1))
        answered.set()
    assert "messages about incidents were not sent within 0 s; whoever tells next sends them" in caplog.messages


def test_a_ledger_that_cannot_be_opened_is_one_warning_of_a_run(tmp_path: Path, caplog: Any) -> None:
    asyncio.run(tell_once(settings(tmp_path / "none.db")))
    [line] = caplog.messages
    assert line.startswith("incidents are not evaluated: there is no ledger at")


def test_a_service_tells_until_it_ends(file: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling_module, "EVERY", 0.01)
    with receiver() as (url, received):
        with telling(settings(file, ops=url), lambda: [DEAD]):
            asyncio.run(until(lambda: ledger.incidents.evaluated_at() is not None and held_lease(ledger) == 1))
        assert held_lease(ledger) == 0
    assert received == []


def test_a_service_goes_on_after_any_error(file: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(telling_module, "EVERY", 0.001)
    begun = threading.Event()

    def fail() -> list[Fact]:
        if caplog.records:
            begun.set()
        raise KeyError("surprise")

    with ExitStack() as stack:
        stack.enter_context(telling(settings(file), fail))
        assert begun.wait(60)
    assert caplog.messages[0] == "incidents are not evaluated: KeyError('surprise')"


def test_a_service_knows_whether_the_ledger_can_be_written(
    file: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SQLite ledger that another program holds can still be read."""
    monkeypatch.setattr(telling_module, "EVERY", 0.001)
    monkeypatch.setattr(database_module, "LOCKED_SECONDS", 0.05)
    refresh = Refresh(settings(file))

    def verdict() -> str:
        [found] = [one for one in health_of(refresh.known, datetime.now(UTC)).checks if one.name == "ledger"]
        return f"{found.verdict}: {found.output}"

    async def test() -> None:
        await refresh.once()
        holder = sqlite3.connect(file, isolation_level=None)
        with closing(holder), telling(settings(file), note=refresh.note_written):
            assert verdict() == "pass: answers"
            holder.execute("BEGIN EXCLUSIVE")
            await until(lambda: "can be read, but not written; the log" in verdict())
            assert verdict().startswith("warn")
            holder.execute("ROLLBACK")
            await until(lambda: verdict() == "pass: answers")

    asyncio.run(test())


def test_a_ledger_that_another_program_holds_is_told_with_that_reason(
    file: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._ANSWERS_WITHIN > database_module.LOCKED_SECONDS
    monkeypatch.setattr(database_module, "LOCKED_SECONDS", 1)

    async def test() -> None:
        with receiver() as (url, received), closing(sqlite3.connect(file, isolation_level=None)) as holder:
            process = Process(settings(file, ops=url))
            process.facts = []
            holder.execute("BEGIN IMMEDIATE")
            await process.rounds(5)
            assert "locked" in received.documents[0]["reason"]
            holder.execute("ROLLBACK")
            await process.notifier.end(1)

    asyncio.run(test())
