"""What does the lake lack, and how is it fetched? The commands `adce plan`, `adce reconcile` and `adce coverage`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from config.load import load_config
from config.secrets import masked
from deployments.cli.interrupts import before_the_run, during_a_dry_run, during_the_run
from deployments.cli.layout import standard_output
from deployments.cli.options import JsonOption, MaxFillsOption, Places, Scope, VerboseOption
from deployments.cli.output import print_json, write
from deployments.cli.sandbox import check_sandbox_installed, running_sandbox, unanswered, use_sandbox
from deployments.cli.terminal import prefect_log, progress
from deployments.cli.typed import typed
from deployments.prefect_api.settings import api_url
from tasks.domain.access import Access
from tasks.domain.assess.periods import By
from tasks.domain.errors import AdceError
from tasks.domain.lakes import check_sites
from tasks.domain.times import check_fetching_clock

if TYPE_CHECKING:  # Prefect takes seconds to import, and commands that do not need it should answer at once
    from prefect.states import State

    from config.models import Config
    from tasks.answers.report import Report
    from tasks.domain.assess.coverage import Coverage, Hole
    from tasks.domain.assess.unknown import MayListMore
    from tasks.domain.expected.cells import Selection


def plan(
    places: Places,
    scope: Scope,
    max_fills: MaxFillsOption = None,
    as_json: JsonOption = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit status 1 if anything remains to be done, or is unknown.")
    ] = False,
) -> None:
    """Shows what is missing, stale or broken, and what would be fetched in which order. Fetches nothing.

    If PREFECT_API_URL names a server on which the schedule or a work pool is paused, a warning says so. Another one
    tells of settings of events that have no effect.
    """
    from deployments.prefect_api.pauses import quick_look
    from tasks.answers.plan import plan_lake
    from tasks.answers.without_effect import events_without_effect

    config = places.load()
    selection, clock = scope.checked(config)
    of_events = filter(None, [events_without_effect(config)])
    for line in (*of_events, *asyncio.run(quick_look(config.work_pools))):
        typer.echo(masked(f"adce: warning: {line}"), err=True)
    with progress():
        report = asyncio.run(plan_lake(config, selection, as_of=clock, max_fills=max_fills))
    show(report, as_json)
    if exit_code and not report.complete:
        raise typer.Exit(1)


def reconcile(
    places: Places,
    scope: Scope,
    max_fills: MaxFillsOption = None,
    as_json: JsonOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and report, but fetch nothing.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="List the whole lake, as every run does that is not started by a schedule.")
    ] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Use a stand-in for the three sites, and a lake of its own.")
    ] = False,
    routes: Annotated[
        Path | None,
        typer.Option("--routes", metavar="FILE", help="With --sandbox: the stand-in's answers for your own datasets."),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Fetches what the lake lacks, the most important first."""
    if routes and not sandbox:
        raise AdceError("--routes: it is for --sandbox, whose stand-in gives these answers")
    options: tuple[str, ...] = ()
    with ExitStack() as stack:
        stack.enter_context(before_the_run())
        if sandbox:
            check_sandbox_installed()
            options = use_sandbox(places)
        config = load_config() if sandbox else places.load()
        selection, clock = scope.checked(config)
        if not (dry_run or config.dry_run):
            check_fetching_clock(config, clock, datetime.now(UTC))
            if not sandbox:
                check_sites(config)
        stand_in = stack.enter_context(running_sandbox(clock, routes)) if sandbox else None
        parameters = _parameters(selection, clock, max_fills, dry_run) | {"full": full}
        report = run_flow("reconcile", parameters, verbose=verbose)
        no_page = unanswered(stand_in.requests()) if stand_in else None
    show(report, as_json)
    if no_page:
        typer.echo(f"adce: {no_page}", err=True)
    if sandbox:
        typer.echo(f"to look at this lake: {typed('plan', *options, *scope.arguments())}", err=True)
    if report.stop_signal:
        raise typer.Exit(128 + report.stop_signal)
    if not report.complete and not dry_run:
        raise typer.Exit(1)


