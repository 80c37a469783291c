"""Every rule that leaves a file for later, met in a real run and read back from what `adce why` says."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.settings import get_current_settings
from prefect.states import Cancelled

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from flows import by_deployment
from flows.prefect_run import PrefectRun
from flows.scraper import scraper
from tasks import clock
from tasks.domain.errors import LedgerError, RefusedError
from tasks.domain.limits.buckets import bucket_for
from tasks.domain.limits.rates import budget_of
from tasks.domain.outcomes import RunEnd
from tasks.domain.plan.plan import Fill
from tasks.domain.reasons import Limit, Reason
from tasks.ledger import Ledger, database
from tasks.ledger.leases import RECONCILE, Leases, leases_table
from tasks.ledger.plans import RUN
from tasks.observe import look
from tasks.run import dispatcher
from tasks.run.run import Run
from tasks.upstream.rate_limiter import RateLimiter
from tests import forks
from tests.flows.conftest import NOW
from tests.servers import http_server

DAY = date(2026, 1, 13)
KEY = "espn_schedules/20260113.json"
NEXT_RUN = "2026-01-15T12:15:00Z"
Adce = Callable[..., Result]
Reconcile = Callable[..., Any]


def _why(adce: Adce, key: str = KEY, as_of: datetime = NOW) -> dict[str, Any]:
    result = adce("why", key, "--json", "--as-of", as_of.isoformat())
    assert result.exit_code == 0, result.stderr
    [answer] = json.loads(result.stdout)["answers"]
    assert isinstance(answer, dict)
    return answer


def _read(answer: dict[str, Any]) -> tuple[str, str, str, str | None]:
    return answer["state"], answer["limit"], answer["decides"], answer["until"]


def test_every_limit_is_met_by_a_test_of_this_file() -> None:
    """A test is about the limits that it has as parameters."""
    tests = [test for name, test in globals().items() if name.startswith("test_")]
    marks = [mark for test in tests for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    values = [value for mark in marks for case in mark.args[1] for value in getattr(case, "values", [case])]
    assert {value for value in values if isinstance(value, Limit)} == set(Limit)


@pytest.mark.parametrize(
    ("settings", "limit", "decides", "until"),
    [
        pytest.param({"ENABLED": "false"}, Limit.ENABLED, "enabled", None, id="everything off"),
        pytest.param({"SOURCES__ESPN__ENABLED": "false"}, Limit.ENABLED, "sources.espn.enabled", None, id="source off"),
        pytest.param(
            {"DATASETS__ESPN_SCOREBOARD__ENABLED": "false"},
            Limit.ENABLED,
            "datasets.espn_scoreboard.enabled",
            None,
            id="dataset off",
        ),
        pytest.param(
            {"DATASETS__ESPN_SCOREBOARD__ROLLOUT": "0"},
            Limit.ROLLOUT,
            "datasets.espn_scoreboard.rollout",
            None,
            id="rollout",
        ),
        pytest.param(
            {
                "DATASETS__ESPN_SCOREBOARD__URL": "null",
                "DATASETS__ESPN_SCOREBOARD__COMMAND": "{argv: [echo, '{yyyymmdd}'], files: [a.json],"
                " parameters: {yyyymmdd: {type: text, pattern: '2003.*|2026.*4'}}}",
            },
            Limit.PARAMETERS,
            "datasets.espn_scoreboard.command.parameters.yyyymmdd",
            None,
            id="a command that does not take the day",
        ),
        pytest.param(
            {"MAINTENANCE": '[{of: espn, note: "source paused by us", from: "11:00", to: "13:00"}]'},
            Limit.MAINTENANCE,
            "maintenance",
            "2026-01-15T13:00:00Z",
            id="maintenance",
        ),
        pytest.param({"RECONCILE__MAX_FILLS": "0"}, Limit.MAX_FILLS, "reconcile.max_fills", NEXT_RUN, id="run cap"),
        pytest.param(
            {"RECONCILE__MAX_FILLS_BY_PRIORITY": "{CRITICAL: 0, HIGH: 0}"},
            Limit.MAX_FILLS,
            "reconcile.max_fills_by_priority",
            NEXT_RUN,
            id="priority cap",
        ),
        pytest.param(
            {"RECONCILE__TIME_BUDGET": "0.001s"}, Limit.TIME_BUDGET, "reconcile.time_budget", NEXT_RUN, id="time budget"
        ),
    ],
)
def test_a_setting(
    adce: Adce,
    run_reconcile: Reconcile,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    limit: Limit,
    decides: str,
    until: str | None,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"ADCE_{name}", value)
    report = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert [status.limit for status in report.statuses.values()] == [limit]
    assert _read(_why(adce)) == ("deferred", limit, decides, until)


@pytest.mark.parametrize("limit", [Limit.MAX_FILLS])
def test_a_cap_that_the_run_was_given(adce: Adce, run_reconcile: Reconcile, limit: Limit) -> None:
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY, max_fills=0)
    decides = "`--max-fills`, or the parameter max_fills, of the run"
    assert _read(_why(adce)) == ("deferred", limit, decides, NEXT_RUN)


@pytest.mark.parametrize("limit", [Limit.TEST_FILLS])
def test_test_mode_does_only_so_many_fills_and_that_is_not_said_of_other_runs(
    adce: Adce,
    run_reconcile: Reconcile,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__BATCH", "1")
    days = "espn_schedules/2026011[34].json"
    with monkeypatch.context() as testing:
        testing.setenv("ADCE_TEST_MODE", "true")
        testing.setenv("ADCE_TEST_FILLS", "1")
        report = run_reconcile(datasets=["espn_scoreboard"])
        assert [status.limit for status in report.statuses.values()].count(limit) == 1
        answers = json.loads(adce("why", days, "--json", "--as-of", NOW.isoformat()).stdout)["answers"]
        assert ("deferred", limit, "test_fills", NEXT_RUN) in [_read(answer) for answer in answers]
    answers = json.loads(adce("why", days, "--json", "--as-of", NOW.isoformat()).stdout)["answers"]
    assert [(answer["state"], answer["limit"]) for answer in answers] == [("gap", None)] * 2


@pytest.mark.parametrize(
    ("fault", "limit", "decides"),
    [
        pytest.param("403", Limit.BACKOFF, "sources.espn.backoff", id="pause"),
        pytest.param("400", Limit.BREAKER, "reconcile.breaker", id="breaker"),
    ],
)
def test_a_source_that_is_left_alone(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    limit: Limit,
    decides: str,
) -> None:
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{first: 1h, shut_out: 1h}")
    monkeypatch.setenv("ADCE_RECONCILE__BREAKER", "{failures: 1, open_for: 1h, longest: 1h}")
    sites.set_faults("espn", fault)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    sites.clear_faults()
    second = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    [status] = second.statuses.values()
    assert status.limit is limit
    assert _read(_why(adce)) == ("deferred", limit, decides, _iso(status.until))


@pytest.mark.parametrize("limit", [Limit.PROBE])
def test_a_source_that_another_run_asks_once_after_its_pause(
    adce: Adce,
    run_reconcile: Reconcile,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setattr(dispatcher, "_IDLE_WAIT", timedelta())
    config = load_config()
    with closing(Ledger(config.ledger)) as ledger:
        rules = config.reconcile.breaker
        other = RateLimiter("espn", config.sources["espn"], budget_of(config, "espn"), rules, ledger)
        other.refused(RefusedError("HTTP 503"), datetime.now(UTC))
        asyncio.run(other.enter("espn_scoreboard"))
        probe_until = ledger.pauses.current()["espn"].probe_until
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    answer = _why(adce)
    decides = "the answer to the first request to espn after its pause"
    assert _read(answer) == ("deferred", limit, decides, _iso(probe_until))
    assert "HTTP 503" in answer["reason"]


@pytest.mark.parametrize(
    ("match", "folder", "limit", "decides"),
    [
        pytest.param("summary", "espn_box_scores", Limit.LOOKS, "reconcile.unavailable", id="game"),
        pytest.param(
            "scoreboard",
            "espn_schedules",
            Limit.NOT_PUBLISHED,
            "the source, which is asked again from 2026-01-15 16:00 UTC",
            id="page that will come",
        ),
    ],
)
def test_what_the_source_had_none_of(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    match: str,
    folder: str,
    limit: Limit,
    decides: str,
) -> None:
    sites.set_faults("espn", "404", match=match)
    for hours in (0, 1, 2):
        report = run_reconcile(sources=["espn"], since=DAY, until=DAY, as_of=NOW + timedelta(hours=hours))
    key = next(key for key in report.statuses if key.startswith(folder))
    answer = _why(adce, key, NOW + timedelta(hours=2, minutes=1))
    assert _read(answer) == ("deferred", limit, decides, _iso(report.statuses[key].until))
    assert "HTTP 404" in answer["reason"]


@pytest.mark.parametrize("limit", [Limit.DISAGREEMENT])
def test_a_list_with_fewer_games_than_that_of_another_source(
    adce: Adce,
    run_reconcile: Reconcile,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    later = NOW + timedelta(days=2)
    with http_server(200, json.dumps({"events": [], "leagues": []}).ljust(100).encode()) as espn:
        monkeypatch.setenv("ADCE_SOURCES__ESPN__BASE_URL", espn)
        for hours in (0, 1):
            now = later + timedelta(hours=hours)
            report = run_reconcile(datasets=["espn_scoreboard", "nba_schedule"], since=DAY, until=DAY, as_of=now)
    answer, until = _why(adce, as_of=now), report.statuses[KEY].until
    decides = f"the source, which is asked again from {until:%Y-%m-%d %H:%M} UTC"
    assert _read(answer) == ("deferred", limit, decides, _iso(until))
    assert "nba_schedule has" in answer["reason"]


@pytest.mark.parametrize("limit", [Limit.EXAMINE_AT_MOST])
def test_a_file_that_no_run_has_read(
    adce: Adce,
    run_reconcile: Reconcile,
    adce_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__EXAMINE_AT_MOST", "0")
    monkeypatch.setattr(look, "_FEW_CELLS", 0)  # so many files `adce why` reads itself
    path = adce_home / "lake" / KEY
    path.parent.mkdir(parents=True)
    path.write_text("{}".ljust(100))
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", limit, "reconcile.examine_at_most", None)


@pytest.mark.parametrize("limit", [Limit.OBSTACLE])
def test_a_folder_that_stands_in_place_of_a_file(
    adce: Adce,
    run_reconcile: Reconcile,
    adce_home: Path,
    limit: Limit,
) -> None:
    (adce_home / "lake" / KEY).mkdir(parents=True)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("gap", limit, "whoever removes what stands at its key", None)


@pytest.mark.parametrize("limit", [Limit.OPERATOR])
def test_a_file_that_an_operator_calls_unavailable(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    limit: Limit,
) -> None:
    assert adce("unavailable", "add", KEY, "--note", "lost for ever").exit_code == 0
    report = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert sites.requests() == []
    decides = "an operator, with `adce unavailable`"
    assert _read(_why(adce)) == ("unavailable", limit, decides, _iso(report.statuses[KEY].until))


@pytest.mark.parametrize("limit", [Limit.FILL_TIME_LIMIT])
def test_a_fill_that_takes_too_long(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__FILL_TIME_LIMIT", "1s")
    sites.set_faults("espn", "hang")
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", limit, "reconcile.fill_time_limit", NEXT_RUN)


@pytest.mark.parametrize("limit", [Limit.STOPPED])
def test_a_run_that_was_stopped(
    adce: Adce,
    run_reconcile: Reconcile,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    async def is_told_to_stop(run: Run) -> None:
        run.shutdown.request("somebody says that its lease lapsed, and another run may have taken over")

    _before_it_fetches(monkeypatch, is_told_to_stop)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", limit, "whoever stopped the run", NEXT_RUN)


@pytest.mark.parametrize("limit", [Limit.LEASE])
@pytest.mark.parametrize("is_asleep", [pytest.param(True, id="asleep"), pytest.param(False, id="awake")])
def test_a_run_that_has_lost_its_lease(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    is_asleep: bool,
    limit: Limit,
) -> None:
    """One that is asleep learns it before its first request; one that is awake when it renews the lease."""
    lease = timedelta(seconds=60 if is_asleep else 1)
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", f"{lease.total_seconds():g}s")
    seconds = clock.seconds

    async def loses_its_lease(run: Run) -> None:
        lapse = leases_table.update().values(until=0.0)
        run.session.ledger.database.write(lambda connection: connection.execute(lapse))
        if is_asleep:
            monkeypatch.setattr(clock, "seconds", lambda: seconds() + 2 * lease.total_seconds())
        while not (is_asleep or run.shutdown.reason):
            await asyncio.sleep(0.01)

    _before_it_fetches(monkeypatch, loses_its_lease)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    answer = _why(adce)
    assert _read(answer) == ("deferred", limit, "reconcile.lease", NEXT_RUN)
    assert "the run was stopped: its lease lapsed" in answer["reason"]
    assert sites.requests() == []


def test_a_run_that_has_lost_its_lease_does_not_replace_the_plan_of_the_run_that_has_taken_over(
    adce: Adce, run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", "1s")

    async def is_taken_over(run: Run) -> None:
        lapse = leases_table.update().values(until=0.0)
        run.session.ledger.database.write(lambda connection: connection.execute(lapse))
        with _another_run() as other:
            assert other.take(RECONCILE) is None
            left = {"limit": Limit.MAX_FILLS, "of": "", "reason": "run cap", "until": NEXT_RUN, "keys": [KEY]}
            run.session.ledger.plans.keep(RUN, {"fills": [], "later": [left]}, NOW, other.run)
        while not run.shutdown.reason:
            await asyncio.sleep(0.01)

    _before_it_fetches(monkeypatch, is_taken_over)
    report = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert [status.limit for status in report.statuses.values()] == [Limit.LEASE]
    assert _read(_why(adce)) == ("deferred", Limit.MAX_FILLS, "reconcile.max_fills", NEXT_RUN)


def test_what_a_run_has_left_stays_left_until_the_next_run_whatever_is_planned_meanwhile(
    adce: Adce, run_reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as in_haste:
        in_haste.setenv("ADCE_RECONCILE__TIME_BUDGET", "0.001s")
        run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    planned = adce("plan", "--json", "--dataset", "espn_scoreboard", "--since", f"{DAY}", "--until", f"{DAY}")
    assert [fill["keys"] for fill in json.loads(planned.stdout)["fills"]] == [[KEY]]
    answer = _why(adce)
    assert _read(answer) == ("deferred", Limit.TIME_BUDGET, "reconcile.time_budget", NEXT_RUN)
    assert answer["plan"]["at"] == "2026-01-15T12:00:00Z", "its place is that in the plan of the run"
    assert _why(adce, as_of=NOW + timedelta(minutes=16))["state"] == "gap"


@pytest.mark.parametrize("limit", [Limit.OTHER_RECONCILE])
def test_another_reconcile_that_is_at_work(
    adce: Adce,
    run_reconcile: Reconcile,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", "3s")
    with _another_run() as other, closing(Ledger(load_config().ledger)) as ledger:
        assert other.take(RECONCILE) is None
        ledger.plans.keep(RUN, {"fills": [], "later": []}, NOW, other.run)
        run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
        kept = ledger.plans.kept(RUN)
    assert _read(_why(adce)) == ("deferred", limit, "the lease of the other reconcile", NEXT_RUN)
    assert kept is not None
    assert kept.run == "another"


@pytest.mark.parametrize("limit", [Limit.OTHER_RUN])
def test_another_run_that_is_at_the_file(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    claims = Run.claim

    def comes_second(run: Run, fill: Fill) -> Any:
        with _another_run() as other:
            works = {gap.cell.work for gap in fill.gaps}
            assert run.session.ledger.database.write(lambda connection: other.claim(connection, works)) == works
            return claims(run, fill)

    monkeypatch.setattr(Run, "claim", comes_second)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert sites.requests() == []
    assert _read(_why(adce)) == ("deferred", limit, "the other run", NEXT_RUN)


@contextmanager
def _another_run() -> Iterator[Leases]:
    config = load_config()
    ledger = Ledger(config.ledger)
    leases = Leases(ledger.database, "another", config.reconcile.lease)
    leases.begin("reconcile", "another", None, lambda why: None, None)
    try:
        yield leases
    finally:
        leases.end(RunEnd.ENDED)
        ledger.close()


@pytest.fixture
def scraper_deployment(prefect_api: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fills are done by runs of a deployment, for which there is no worker."""
    monkeypatch.setenv("ADCE_DISPATCH", "deployment")
    monkeypatch.setenv("ADCE_SCRAPER", "scraper/{source}-idle")
    monkeypatch.setattr(by_deployment, "_POLL_EVERY", 0.05)

    async def make() -> None:
        async with get_client() as client:
            await client.create_work_pool(WorkPoolCreate(name="idle", type="process"))
            flow = await client.create_flow(scraper)
            anywhere = {"prefect.deployments.steps.set_working_directory": {"directory": "/"}}
            await client.create_deployment(
                flow, "espn-idle", work_pool_name="idle", entrypoint="flows.scraper.scraper", pull_steps=[anywhere]
            )

    async def remove() -> None:
        async with get_client() as client:
            await client.delete_deployment((await client.read_deployment_by_name("scraper/espn-idle")).id)
            await client.delete_work_pool("idle")

    asyncio.run(make())
    yield
    asyncio.run(remove())


