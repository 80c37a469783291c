"""What does `adce up` run, and in which order? A Prefect server, its set-up and deployments, and a worker."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import prefect
import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL, temporary_settings
from pydantic import TypeAdapter, ValidationError
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from blocks.store import Store
from config.load import load_config
from config.models import Config
from deployments.prefect_api.client import PrefectApi
from deployments.prefect_api.flow_runs import FlowRuns
from deployments.prefect_api.pauses import as_paused, known
from deployments.prefect_api.unusable import why_unusable
from deployments.prefect_yaml import ROOT, Deployment, deployments_for
from deployments.process_facts import process_facts
from deployments.setup.api import check_api
from deployments.setup.prefect_server import WORK_POOL, set_up
from deployments.up.announcer import Announcer
from deployments.up.children import Child, Children, GivenUp, Need
from deployments.up.databases import away
from deployments.up.events import tell_of_events, watch_of
from deployments.up.follow import ANSWERS_WITHIN, follow, tell_the_last
from deployments.up.lines import LogFormat, Printer
from deployments.up.locks import advisory_lock, exclusive_lock, ledger_lock
from deployments.up.log_records import delete_orphans
from deployments.up.poller import PrefectPoller
from deployments.up.ports import LOOPBACK, is_free
from deployments.up.prefect_database import url_of
from deployments.up.run_fields import RunFields
from deployments.up.run_ids import RunIds
from deployments.up.serving import service_of
from flows.log_format import AS_JSON
from tasks.answers.without_effect import events_without_effect
from tasks.domain.errors import AdceError
from tasks.domain.flow_names import FILL, RECONCILE
from tasks.domain.wording import duration, plural, signal_name, utc
from tasks.ledger import Ledger
from tasks.log_lines import LOG_FORMAT
from tasks.publish.telling import telling

if TYPE_CHECKING:
    from deployments.sandbox.system import SandboxSystem

_SERVER_STARTS_WITHIN = 120  # seconds
_STOP_SPARE = timedelta(seconds=25)  # time after a run's grace in which it looks at the lake again and records
_LISTS_WITHIN = timedelta(minutes=2)  # time in which the lake has to be listed before its first run
_OF_THE_SECOND = f"stop it, or start only one more worker: prefect worker start --pool {WORK_POOL}"
_NOT_KNOWN = "what the first runs will collect is not known"
_TIDY_EVERY = 900.0  # seconds between two deletions of log records
WORKER_POLLS_EVERY = "2"  # seconds; Prefect's default of 10 would delay each run by 5 seconds on average
_PYTHON = (sys.executable, "-W", "ignore")
_FIRST_RUN = (*_PYTHON, "-m", "deployments.up.first_run")
_PREFECT = (*_PYTHON, "-c", "from prefect.cli import app; app()")


def up(
    port: int,
    sandbox: SandboxSystem | None = None,
    *,
    serve_port: int | None = None,
    verbose: bool = False,
    log_format: LogFormat = LogFormat.TEXT,
) -> int:
    """Runs everything until a signal stops it. The service listens on `serve_port`, or on that of the settings.

    Returns the exit status: 0 after one signal, 1 if what it needs is away or keeps dying, 128 and more after a second
    signal. Raises AdceError and ConfigError.
    """
    _make_paths_absolute()
    config = load_config()
    printer = Printer(log_format)
    try:
        with _only_server(), ledger_lock(config.ledger, _OF_THE_SECOND):
            prepare_ledger(config, printer.say)
            return asyncio.run(_until_signal(System(config, port, sandbox, printer, serve_port), printer, verbose))
    except GivenUp as error:
        printer.say(f"given up: {error}", logging.ERROR)
        return 1


def prepare_ledger(config: Config, say: Callable[[str], None]) -> None:
    """Creates the ledger or migrates it, and says so. Raises LedgerError if runs could not use it."""
    with closing(Ledger(config.ledger)) as ledger:
        if migration := ledger.database.migration:
            say(f"ledger {ledger.name} is {migration}")


def _only_server() -> AbstractContextManager[None]:
    """A lock on the database of our own Prefect server, because two servers would both schedule its runs.

    It raises AdceError if another `adce up` holds the lock, or if the database has no proper address, and GivenUp if
    the database cannot be reached. A database in memory is nobody else's.
    """
    if PREFECT_API_URL.value():
        return nullcontext()
    address = PREFECT_API_DATABASE_CONNECTION_URL.value()
    url = url_of(address)
    if url.get_backend_name() != "sqlite":
        return advisory_lock(address, "stop it, or let PREFECT_API_DATABASE_CONNECTION_URL name another database")
    if not url.database or ":memory:" in url.database:
        return nullcontext()
    database = Path(url.database)
    return exclusive_lock(
        database.with_name(f"{database.name}.up.lock"), "stop it, or let PREFECT_HOME name another folder"
    )


class System:
    """All processes on this machine, with a Prefect server of its own unless PREFECT_API_URL names one."""

    def __init__(
        self,
        config: Config,
        port: int,
        sandbox: SandboxSystem | None,
        printer: Printer,
        serve_port: int | None = None,
    ):
        self._config = config
        self._serve_port = serve_port
        self._say = printer.say
        self._is_json = printer.format is LogFormat.JSON
        self.run_fields = RunFields()
        self._port = port
        self._sandbox = sandbox
        self._id = uuid4().hex
        self._own_server = not PREFECT_API_URL.value()
        self._api_answers = Need("the Prefect API answers again", asyncio.Event())
        self.api: str = PREFECT_API_URL.value() or f"http://{LOOPBACK}:{port}/api"
        # Environment of Prefect's commands. An error is one line.
        self._of_commands = {"PREFECT_API_URL": self.api, "PREFECT_CLI_WRAP_LINES": "false"}

    @property
    def _of_adce(self) -> dict[str, str]:
        """Environment of ADCE's own commands."""
        return self._of_commands | ({LOG_FORMAT: "json"} if self._is_json else {})

    async def run(self, children: Children) -> None:
        """Starts everything in order, and then tells what there is to tell of the runs, until it is cancelled."""
        entries = deployments_for([WORK_POOL])
        if self._sandbox:
            children.keep(self._sandbox.sites)
            if lake := self._sandbox.instead_of:
                self._say(f"--sandbox fills {self._sandbox.lake}; the lake of the settings, {lake}, is not used")
        if self._own_server:
            if not is_free(self._port):
                raise AdceError(
                    f"port {self._port} is in use; take another with --port, or, if a Prefect server is there, "
                    f"use it: export PREFECT_API_URL={self.api}"
                )
            self._say(f"a Prefect server starts on port {self._port}; that can take half a minute")
            children.keep(self._server())
        await self._wait_for_server()
        self._say(f"Prefect {prefect.__version__} answers; the UI is {self.api.removesuffix('/api')}")
        if self._own_server:
            self._say(f"for commands in another terminal, such as `prefect`: export PREFECT_API_URL={self.api}")
        for difference in await set_up(self._config):
            if not difference.what.startswith("deployment "):  # they are deployed below
                level = logging.INFO if difference.correct else logging.WARNING
                self._say(f"set up: {difference.done}", level)
        deployments = await self._as_on_server([self._as_configured(one) for one in entries])
        with tempfile.TemporaryDirectory(prefix="adce-") as folder:
            await children.run(self._deploy(deployments, Path(folder)))
        self._say(f"deployed: {', '.join(one.full_name for one in deployments)}")
        async with _quick_client() as client:
            api = PrefectApi.of_client(client)
            poller = PrefectPoller(api, WORK_POOL, entries, datetime.now(UTC))
            announcer = Announcer(self._config.reconcile.interval, datetime.now(UTC), self.run_fields.of)
            is_paused = not any(one.is_scheduled for one in deployments if _is_reconcile(one))
            worker = self._worker()
            children.keep(worker)
            with_runs, beside = [worker], [self._delete_log_records()]
            if watch := watch_of(self._config, self._of_adce, self.runs_end_within):
                children.keep(watch)
                with_runs.append(watch)
                self._say(f"adce watch starts, to receive what S3 tells of the lake from {self._config.events.queue}")
                beside.append(tell_of_events(self._config, self._say))
            if service := self.service():
                children.keep(service)
            if line := events_without_effect(self._config):
                self._say(line, logging.WARNING)
            every = f"every {duration(self._config.reconcile.interval)}"
            runs = (
                f"a reconcile {every}, when its schedule is resumed" if is_paused else f"a reconcile now, and {every}"
            )
            self._say(f"a worker runs what is due: {runs}; Ctrl-C stops everything")
            if self._sandbox:
                self._say(f"delete files under {self._sandbox.lake}, and see them come back")
                self._say(f"to look at this lake: {self._sandbox.look}")
                clock = utc(datetime.fromisoformat(self._sandbox.as_of))
                self._say(f"its clock stands at {clock}, and so do looks at it in coverage, metrics and dashboards")
            answers, begin = self._api_answers.is_met, partial(self._reconcile_now, api, deployments)
            complete = RunIds(self._config.ledger).added
            try:
                following = follow(poller, announcer, self._say, answers, begin, self._databases_away, complete)
                facts = process_facts(self._config)
                with nullcontext() if service else telling(self._config, facts, facts.watches):
                    await asyncio.gather(following, *beside)
            except asyncio.CancelledError:
                await asyncio.gather(*map(children.end, with_runs))
                await tell_the_last(poller, announcer, self._say, complete)
                raise

    @property
    def runs_end_within(self) -> timedelta:
        """The time that runs have to end when everything is stopped."""
        return self._config.reconcile.grace + _STOP_SPARE

    def service(self) -> Child | None:
        """The process of `adce serve`; None if there is none."""
        return service_of(self._config, self._serve_port, self._of_adce, self._say)

    async def announce_first_runs(self, children: Children) -> None:
        """Says what the first runs of the lake will collect. All else goes on meanwhile, since the lake may be slow."""
        if self._sandbox:
            return
        child = Child("first_run", _FIRST_RUN, stops_within=1.0, is_shown=False)
        try:
            lines = _lines_of(await children.run(child, _LISTS_WITHIN.total_seconds()))
        except TimeoutError:
            trouble = f"the lake has not been listed within {duration(_LISTS_WITHIN)}; `adce plan` tells it"
            self._say(f"{_NOT_KNOWN}: {trouble}", logging.WARNING)
        except AdceError as error:
            self._say(f"{_NOT_KNOWN}: {error}", logging.WARNING)
        else:
            for line in lines:
                self._say(line)

    async def _databases_away(self) -> list[str]:
        """A line about each database that cannot be used now, of those that `adce up` knows."""
        prefect = PREFECT_API_DATABASE_CONNECTION_URL.value() if self._own_server else None
        return await asyncio.to_thread(away, self._config.ledger, prefect)

    async def _delete_log_records(self) -> None:
        """Deletes old log records in the database of our own server, every quarter of an hour.

        Nobody else can reach a database in memory.
        """
        address = PREFECT_API_DATABASE_CONNECTION_URL.value()
        while self._own_server and ":memory:" not in address:
            before = datetime.now(UTC) - self._config.keep.runs
            try:
                deleted = await asyncio.to_thread(delete_orphans, address, before)
            except AdceError as error:
                self._say(f"old log records are not deleted: {error}", logging.WARNING)
            else:
                if deleted:
                    text = f"{plural(deleted, 'log record')} from before {utc(before)} deleted in Prefect's database"
                    self._say(text)
            await asyncio.sleep(_TIDY_EVERY)

    def _server(self) -> Child:
        env = {
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_API_HOST": LOOPBACK,
            "PREFECT_SERVER_API_PORT": str(self._port),
            # With events, an automation can wait for a state by its name, such as prefect.flow-run.Incomplete.
            "PREFECT_EXPERIMENTAL_EVENTS": os.environ.get("PREFECT_EXPERIMENTAL_EVENTS", "true"),
            "PREFECT_API_SERVICES_EVENT_LOGGER_ENABLED": "false",  # it would print every event
            "PREFECT_SERVER_ANALYTICS_ENABLED": os.environ.get("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
        }
        return Child("server", server_command(self._port), env)

    def _worker(self) -> Child:
        """A worker of this machine's pool.

        At a signal it starts no more flow runs and waits for those that run. They get the same signal, because they
        belong to its process group.
        """
        argv = [*_PREFECT, "worker", "start", "--pool", WORK_POOL, "--name", socket.gethostname()]
        every = os.environ.get("PREFECT_WORKER_QUERY_SECONDS", WORKER_POLLS_EVERY)
        # The runs inherit the filter of warnings, and without it print those of Prefect's own code.
        quiet = os.environ.get("PYTHONWARNINGS", "ignore")
        env = self._of_commands | {"PREFECT_WORKER_QUERY_SECONDS": every, "PYTHONWARNINGS": quiet}
        env |= AS_JSON if self._is_json else {}
        return Child("worker", argv, env, self.runs_end_within.total_seconds(), needs=self._api_answers)

    def _deploy(self, deployments: list[Deployment], folder: Path) -> Child:
        """The command `prefect --no-prompt deploy --all`, for the deployments of this machine's pool only."""
        project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
        file = folder / "prefect.yaml"
        file.write_text(yaml.safe_dump(project | {"deployments": [one.entry for one in deployments]}))
        argv = [*_PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        return Child("prefect deploy", argv, self._of_commands, cwd=ROOT, is_shown=False)

    def _as_configured(self, deployment: Deployment) -> Deployment:
        """The deployment with the configured interval, and with the sandbox's clock if there is a sandbox."""
        entry = deployment.entry
        if self._sandbox and deployment.flow in (RECONCILE, FILL):
            span = self._sandbox.span if deployment.flow == RECONCILE else {}
            entry = entry | {"parameters": entry["parameters"] | {"as_of": self._sandbox.as_of} | span}
        if _is_reconcile(deployment) and deployment.interval is not None:
            interval = self._config.reconcile.interval
            schedule = entry["schedules"][0] | {"interval": interval.total_seconds()}
            if self._sandbox:
                schedule["anchor_date"] = (datetime.now(UTC) + interval).isoformat()
            entry = entry | {"schedules": [schedule]}
        return replace(deployment, entry=entry)

    async def _as_on_server(self, deployments: list[Deployment]) -> list[Deployment]:
        """The deployments, paused where a person has paused them in Prefect."""
        async with get_client() as client:
            have = (await known(PrefectApi.of_client(client), [WORK_POOL])).deployments
        return [as_paused(one, have) for one in deployments]

    async def _wait_for_server(self) -> None:
        """Waits until our own server answers, for 120 seconds; a server that others run is asked once.

        Raises GivenUp if it does not answer as a Prefect server.
        """
        if not self._own_server:
            await self._check_server()
            return
        asking = AsyncRetrying(
            retry=retry_if_result(bool),
            stop=stop_after_delay(_SERVER_STARTS_WITHIN),
            wait=wait_fixed(0.1),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        async with get_client() as client:
            trouble: Exception | None = await asking(client.api_healthcheck)
        if trouble:
            raise GivenUp(f"the Prefect server has not answered for {_SERVER_STARTS_WITHIN} s: {trouble}")

    async def _check_server(self) -> None:
        """Raises GivenUp if the server that others run does not answer, or is no Prefect server."""
        try:
            await check_api()
        except Exception as error:
            reason = str(error) if isinstance(error, AdceError) else why_unusable(error, self.api)
            if reason is None:
                raise
            raise GivenUp(reason) from None

    async def _reconcile_now(self, api: PrefectApi, deployments: list[Deployment]) -> None:
        """Starts a run of each scheduled reconcile. However often it is called, there is one of each."""
        now = {(one.entrypoint, one.name) for one in deployments if _is_reconcile(one) and one.is_scheduled}
        for one in (await known(api, [WORK_POOL])).deployments:
            if (one.entrypoint, one.name) in now:
                await FlowRuns(api).create(one.id, key=f"adce up {self._id}")


def server_command(port: int) -> list[str]:
    """Command line of Prefect's server on loopback, with the settings of `prefect server start`.

    That command itself would wait a minute for a port on which connections of a dead server still linger.
    """
    app = ["--app-dir", str(Path(prefect.__file__).parents[1]), "--factory", "prefect.server.api.server:create_app"]
    where = ["--host", LOOPBACK, "--port", str(port), "--timeout-keep-alive", "5", "--log-level", "warning"]
    return [*_PYTHON, "-m", "uvicorn", *app, *where]


async def _until_signal(system: System, printer: Printer, verbose: bool) -> int:
    """Runs the system until a signal or an error stops it. Returns the exit status (see `up`)."""
    show = printer.show if verbose else None
    children = Children(printer.warn, show=show, tell=printer.say, note=system.run_fields.note)
    received: list[int] = []
    with temporary_settings({PREFECT_API_URL: system.api}):
        work = asyncio.create_task(system.run(children))
    announcing = asyncio.create_task(system.announce_first_runs(children))

    def receive(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            name, most = signal_name(number), duration(system.runs_end_within)
            again = name if number == signal.SIGINT else "signal"
            printer.say(
                f"{name}: stopping; runs end first, within at most {most}; a second {again} ends everything at once"
            )
            work.cancel()
        else:
            children.kill()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, receive, number)
    watching = asyncio.create_task(children.given_up())
    try:
        await asyncio.wait({work, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        tasks = (work, watching, announcing)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await children.stop()
    gc.freeze()  # the last look for garbage takes the interpreter a second or more at its end
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    printer.say("stopped")
    return 0 if len(received) < 2 else 128 + received[-1]


def _lines_of(output: Sequence[str]) -> list[str]:
    """The lines about the first runs that the process for them has printed, which are its last line.

    Raises AdceError if it has printed none, as a process that ends in the middle does.
    """
    try:
        lines: list[str] = TypeAdapter(list[str]).validate_json(output[-1] if output else "")
    except ValidationError:
        raise AdceError("the process that looks has printed nothing of it; `adce plan` tells it") from None
    return lines


def _quick_client() -> PrefectClient:
    """A client that gives up early, because `adce up` has to tell that a server hangs."""
    return get_client(httpx_settings={"timeout": ANSWERS_WITHIN})


def _is_reconcile(deployment: Deployment) -> bool:
    return deployment.flow == RECONCILE


def _make_paths_absolute() -> None:
    """Makes paths in this process's environment absolute, because flow runs have another working directory."""
    config = load_config()
    if config.lake.startswith("file:"):
        folder = Store(config.lake).folder
        assert folder is not None
        os.environ["ADCE_LAKE"] = folder.as_uri()
    scheme, _, path = config.ledger.partition(":///")
    if scheme == "sqlite" and path:
        os.environ["ADCE_LEDGER"] = f"sqlite:///{Path(path).absolute()}"
    if file := os.environ.get("ADCE_CONFIG"):
        os.environ["ADCE_CONFIG"] = str(Path(file).absolute())
