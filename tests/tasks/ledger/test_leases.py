"""Who is at work on what, and is it still alive?"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tasks import clock
from tasks.domain.errors import BucketError
from tasks.domain.limits.servers import Server, two_servers
from tasks.domain.metrics import RUN_SECONDS, RUNS, Series
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.database import Database
from tasks.ledger.leases import RECONCILE, Leases, leases_table, renewed_every, uses_since
from tasks.ledger.requests import Requests, report_requests
from tasks.ledger.runs import Runs, runs_table
from tasks.ledger.totals import Totals
from tasks.processes import is_gone, own_name

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Run(Leases):
    """A run whose claims are transactions of their own."""

    def claimed(self, works: list[str]) -> set[str]:
        return self._database.write(lambda connection: self.claim(connection, works))


Start = Callable[..., Run]


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    ledger = Ledger(url)
    yield ledger.database
    ledger.close()


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Starts runs of this process, each with leases of its own."""
    started: list[Run] = []

    def begin(lasts: timedelta = 30 * SECOND, lost: Callable[[str], None] = lambda why: None) -> Run:
        leases = Run(database, uuid.uuid4().hex, lasts)
        leases.begin("reconcile", "everything", None, lost)
        started.append(leases)
        return leases

    yield begin
    for leases in started:
        leases.end(RunEnd.ENDED)


def test_one_run_at_a_time_has_a_lease_and_the_others_are_told_who(start: Start) -> None:
    one, other = start(), start()
    assert one.take(RECONCILE) is None
    assert one.take(RECONCILE) is None, "it has it already"
    paused = other.take(RECONCILE)
    assert paused is not None
    record, seconds = paused
    assert record.id == one.run
    assert f"process {os.getpid()}" in record.holder
    assert 25 < seconds <= 30
    one.end(RunEnd.ENDED)
    assert other.take(RECONCILE) is None