def coverage(
    places: Places,
    scope: Scope,
    by: Annotated[By, typer.Option("--by", help="The period that a column stands for.")] = By.SEASON,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write an SVG picture to FILE.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write an HTML page to FILE, with seasons, dates and missing files."
        ),
    ] = None,
    as_json: JsonOption = False,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Show what the last run at the whole lake has found. Asks nothing else.")
    ] = False,
) -> None:
    """Shows how complete the lake is, by dataset and season (or month, or date). Fetches nothing."""
    from tasks.show import coverage as pictures

    for option, file in (("--svg", svg), ("--html", html)):
        if file == Path("-"):
            raise AdceError(f"{option} -: name a file; standard output is only for --json")
    if html and by is not By.SEASON and not (svg or as_json):
        raise AdceError(f"--by {by}: a page has seasons and dates in any case; leave it out")
    cover, unknown, holes, reading = _recorded(places, scope) if recorded else _looked(places, scope)
    if svg:
        write(svg, pictures.svg(cover, by=by))
    if html:
        write(html, pictures.html(cover, holes()))
    if as_json:
        from tasks.show.documents.coverage import CoverageAnswer

        print_json(CoverageAnswer.of(cover, by, cover.as_of or datetime.now(UTC), unknown).as_json())
    elif not (svg or html):
        standard_output().print(pictures.heatmap(cover, by=by))
        if reading:
            standard_output().print(reading)


class _Covered(NamedTuple):
    """What `adce coverage` shows."""

    coverage: Coverage
    unknown: Sequence[MayListMore]
    holes: Callable[[], Sequence[Hole]]
    reading: str = ""  # what is still to be read, in words


def _looked(places: Places, scope: Scope) -> _Covered:
    """The coverage that a look at the lake finds."""
    from tasks.answers.plan import plan_lake
    from tasks.domain.assess.coverage import find_holes

    config = places.load()
    selection, clock = scope.checked(config)
    with progress():
        report = asyncio.run(plan_lake(config, selection, as_of=clock))
    return _Covered(report.coverage, report.unknown, lambda: find_holes(report.overview), report.reading)


def _recorded(places: Places, scope: Scope) -> _Covered:
    """The coverage that the last run at the whole lake has recorded. Raises AdceError if there is none."""
    from blocks.store import Store
    from deployments.cli.ledger import opened
    from tasks.answers.recorded import coverage_of, unknown_of

    given = (("--since", scope.since), ("--until", scope.until), ("--as-of", scope.as_of))
    if refused := [option for option, value in given if value]:
        raise AdceError(f"{refused[0]}: only a look at the lake can tell; leave it out, or leave --recorded out")
    with opened(places, Access.READ) as (config, ledger):
        selection, _ = scope.checked(config)
        look = ledger.looks.recorded()
    if look is None:
        raise AdceError(f"no look at the whole lake is recorded yet; {_what_records(config)}")
    if look.lake != (lake := Store(config.lake).address):
        typer.echo(masked(f"adce: warning: what is recorded is of {look.lake}, and not of {lake}"), err=True)
    return _Covered(coverage_of(look, config, selection), unknown_of(look, config, selection), lambda: ())


def _what_records(config: Config) -> str:
    """Which command would record a look at the whole lake?"""
    if config.test_mode:
        return "a run without test_mode records one"
    if config.sandbox:
        return "`adce reconcile --sandbox` for all sources, datasets and seasons records what it finds"
    return "`adce reconcile` for everything and without --as-of records what it finds"


def show(report: Report, as_json: bool) -> None:
    """Prints a report, or its JSON document."""
    if as_json:
        from tasks.show.documents.plan import RunReport

        print_json(RunReport.of(report).as_json())
    else:
        from deployments.cli import tables

        tables.show(report, standard_output())


def run_flow(name: str, parameters: dict[str, Any], *, verbose: bool) -> Report:
    """Runs one of the flows in this process, and returns its report. Raises the error for which it could not begin."""
    from tasks.answers.report import Report

    with before_the_run():
        config = load_config()
        if api_url() is None:  # Prefect's embedded API has no buckets yet
            from deployments.setup.prefect_server import set_up_buckets

            asyncio.run(set_up_buckets(config))
        else:
            from deployments.setup.api import check_api

            asyncio.run(check_api())
        flow: Any = getattr(import_module(f"flows.{name}"), name)
        is_dry = config.dry_run or parameters.get("dry_run", False)
        with during_a_dry_run() if is_dry else during_the_run(), progress(), prefect_log(is_shown=verbose):
            state = asyncio.run(_state_of(flow, parameters))
    result: Any = state.result(raise_on_failure=False)
    if isinstance(result, Report):
        return result
    if isinstance(result, Exception):
        raise result
    raise AdceError(f"the run ended as {state.name}: {state.message}")


def _parameters(selection: Selection, clock: datetime | None, max_fills: int | None, dry_run: bool) -> dict[str, Any]:
    return {
        "sources": list(selection.sources),
        "datasets": list(selection.datasets),
        "seasons": list(selection.seasons),
        "since": selection.since,
        "until": selection.until,
        "max_fills": max_fills,
        "as_of": clock,
        "dry_run": dry_run,
    }


async def _state_of(flow: Any, parameters: dict[str, Any]) -> State[Any]:
    from prefect import tags

    with tags("adce"):
        state: State[Any] = await flow(**parameters, return_state=True)
        return state
