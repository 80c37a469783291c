"""How are some files fetched first, and now? The command `adce fill`."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.models import Priority
from config.secrets import masked
from deployments.cli.lake import run_flow, show
from deployments.cli.layout import say
from deployments.cli.options import NAMES_FILES, AsOfOption, JsonOption, Places, VerboseOption
from deployments.cli.output import print_json
from tasks.domain.errors import AdceError
from tasks.domain.lakes import check_sites
from tasks.domain.times import check_fetching_clock, moment_of
from tasks.domain.wording import plural

if TYPE_CHECKING:
    from config.models import Config
    from deployments.setup.adhoc import Taker
    from tasks.answers.asked import Asked


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
    if not asked.keys:
        raise AdceError("; ".join(asked.lines()))
    for line in asked.lines():
        typer.echo(masked(f"adce: left out: {line}"), err=True)
    parameters: dict[str, Any] = {"keys": asked.keys, "priority": Priority.CRITICAL.value, "again": again}
    parameters |= {"as_of": clock.isoformat()} if clock else {}
    taker = asyncio.run(_taker(config, server))
    if taker:
        _by_worker(taker, parameters, as_json, waits=not no_wait)
        return
    if no_wait:
        raise AdceError("--no-wait: no worker is there to take it; start `adce up` or a worker, or leave --no-wait out")
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
        return asked, os.environ.get("PREFECT_API_URL") or ledger.runs.last_server()


async def _taker(config: Config, server: str | None) -> Taker | None:
    """Where a worker can take the run; None if none can. If the server answers, this process uses it too."""
    from deployments.setup.adhoc import Taker, find_taker

    if not server:
        return None
    is_named = bool(os.environ.get("PREFECT_API_URL"))
    try:
        found = await find_taker(server, config.work_pools)
    except AdceError as error:
        if is_named:
            raise
        typer.echo(f"adce: {error}, which the last run used; the files are fetched by this process", err=True)
        return None
    os.environ["PREFECT_API_URL"] = server
    if isinstance(found, Taker):
        return found
    typer.echo(masked(f"adce: {found}; the files are fetched by this process"), err=True)
    return None


def _by_worker(taker: Taker, parameters: dict[str, Any], as_json: bool, *, waits: bool) -> None:
    from deployments.setup.adhoc import end_of, start

    run = asyncio.run(start(taker, plural(len(parameters["keys"]), "file"), parameters))
    typer.echo(f"adce: {taker.name} fetches {run.name}: {run.url}", err=True)
    if waits:
        try:
            run = asyncio.run(end_of(taker, run))
        except KeyboardInterrupt:
            typer.echo(f"adce: the run goes on; to stop it: prefect flow-run cancel {run.id}", err=True)
            raise
    if as_json:
        print_json({"flow_run": run.id, "name": run.name, "url": run.url, "state": run.state, "message": run.message})
    else:
        say(f"{run.state}: {run.message}" if run.is_over else run.state)
    if run.is_over and run.state != "Completed":
        raise typer.Exit(2 if run.state == "Failed" else 1)  # Failed: it could not begin