def test_of_runs_that_start_at_once_exactly_one_gets_the_lease_and_each_work_is_one_runs(start: Start) -> None:
    runs = [start() for _ in range(8)]
    works = [f"espn_summary /summary?event={n}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda leases: leases.take(RECONCILE), runs))
        claims = list(pool.map(lambda leases: leases.claimed(works), runs))
    assert sum(paused is None for paused in taken) == 1
    assert sorted(work for claimed in claims for work in claimed) == sorted(works)


def test_marks_of_others_are_seen_and_free_again_when_their_work_is_done(start: Start, database: Database) -> None:
    one, other = start(), start()
    assert one.claimed(["a", "b"]) == {"a", "b"}
    assert one.claimed(["a"]) == {"a"}, "its own"
    assert other.claimed(["b", "c"]) == {"c"}
    assert {work: mark.run for work, mark in other.claims().items()} == {"a": one.run, "b": one.run}
    one.release(["a", "b"])
    assert other.claimed(["a", "b"]) == {"a", "b"}
    one.end(RunEnd.ENDED)
    other.end(RunEnd.ENDED)
    assert one.claims() == {}


def test_a_run_at_work_is_found_though_it_began_before_the_time_that_is_asked_for(database: Database) -> None:
    leases = Leases(database, "long", 30 * SECOND)
    leases.begin("reconcile", "everything", "f1", lambda why: None)
    soon, runs = datetime.now(UTC) + SECOND, Runs(database)
    assert leases.live_flow_runs() == {"f1"}
    assert [run.id for run in runs.begun_since(soon, ["reconcile"], 1, {"f1"})] == ["long"]
    assert runs.begun_since(soon, ["fill"], 1, {"f1"}) == runs.begun_since(soon, ["reconcile"], 1) == []
    own = own_name() or ""
    gone = runs_table.update().values(process=f"{own.rsplit(':', 1)[0]}:0")
    database.write(lambda connection: connection.execute(gone))
    assert leases.live_flow_runs() == set(), "its process is gone, though its lease has not lapsed"
    leases.end(RunEnd.ENDED)


def test_a_lease_that_is_renewed_outlasts_its_time(start: Start) -> None:
    one, other = start(SECOND), start(SECOND)
    assert one.take(RECONCILE) is None
    one.claimed(["a"])
    time.sleep(2)
    assert other.take(RECONCILE) is not None
    assert other.claimed(["a"]) == set()


def _lapse(database: Database, leases: Leases, by: float = 0.0) -> None:
    """As if the run had not been heard of; or, with a large `by`, had renewed before a clock was set back."""
    update = leases_table.update().where(leases_table.c.run == leases.run)
    database.write(lambda connection: connection.execute(update.values(until=database.now(connection) + by)))


@pytest.mark.parametrize("by", [0.0, 3600.0], ids=["lapsed", "clock set back"])
def test_what_a_dead_run_held_is_free_and_it_learns_that_it_has_lost_it(
    start: Start, database: Database, by: float
) -> None:
    lost: list[str] = []
    dead, heir = start(3 * SECOND, lost.append), start()
    dead.take(RECONCILE)
    dead.claimed(["a"])
    _lapse(database, dead, by)
    assert heir.claimed(["a"]) == {"a"}
    assert heir.take(RECONCILE) is None
    assert [record.id for record in heir.end_dead_runs()] == [dead.run]
    assert [record.id for record in heir.end_dead_runs()] == [dead.run], "until somebody says that Prefect knows"
    heir.record_death_reported(dead.run)
    assert heir.end_dead_runs() == []
    time.sleep(1.5)
    assert lost == ["its lease lapsed, and another run may have taken over"]
    assert Totals(database).current() == {Series(RUNS.name, '{"flow":"reconcile","outcome":"died"}'): 1}
    record = Runs(database).by_id([dead.run])[dead.run]
    assert (record.outcome, record.died) == (RunEnd.DEATH_REPORTED, True)


def test_a_process_of_this_host_that_is_gone_is_dead_at_once(start: Start, database: Database) -> None:
    gone, heir = start(), start()
    gone.take(RECONCILE)
    ended = subprocess.run(
        [sys.executable, "-c", "from tasks.processes import own_name; print(own_name())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert is_gone(ended)
    update = runs_table.update().where(runs_table.c.id == gone.run).values(process=ended)
    database.write(lambda connection: connection.execute(update))
    assert [record.id for record in heir.end_dead_runs()] == [gone.run]
    assert heir.take(RECONCILE) is None


def test_a_process_that_is_there_is_not_gone_and_of_other_hosts_nothing_is_known() -> None:
    own = own_name()
    assert own is not None
    assert not is_gone(own)
    assert not is_gone(None)
    assert not is_gone("another-kernel/1:1:1")
    kernel, pid, started = own.rsplit(":", 2)
    assert is_gone(f"{kernel}:{pid}:{int(started) - 1}"), "the pid was given to another"


def test_the_end_of_a_run_leaves_nothing_behind(start: Start, database: Database) -> None:
    run = start()
    run.take(RECONCILE)
    run.claimed(["a"])
    run.end(RunEnd.STOPPED, "SIGTERM", {"look": 1.5, "fetch": 20.0})
    assert database.read(lambda connection: connection.execute(sa.select(leases_table)).all()) == []
    record = Runs(database).by_id([run.run])[run.run]
    assert (record.outcome, record.why, record.seconds) == (RunEnd.STOPPED, "SIGTERM", {"look": 1.5, "fetch": 20.0})
    totals = Totals(database).current()
    assert totals[Series(RUNS.name, '{"flow":"reconcile","outcome":"stopped"}')] == 1
    assert totals[Series(RUN_SECONDS.name, '{"flow":"reconcile","part":"fetch"}', "30")] == 1


def test_a_run_that_slept_past_its_lease_does_not_revive_it(start: Start, database: Database) -> None:
    lost: list[str] = []
    sleeper = start(3 * SECOND, lost.append)
    sleeper.take(RECONCILE)
    _lapse(database, sleeper)
    time.sleep(1.5)
    assert lost == ["its lease lapsed, and another run may have taken over"]


def test_a_run_that_was_stopped_knows_before_it_begins_anything_that_another_may_have_taken_over(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    sleeper, heir = start(30 * SECOND, lost.append), start()
    assert sleeper.claimed(["a"]) == {"a"}
    assert sleeper.why_lost() is None
    _lapse(database, sleeper)
    awake = clock.seconds
    monkeypatch.setattr("tasks.clock.seconds", lambda: awake() + 31)
    assert heir.claimed(["a"]) == {"a"}
    assert sleeper.why_lost() == "its lease lapsed, and another run may have taken over"
    assert lost == [sleeper.why_lost()]


def test_a_run_that_was_stopped_and_whose_lease_is_still_its_own_renews_it_and_goes_on(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    run = start(30 * SECOND, lost.append)
    _lapse(database, run, by=5)
    awake = clock.seconds
    monkeypatch.setattr("tasks.clock.seconds", lambda: awake() + 31)
    assert run.why_lost() is None
    assert lost == []
    until = database.read(lambda connection: connection.execute(sa.select(leases_table.c.until)).scalar_one())
    assert until > time.time() + 20


@pytest.mark.parametrize("ended", [False, True], ids=["lapsed", "buried"])
def test_others_that_died_since_a_moment_are_known(start: Start, database: Database, ended: bool) -> None:
    moment = datetime.now(UTC) - 2 * SECOND
    run, dead = start(), start(3 * SECOND)
    assert not run.another_run_died_since(moment)
    _lapse(database, dead)
    if ended:
        run.end_dead_runs()
    assert run.another_run_died_since(moment)
    assert run.another_run_died_since(moment + 10 * SECOND) is not ended


HERE = Server("http://here:4200/api", {"adce-espn": "1", "adce-nba_api": "2"})
THERE = Server("http://there:4200/api", {"adce-espn": "3"})


def _an_hour_ago() -> datetime:
    return datetime.now(UTC) - 60 * MINUTE


def _begin(database: Database, server: Server | None) -> Leases:
    leases = Leases(database, uuid.uuid4().hex, 30 * SECOND)
    leases.begin("reconcile", "everything", None, lambda why: None, server)
    return leases


def test_a_run_on_another_prefect_server_is_refused_while_the_first_is_in_use(database: Database) -> None:
    one = _begin(database, HERE)
    with pytest.raises(BucketError, match=r"buckets of http://here:4200/api are in use.*API is http://there:4200/api"):
        _begin(database, THERE)
    [refused] = (run for run in Runs(database).begun_since(_an_hour_ago(), ["reconcile"], 9) if run.failed)
    assert refused.ended == refused.began
    assert "both together would spend every rate twice" in (refused.why or "")
    assert [use.is_refused for use in uses_since(database, _an_hour_ago())] == [False, True]
    assert two_servers(uses_since(database, _an_hour_ago()), 15 * MINUTE) is None, "the second one has sent nothing"
    one.end(RunEnd.ENDED)
    _begin(database, THERE).end(RunEnd.ENDED)


def test_servers_that_were_in_use_one_after_another_and_one_of_a_dead_run_are_fine(database: Database) -> None:
    began = _an_hour_ago()
    for server in (HERE, HERE):
        _begin(database, server).end(RunEnd.ENDED)
    dead = _begin(database, HERE)
    _lapse(database, dead)
    new = _begin(database, THERE)
    new.end_dead_runs()
    assert [use.ended is None for use in uses_since(database, began)].count(True) == 1
    assert two_servers(uses_since(database, began), 15 * MINUTE) is None
    new.end(RunEnd.ENDED)
    dead.end(RunEnd.ENDED)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(HERE, address="http://10.0.0.7:4200/api"), id="by another address"),
        pytest.param(Server("http://there/api", {"adce-basketball_reference": "9"}), id="for other sources"),
        pytest.param(None, id="without a server"),
    ],
)
def test_runs_that_share_their_buckets_or_need_different_ones_go_together(
    database: Database, other: Server | None
) -> None:
    one = _begin(database, HERE)
    _begin(database, other).end(RunEnd.ENDED)
    one.end(RunEnd.ENDED)


def test_the_buckets_of_a_run_that_died_are_not_in_use(database: Database) -> None:
    dead = _begin(database, HERE)
    update = leases_table.update().where(leases_table.c.run == dead.run).values(until=time.time())
    database.write(lambda connection: connection.execute(update))
    _begin(database, THERE).end(RunEnd.ENDED)
    dead.end(RunEnd.ENDED)


def test_a_run_that_has_lost_one_of_its_leases_has_lost(start: Start, database: Database) -> None:
    lost: list[str] = []
    one, other = start(3 * SECOND, lost.append), start()
    one.take(RECONCILE)
    taken = leases_table.update().where(leases_table.c.name == RECONCILE).values(run=other.run)
    database.write(lambda connection: connection.execute(taken))
    time.sleep(1.5)
    assert lost


def test_a_lease_that_is_renewed_the_moment_it_is_taken_is_not_lost(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    write = database.write

    def write_and_be_slow(work: Callable[[sa.Connection], Any], **how: bool) -> Any:
        done = write(work, **how)
        monkeypatch.setattr(database, "write", write)
        run._renew_or_lose()  # as its thread may, before this one goes on
        return done

    monkeypatch.setattr(database, "write", write_and_be_slow)
    assert run.take(RECONCILE) is None
    assert run.why_lost() is None


def test_a_run_reports_the_requests_that_it_has_sent_while_it_is_at_work_and_when_it_ends(
    start: Start, database: Database
) -> None:
    requests = Requests(database)
    one, other = start(), start()
    one.sent, other.sent = lambda: {"espn": 3, "nba_api": 0}, lambda: {"espn": 1}
    assert requests.lately(5 * MINUTE) == {}
    one._renew_or_lose()
    one._renew_or_lose()
    assert requests.lately(5 * MINUTE) == {"espn": 3}, "each request is reported once"
    one.sent = lambda: {"espn": 5, "nba_api": 1}
    one.end(RunEnd.ENDED)
    other.end(RunEnd.ENDED)
    assert requests.lately(5 * MINUTE) == {"espn": 6, "nba_api": 1}
    assert requests.lately(timedelta()) == {}
    later = (datetime.now(UTC) + 11 * MINUTE).timestamp()
    database.write(lambda connection: report_requests(connection, "r", later, {"espn": 2}))
    assert requests.lately(5 * MINUTE) == {"espn": 2}, "old reports are forgotten"


def test_the_requests_of_the_last_minute_are_those_of_the_clock_of_the_ledger(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = time.time() + 3600
    monkeypatch.setattr(Database, "now", lambda database, connection: ahead)
    run = start()
    run.sent = lambda: {"espn": 3}
    run.end(RunEnd.ENDED)
    assert Requests(database).lately(MINUTE) == {"espn": 3}
    ahead += 61
    assert Requests(database).lately(MINUTE) == {}


@pytest.mark.parametrize(("lasts", "seconds"), [(1, 1 / 3), (30, 10), (600, 10)])
def test_a_long_lease_is_renewed_often_enough_to_report_the_requests_of_a_minute(lasts: float, seconds: float) -> None:
    assert renewed_every(lasts) == seconds
