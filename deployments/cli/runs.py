"""What ran, and how did it end? The command `adce runs`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Set
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from config.secrets import masked
from deployments.cli.layout import print_pairs, say, standard_output
from deployments.cli.ledger import opened
from deployments.cli.options import JsonOption, Places, begin_of
from deployments.cli.output import print_json
from deployments.prefect_api.settings import api_url, link_to_run
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.flow_names import DEPLOYED, FLOWS
from tasks.domain.flow_states import AT_WORK
from tasks.domain.times import SKEW
from tasks.domain.wording import duration, utc

if TYPE_CHECKING:
    from config.models import Config
    from deployments.prefect_api.flow_runs import FlowRun, FlowRuns, LogRecord
    from tasks.answers.runs import PastRun
    from tasks.ledger import Ledger

_MOST = 10_000  # runs that are looked at
_MOST_WARNINGS = 200  # of a run that are shown
_NARROW = 80  # columns of a terminal, with less of which a list has no ids


def runs(
    which: Annotated[str | None, typer.Argument(metavar="[NAME|ID]", help="Show this run in full.")] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="7d", help="How far back to look, as 7d or 12h, or a day.")
    ] = "7d",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=_MOST, help="At most N runs.")] = 20,
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
    from tasks.answers.runs import chosen, full_id
    from tasks.show.documents.operations import RunsAnswer

    begin = begin_of("--since", since, datetime.now(UTC))
    with opened(places, Access.LOOK) as (config, ledger):
        flows = FLOWS if everything or which else DEPLOYED
        id = full_id(which) if which else None
        found, server, trouble = asyncio.run(
            _of_id(ledger, id) if id else _of_late(ledger, flows, begin, _MOST if which else limit, which)
        )
        if trouble and not as_json:
            typer.echo(masked(f"adce: {trouble}"), err=True)
        if which is None:
            if as_json:
                print_json(RunsAnswer.of(found[:limit], trouble).as_json())
            else:
                _list(found[:limit], since)
            return
        run = chosen(found, which)
        if run is None:
            further = f"{_within(since)}; `adce runs` lists them, and --since 30d looks further back"
            where = "in the ledger or in Prefect" if id else further
            raise AdceError(f"no run {which!r} {where}")
        if as_json:
            print_json(RunsAnswer.of([run], trouble).as_json())
        else:
            _show(config, ledger, server, run)


async def _of_late(
    ledger: Ledger, flows: Sequence[str], begin: datetime, most: int, which: str | None
) -> tuple[list[PastRun], str | None, str | None]:
    """The runs since a time, with those at work that began before, and what `_ask` returns besides."""
    from tasks.answers.runs import joined
    from tasks.ledger.leases import live_flow_runs

    alive = live_flow_runs(ledger.database)
    recorded = ledger.runs.begun_since(begin, flows, most, alive)
    ids = set() if which else {record.flow_run for record in recorded if record.flow_run}
    in_prefect, server, trouble = await _ask(ledger, lambda runs: found_by(runs, flows, begin, most, which, ids))
    return joined(in_prefect, recorded, alive), server, trouble


async def _of_id(ledger: Ledger, id: UUID) -> tuple[list[PastRun], str | None, str | None]:
    """The runs of an id in the ledger or in Prefect, whenever they began, and what `_ask` returns besides."""
    from tasks.answers.runs import joined
    from tasks.ledger.leases import live_flow_runs

    recorded = ledger.runs.of_id(id)
    ids = {str(id), *(record.flow_run for record in recorded if record.flow_run)}
    in_prefect, server, trouble = await _ask(ledger, lambda runs: runs.by_ids(FLOWS, ids))
    return joined(in_prefect, recorded, live_flow_runs(ledger.database)), server, trouble


async def _ask(
    ledger: Ledger, ask: Callable[[FlowRuns], Awaitable[list[FlowRun]]]
) -> tuple[list[PastRun], str | None, str | None]:
    """The runs that Prefect tells, and its server; or none, and why Prefect cannot be asked."""
    from deployments.prefect_api.client import api_of
    from deployments.prefect_api.flow_runs import FlowRuns

    last_server = ledger.runs.last_server()
    try:
        server = api_url() or last_server
        if server is None:
            raise AdceError("no server is named")
        async with api_of(server) as api:
            return [_past(run) for run in await ask(FlowRuns(api))], server, None
    except AdceError as error:
        return [], None, f"runs that only Prefect knows are not shown: {error}"


async def found_by(
    runs: FlowRuns, flows: Sequence[str], begin: datetime, most: int, which: str | None, ids: Set[str]
) -> list[FlowRun]:
    """All runs in Prefect, or only those of the name `which` if there are any: it may also be the beginning of an id.

    Those with the `ids` are among them, even if `most` others were due after them.
    """
    from deployments.prefect_api.flow_runs import due, in_states

    of_late = due(after=begin, before=datetime.now(UTC))
    found: list[FlowRun] = []
    if which:
        named = {"name": {"any_": [which, which.partition(" ")[2]]}}
        found = await runs.find(flows, of_late | named, last_first=True, most=most)
    if not found:
        found += await runs.find(flows, in_states("PENDING", *AT_WORK), last_first=True, most=most)
        found += await runs.find(flows, of_late, last_first=True, most=most)
    by_id = {run.id: run for run in found}
    return [*by_id.values(), *await runs.by_ids(flows, ids - by_id.keys())]


def _past(run: FlowRun) -> PastRun:
    from tasks.answers.runs import PastRun

    return PastRun(
        id=None,
        flow_run=run.id,
        name=run.full_name,
        state=run.state,
        began=run.began or run.due or run.since,
        ended=run.ended,
        message=run.message,
        is_running=run.is_at_work,
        has_begun=run.began is not None,
    )


def _list(found: list[PastRun], since: str) -> None:
    for line in lines_of(found, standard_output().width):
        say(line)
    if not found:
        say(f"no run {_within(since)}")


def _within(since: str) -> str:
    """The time that was looked at: "within 7d", or "since 2026-01-15"."""
    return f"{'since' if since.count('-') == 2 else 'within'} {since}"


def lines_of(found: Iterable[PastRun], width: int) -> Iterator[str]:
    """Each run as a line. It begins with an id that `adce runs ID` takes, unless the terminal is narrow."""
    for run in found:
        id = f"{run.short_id}  " if width >= _NARROW else ""
        message = f": {run.message}" if run.message else ""
        where = f" on {run.holder}" if run.is_running and run.holder else ""
        yield f"{id}{_begun(run)}  {run.name}  {run.state}{_took(run)}{where}{message}"


def _begun(run: PastRun) -> str:
    ahead = " (ahead of this machine's clock)" if run.began > datetime.now(UTC) + SKEW else ""
    return f"{utc(run.began)}{ahead}"


def _took(run: PastRun) -> str:
    until = datetime.now(UTC) if run.is_running else run.ended
    if until is None or until < run.began:  # a clock was wrong
        return ""
    return f" {'for' if run.is_running else 'after'} {duration(until - run.began)}"


def _show(config: Config, ledger: Ledger, server: str | None, run: PastRun) -> None:
    from rich.markup import escape

    from tasks.answers.runs import results
    from tasks.domain.expected.keys import KeyPatterns

    rows = {
        "run": run.name,
        "state": f"{run.state}{_took(run)}",
        "message": run.message,
        "begun" if run.has_begun else "due": _begun(run),
        "by": run.holder or "",
        "ids": ", ".join(filter(None, [run.id and f"ledger {run.id}", run.flow_run and f"Prefect {run.flow_run}"])),
        "in the UI": link_to_run(server, run.flow_run) if server and run.flow_run else "",
    }
    print_pairs(standard_output(), {name: escape(masked(text)) for name, text in rows.items() if text})
    for line in results(ledger.attempts.outcomes_of(run.id), KeyPatterns(config)) if run.id else []:
        say(line)
    if server and run.flow_run:
        end = f"{run.state}: {run.message}"  # it is the last line of the log, too
        for record in asyncio.run(_warnings(server, run.flow_run)):
            if record.message != end:
                say(f"log: {record.message}")


async def _warnings(server: str, flow_run: str) -> list[LogRecord]:
    from deployments.prefect_api.client import api_of
    from deployments.prefect_api.flow_runs import FlowRuns

    async with api_of(server) as api:
        return await FlowRuns(api).warnings({"flow_run_id": {"any_": [flow_run]}}, _MOST_WARNINGS)
