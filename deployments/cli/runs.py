"""What ran, and how did it end? The command `adce runs`."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from config.secrets import masked
from deployments.cli.layout import print_pairs, say, standard_output
from deployments.cli.options import JsonOption, Places, span_of
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.wording import duration, utc

if TYPE_CHECKING:
    from config.models import Config
    from tasks.answers.runs import PastRun
    from tasks.ledger import Ledger

_FLOWS = ("reconcile", "fill")
_SCRAPERS = ("scraper", "scrape")
_SHORTEST_ID = 6


def runs(
    which: Annotated[str | None, typer.Argument(metavar="[NAME|ID]", help="Show this run in full.")] = None,
    since: Annotated[str, typer.Option("--since", metavar="7d", help="How far back to look, as 7d or 12h.")] = "7d",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=200, help="At most N runs.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Also the scraper runs of reconciles and fills.")] = False,
    *,
    places: Places,
    as_json: JsonOption = False,
) -> None:
    """Shows the runs and how they ended, also those that crashed or never began. Those at work come first.

    It joins the runs that the ledger knows with those that Prefect knows. It asks the server that PREFECT_API_URL
    names, or that of the last run.

    Example: adce runs --since 1d
    """
    from tasks.ledger import Ledger
    from tasks.show.operations import RunsAnswer

    config, now = places.load(), datetime.now(UTC)
    begin = now - span_of("--since", since)
    with closing(Ledger(config.ledger, Access.LOOK)) as ledger:
        server = os.environ.get("PREFECT_API_URL") or ledger.runs.last_server()
        flows = (*_FLOWS, *_SCRAPERS) if everything or which else _FLOWS
        found, trouble = asyncio.run(_all(ledger, server, flows, begin, now, 200 if which else limit))
        if which is None:
            if as_json:
                print_json(RunsAnswer.of(found[:limit], trouble).as_json())
            else:
                _list(found[:limit], trouble, since)
            return
        run = _chosen(found, which, since)
        if as_json:
            print_json(RunsAnswer.of([run], trouble).as_json())
        else:
            _show(config, ledger, server if trouble is None else None, run)


async def _all(
    ledger: Ledger, server: str | None, flows: tuple[str, ...], begin: datetime, now: datetime, most: int
) -> tuple[list[PastRun], str | None]:
    """The runs, and why Prefect's are not among them, if they are not."""
    from deployments.setup.history import runs_of
    from tasks.answers.runs import joined
    from tasks.ledger.leases import Leases

    in_prefect, trouble = [], None
    if server is None:
        trouble = "PREFECT_API_URL names no server: what only Prefect knows is not here"
    else:
        try:
            in_prefect = await runs_of(server, flows, begin, now, most)
        except AdceError as error:
            trouble = f"{error}: what only Prefect knows is not here"
    alive = Leases(ledger.database, "", timedelta()).live_flow_runs()
    return joined(in_prefect, ledger.runs.begun_since(begin, flows, most), alive), trouble


def _list(found: list[PastRun], trouble: str | None, since: str) -> None:
    for run in found:
        message = f": {run.message}" if run.message else ""
        where = f" on {run.holder}" if run.is_running and run.holder else ""
        say(masked(f"{utc(run.began)}  {run.name}  {run.state}{_took(run)}{where}{message}"))
    if not found:
        say(f"no run within {since}")
    if trouble:
        typer.echo(masked(f"adce: {trouble}"), err=True)


def _took(run: PastRun) -> str:
    if run.is_running:
        return f" for {duration(datetime.now(UTC) - run.began)}"
    return f" after {duration(run.ended - run.began)}" if run.ended else ""


def _chosen(found: list[PastRun], which: str, since: str) -> PastRun:
    """The run of an id, or of the first characters of one; else the newest of a name. Raises AdceError."""
    for run in found:
        if len(which) >= _SHORTEST_ID and any(id and id.startswith(which) for id in (run.id, run.flow_run)):
            return run
    named = [run for run in found if which in (run.name, run.name.partition(" ")[2])]
    if not named:
        raise AdceError(f"no run {which!r} within {since}; `adce runs` lists them, and --since 30d looks further back")
    return max(named, key=lambda run: run.began)


def _show(config: Config, ledger: Ledger, server: str | None, run: PastRun) -> None:
    from rich.markup import escape

    from deployments.setup.history import warnings_of
    from tasks.answers.runs import results
    from tasks.domain.expected.keys import KeyPatterns

    ui = f"{server.rstrip('/').removesuffix('/api')}/flow-runs/flow-run/{run.flow_run}" if server else ""
    rows = {
        "run": run.name,
        "state": f"{run.state}{_took(run)}",
        "message": run.message,
        "begun": utc(run.began),
        "by": run.holder or "",
        "ids": ", ".join(filter(None, [run.id and f"ledger {run.id}", run.flow_run and f"Prefect {run.flow_run}"])),
        "in the UI": ui,
    }
    print_pairs(standard_output(), {name: escape(masked(text)) for name, text in rows.items() if text})
    for line in results(ledger.attempts.outcomes_of(run.id), KeyPatterns(config)) if run.id else []:
        say(masked(line))
    for line in asyncio.run(warnings_of(server, run.flow_run)) if server and run.flow_run else []:
        say(masked(f"log: {line}"))