@pytest.mark.parametrize("limit", [Limit.START_WITHIN])
def test_a_scraper_run_that_no_worker_begins(
    adce: Adce,
    run_reconcile: Reconcile,
    scraper_deployment: None,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__START_WITHIN", "0.1s")
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert _read(_why(adce)) == ("deferred", limit, "reconcile.start_within", NEXT_RUN)


@pytest.mark.parametrize("limit", [Limit.SCRAPER_RUN])
def test_a_scraper_run_that_somebody_cancels(
    adce: Adce,
    run_reconcile: Reconcile,
    scraper_deployment: None,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    schedules = by_deployment.schedule_run

    async def is_cancelled(here: PrefectRun, fills: Sequence[Fill], attempt: int) -> FlowRun:
        flow_run = await schedules(here, fills, attempt)
        async with get_client() as client:
            await client.set_flow_run_state(flow_run.id, Cancelled(message="by hand"))
        return flow_run

    monkeypatch.setattr(by_deployment, "schedule_run", is_cancelled)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    answer = _why(adce)
    assert _read(answer) == ("deferred", limit, "the next run", NEXT_RUN)
    assert "its scraper run left it: by hand" in answer["reason"]


@pytest.mark.parametrize(
    ("settings", "limit", "decides", "until"),
    [
        pytest.param(
            {"MAINTENANCE": '[{of: espn, from: "11:00", to: "13:00"}]'},
            Limit.MAINTENANCE,
            "maintenance",
            "2026-01-15T13:00:00Z",
            id="of its plan",
        ),
        pytest.param(
            {"RECONCILE__TIME_BUDGET": "0.001s"},
            Limit.TIME_BUDGET,
            "reconcile.time_budget",
            NEXT_RUN,
            id="of its dispatcher",
        ),
    ],
)
def test_a_scraper_run_that_leaves_a_file_by_a_limit_of_its_own(
    adce: Adce,
    run_reconcile: Reconcile,
    scraper_deployment: None,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    limit: Limit,
    decides: str,
    until: str,
) -> None:
    """The setting is that of the machine on which the scraper run is executed."""
    schedules = by_deployment.schedule_run
    there = {f"ADCE_{name}": value for name, value in settings.items()}
    processes: list[forks.Fork] = []

    async def is_executed(here: PrefectRun, fills: Sequence[Fill], attempt: int) -> FlowRun:
        flow_run = await schedules(here, fills, attempt)
        prefect = get_current_settings().to_environment_variables(exclude_unset=True)
        env = {**prefect, **there, "PREFECT__FLOW_RUN_ID": str(flow_run.id)}
        processes.append(forks.start(["-m", "prefect.engine"], env))
        return flow_run

    monkeypatch.setattr(by_deployment, "schedule_run", is_executed)
    report = run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert [process.wait(60) for process in processes] == [0]
    assert [status.limit for status in report.statuses.values()] == [limit]
    assert _read(_why(adce)) == ("deferred", limit, decides, until)
    assert sites.requests() == []


@pytest.mark.parametrize("limit", [Limit.LAKE])
def test_a_lake_that_is_full(
    adce: Adce,
    run_reconcile: Reconcile,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    monkeypatch.setenv("ADCE_LAKE", (small_disk / "lake").as_uri())
    monkeypatch.setenv("ADCE_RECONCILE__FILL_TIME_LIMIT", "6s")
    monkeypatch.setenv("ADCE_RECONCILE__TIME_BUDGET", "8s")
    monkeypatch.setenv("ADCE_RECONCILE__GRACE", "1s")

    async def has_no_room(run: Run) -> None:
        with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(b"x" * 4096)

    _before_it_fetches(monkeypatch, has_no_room)
    run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    (small_disk / "filler").unlink()
    assert _read(_why(adce)) == ("deferred", limit, "the lake, which cannot be written", NEXT_RUN)


@pytest.mark.parametrize(
    ("limit", "of"), [pytest.param(Limit.OPERATOR_PAUSE, of, id=of) for of in ("espn", "espn_scoreboard")]
)
def test_what_an_operator_has_paused(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
    of: str,
) -> None:
    """Once while a run is at work, and then before it begins; it goes on when the pause is over."""

    async def begins(_: Run) -> None:
        assert adce("pause", of, "--note", "their database moves").exit_code == 0

    def reconcile() -> Any:
        return run_reconcile(datasets=["espn_scoreboard", "nba_schedule"], since=DAY, until=DAY)

    monkeypatch.setenv("SUDO_USER", "ana")
    with monkeypatch.context() as first:
        _before_it_fetches(first, begins)
        reports = [reconcile()]
    reports.append(reconcile())
    assert {request["source"] for request in sites.requests()} == {"nba_api"}
    for report in reports:
        assert report.deferrals == [(KEY, "paused with no end by ana: their database moves", None)]
    assert _read(_why(adce)) == ("deferred", limit, f"an operator, who has paused {of}", None)
    assert adce("resume", of).stdout.splitlines() == [
        f"ended: {of} paused with no end by ana: their database moves",
        "1 file of espn_scoreboard is fetched by the next run, or by one at work; one begins every 15m if "
        "`adce up` or a schedule runs",
    ]
    assert _why(adce)["state"] == "gap"
    assert reconcile().filled == [KEY]


@pytest.mark.parametrize(
    ("limit", "in_mid_run"), [pytest.param(Limit.BUCKET, later, id=f"{later}") for later in (False, True)]
)
def test_a_source_whose_rate_bucket_is_switched_off(
    adce: Adce,
    run_reconcile: Reconcile,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
    in_mid_run: bool,
) -> None:
    async def change(*, active: bool) -> None:
        async with get_client() as client:
            off = GlobalConcurrencyLimitUpdate.parse_obj({"active": active})
            await client.update_global_concurrency_limit(bucket_for("espn"), off)

    scope: dict[str, Any] = {"datasets": ["espn_scoreboard", "nba_schedule"], "since": DAY, "until": DAY}
    run_reconcile(**scope, max_fills=0)
    if in_mid_run:
        _before_it_fetches(monkeypatch, lambda _: change(active=False))
    else:
        asyncio.run(change(active=False))
    try:
        report = run_reconcile(**scope)
    finally:
        asyncio.run(change(active=True))
    assert {request["source"] for request in sites.requests()} == {"nba_api"}, "the other sources go on"
    assert {(key, reason.split(";")[0]) for key, reason, _ in report.deferrals} == {
        (KEY, "rate bucket 'adce-espn' is inactive")
    }
    assert _read(_why(adce)) == (
        "deferred",
        limit,
        "the rate bucket of espn in Prefect, which `adce setup` mends",
        NEXT_RUN,
    )
    plan = adce(
        "plan", "--json", "--as-of", NOW.isoformat(), "--since", f"{DAY}", "--until", f"{DAY}", "--source", "espn"
    )
    assert json.loads(plan.stdout)["cells"]["deferred"] == 1, "it goes by what the last run has found"


@pytest.mark.parametrize("limit", [Limit.LEDGER])
def test_a_ledger_that_another_program_holds(
    adce: Adce,
    run_reconcile: Reconcile,
    adce_home: Path,
    sites: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    limit: Limit,
) -> None:
    """The run ends by that; the ledger can be written again when it has seen it."""
    monkeypatch.setattr(database, "LOCKED_SECONDS", 0)
    sees = Run.why_not_written
    with closing(sqlite3.connect(adce_home / "ledger.db", isolation_level=None, check_same_thread=False)) as other:

        async def is_locked(run: Run) -> None:
            other.execute("BEGIN IMMEDIATE")

        def is_free(run: Run, error: LedgerError) -> Reason:
            other.execute("ROLLBACK")
            return sees(run, error)

        _before_it_fetches(monkeypatch, is_locked)
        monkeypatch.setattr(Run, "why_not_written", is_free)
        with pytest.raises(LedgerError, match="locked"):
            run_reconcile(datasets=["espn_scoreboard"], since=DAY, until=DAY)
    assert sites.requests() == []
    assert _read(_why(adce)) == ("deferred", limit, "the ledger, which cannot be written", NEXT_RUN)


def _before_it_fetches(monkeypatch: pytest.MonkeyPatch, happens: Callable[[Run], Awaitable[None]]) -> None:
    """Has something happen when a run has looked at the lake and made its plan."""
    begins = Run.prepare_lake

    async def begin(run: Run) -> None:
        await begins(run)
        await happens(run)

    monkeypatch.setattr(Run, "prepare_lake", begin)


def _iso(moment: datetime | None) -> str | None:
    return moment and moment.isoformat().replace("+00:00", "Z")
