"""How are some files fetched first, and now? The command `adce fill`."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.models import Priority
from config.secrets import masked
from deployments.cli.lake import run_flow, show
from deployments.cli.layout import say
from deployments.cli.options import NAMES_FILES, AsOfOption, JsonOption, Places, VerboseOption
from deployments.cli.output import print_json
from deployments.prefect_api.settings import api_url, link_to_run, prefect_command, use_server
from tasks.domain.errors import AdceError
from tasks.domain.lakes import check_sites
from tasks.domain.times import check_fetching_clock, moment_of
from tasks.domain.wording import duration, plural

if TYPE_CHECKING:
    from config.models import Config
    from deployments.prefect_api.adhoc import AdhocDeployment
    from deployments.prefect_api.flow_runs import FlowRun
    from tasks.answers.asked import Asked

# Prefect keeps the keys as a parameter, and returns them with each list of runs. Measured: 5,000 keys are 0.26 MB, and
# the run is created in 0.2 s; 20,000 are 1.0 MB and 0.5 s; 85,000 are refused with HTTP 503.
_MOST_KEYS = 5_000
_FEWER = "name fewer at a time, such as those of a day"
_A_PART = (
    "name a part of the lake instead, as in `adce reconcile --source espn --season 2023-24`, or for a worker "
    "`prefect deployment run fill/adhoc -p source=espn -p season=2023-24 -p priority=CRITICAL`"
)


def fill(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help=f"Each is {NAMES_FILES}")],
    again: Annotated[
        bool, typer.Option("--again", help="Fetch also files that are whole; a bad answer replaces none of them.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait for the end of the run that a worker does.")
    ] = False,
    *,
    places: Places,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Fetches some files now, before all others: those of a key, a pattern, a game or a date.

    A worker does it, as the deployment fill/adhoc of the server that PREFECT_API_URL names, or that the last run used.
    If no worker is there to take it, this process does it.

    Example: adce fill 401585601
    """
    config = places.load()
    if config.dry_run:
        raise AdceError("dry_run is true: nothing is fetched; change the configuration")
    clock = moment_of("--as-of", as_of)
    check_fetching_clock(config, clock, datetime.now(UTC))
    asked, server = asyncio.run(_look(config, keys, clock, again))
    _check_number(asked, again)
    for line in asked.lines():
        _warn(f"left out: {line}")
    parameters: dict[str, Any] = {"keys": asked.keys, "priority": Priority.CRITICAL.value, "again": again}
    parameters |= {"as_of": clock.isoformat()} if clock else {}
    run = _by_worker(config, server, parameters, waits=not no_wait) if server else None
    if server and run:
        _show(config, server, run, as_json)
        return
    if no_wait:
        raise _no_wait("no worker is there to take it")
    if server is None:
        check_sites(config)
    report = run_flow("fill", parameters, verbose=verbose)
    show(report, as_json)
    if report.stop_signal:
        raise typer.Exit(128 + report.stop_signal)
    if not report.complete:
        raise typer.Exit(1)


async def _look(config: Config, texts: list[str], clock: datetime | None, again: bool) -> tuple[Asked, str | None]:
    """The files that are asked for, and the Prefect server that has to do with this ledger."""
    from tasks.answers.asked import asked_for
    from tasks.observe.session import open_both

    store, ledger, _ = await open_both(config)
    with closing(ledger):
        asked = await asked_for(config, ledger, store, texts, clock, again=again)
        return asked, api_url() or ledger.runs.last_server()


def _check_number(asked: Asked, again: bool) -> None:
    """Raises AdceError if there is no file to fetch, or if there are too many."""
    if not asked.keys:
        raise AdceError("; ".join(asked.lines()))
    if len(asked.keys) > _MOST_KEYS:
        raise AdceError(
            f"{len(asked.keys):,} files are to be fetched, and a fill takes up to {_MOST_KEYS:,} by their keys; "
            f"{_FEWER if again else _A_PART}"
        )


def _by_worker(config: Config, server: str, parameters: dict[str, Any], *, waits: bool) -> FlowRun | None:
    """The run of a worker of this server. None, after a line that says why, if this process has to fetch the files.

    If it does not wait for that, raises AdceError instead. Raises MismatchError if this process must not fetch them.
    """
    from deployments.prefect_api.adhoc import NoWorkerError, find_deployment
    from deployments.prefect_api.client import PrefectApiError, api_of

    async def find() -> AdhocDeployment:
        async with api_of(server) as api:
            return await find_deployment(api, config.work_pools)

    try:
        deployment = asyncio.run(find())
    except NoWorkerError as error:
        why, answers = str(error), True
    except PrefectApiError as error:
        if server == api_url():
            raise
        why, answers = f"the Prefect API at {server}, which the last run used, {error.trouble}", False
    else:
        return asyncio.run(_run_of(server, deployment, parameters, config.reconcile.start_within if waits else None))
    if not waits:
        raise _no_wait(why)
    check_sites(config)
    if answers:
        use_server(server)  # the run is seen there
    _warn(f"{why}; the files are fetched by this process")
    return None


def _no_wait(why: str) -> AdceError:
    return AdceError(f"--no-wait: {why}; start `adce up` or a worker, or leave --no-wait out")


async def _run_of(
    server: str, deployment: AdhocDeployment, parameters: dict[str, Any], start_within: timedelta | None
) -> FlowRun:
    """A new run of the deployment: its end, or if `start_within` is None, only its start."""
    from deployments.prefect_api.adhoc import end_of, start
    from deployments.prefect_api.client import api_of

    async with api_of(server) as api:
        run = await start(api, deployment, plural(len(parameters["keys"]), "file"), parameters)
        _warn(f"{deployment.name} fetches {run.name}: {link_to_run(server, run.id)}")
        if start_within is None:
            return run
        try:
            return await end_of(api, deployment, run, start_within, _warn)
        except asyncio.CancelledError:  # Ctrl-C
            _warn(f"the run goes on; to stop it: {prefect_command(server, f'flow-run cancel {run.id}')}")
            raise


def _warn(line: str) -> None:
    typer.echo(masked(f"adce: {line}"), err=True)


def _show(config: Config, server: str, run: FlowRun, as_json: bool) -> None:
    if as_json:
        url = link_to_run(server, run.id)
        print_json({"flow_run": run.id, "name": run.name, "url": url, "state": run.state, "message": run.message})
    else:
        say(f"{run.state}: {run.message}" if run.is_final else run.state)
    if run.state == "Crashed":
        _warn(
            f"what the run had stored stays in the lake, and its claims on the rest end within "
            f"{duration(config.reconcile.lease)}; then the same command fetches the rest"
        )
    if run.is_final and run.state != "Completed":
        raise typer.Exit(2 if run.state == "Failed" else 1)  # Failed: it could not begin
