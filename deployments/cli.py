"""The `adce` command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from prefect import tags
from prefect.states import State
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from config.load import ConfigError, load_config
from deployments import tables
from deployments.sandbox.process import SandboxProcess
from deployments.sandbox.sites import SOURCES
from deployments.setup import set_up
from flows.reconcile import plan_lake, reconcile
from flows.run import PROGRESS
from tasks.domain.errors import AdceError
from tasks.domain.expected import Selection
from tasks.report import Report

app = typer.Typer(
    help="Keeps a lake of NBA data complete: sees what it should hold, what it has, and fetches the difference.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_stderr = Console(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings over the defaults.")]
LakeOption = Annotated[str | None, typer.Option("--lake", metavar="URL", help="file:///folder or s3://bucket/prefix.")]
SourceOption = Annotated[list[str] | None, typer.Option("--source", metavar="S", help="Only this source; repeatable.")]
DatasetOption = Annotated[list[str] | None, typer.Option("--dataset", metavar="D", help="Only this dataset.")]
SeasonOption = Annotated[list[str] | None, typer.Option("--season", metavar="2023-24", help="Only this season.")]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="YYYY-MM-DD", help="Only from this day on.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Only up to this day.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", metavar="ISO-TIME", help="The clock; default: now.")]
MaxFillsOption = Annotated[int | None, typer.Option("--max-fills", metavar="N", min=0, help="Start at most N fills.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def plan(
    config: ConfigOption = None,
    lake: LakeOption = None,
    source: SourceOption = None,
    dataset: DatasetOption = None,
    season: SeasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    max_fills: MaxFillsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what is missing, stale or broken, and what would be fetched in which order. Fetches nothing."""
    with _one_line_errors():
        _choose(config, lake)
        request = _request(source, dataset, season, since, until, as_of)
        with _progress():
            report = asyncio.run(plan_lake(load_config(), request.selection, as_of=request.as_of, max_fills=max_fills))
        _show(report, as_json)


@app.command("reconcile")
def reconcile_command(
    config: ConfigOption = None,
    lake: LakeOption = None,
    source: SourceOption = None,
    dataset: DatasetOption = None,
    season: SeasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    max_fills: MaxFillsOption = None,
    as_json: JsonOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and report, fetch nothing.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Ask a stand-in for the three sites on this machine.")
    ] = False,
) -> None:
    """Fetches what the lake lacks, the most important first. Exit status 1 when something was left undone."""
    with _one_line_errors():
        _choose(config, lake)
        request = _request(source, dataset, season, since, until, as_of)
        with _sandbox(request.as_of) if sandbox else _nothing():
            load_config()
            if not os.environ.get("PREFECT_API_URL"):  # Prefect's embedded API: nobody else sets its buckets up
                asyncio.run(set_up(load_config()))
            with _progress():
                report = _reconcile(request, max_fills, dry_run)
        _show(report, as_json)
    if not report.complete and not dry_run:
        raise typer.Exit(1)


@app.command()
def setup(config: ConfigOption = None) -> None:
    """Creates the rate buckets in Prefect from the configuration, or brings them up to date. Repeatable."""
    with _one_line_errors():
        _choose(config, None)
        for line in asyncio.run(set_up(load_config())):
            typer.echo(line)


@dataclass(frozen=True)
class _Request:
    selection: Selection
    as_of: datetime | None


def _reconcile(request: _Request, max_fills: int | None, dry_run: bool) -> Report:
    selection = request.selection
    parameters = {
        "sources": list(selection.sources),
        "datasets": list(selection.datasets),
        "seasons": list(selection.seasons),
        "since": selection.since,
        "until": selection.until,
        "max_fills": max_fills,
        "as_of": request.as_of,
        "dry_run": dry_run,
    }
    state = asyncio.run(_state_of(parameters))
    result: Any = state.result(raise_on_failure=False)
    if isinstance(result, Report):
        return result
    if isinstance(result, Exception):
        raise result
    raise AdceError(f"the run ended as {state.name}: {state.message}")


async def _state_of(parameters: dict[str, Any]) -> State[Any]:
    with tags("adce"):
        return await reconcile(**parameters, return_state=True)


def _choose(config: Path | None, lake: str | None) -> None:
    """Options that say where things are become this process's environment, which flows read as well."""
    if config is not None:
        os.environ["ADCE_CONFIG"] = str(config.absolute())
    if lake is not None:
        os.environ["ADCE_LAKE"] = lake


def _request(
    sources: list[str] | None,
    datasets: list[str] | None,
    seasons: list[str] | None,
    since: str | None,
    until: str | None,
    as_of: str | None,
) -> _Request:
    selection = Selection(
        tuple(sources or ()),
        tuple(datasets or ()),
        tuple(seasons or ()),
        _day("--since", since),
        _day("--until", until),
    )
    clock = _moment(as_of)
    selection.check(load_config(), clock or datetime.now(UTC))
    return _Request(selection, clock)


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise AdceError(f"{option} {text}: not a day; write it as 2024-01-31") from None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise AdceError(f"--as-of {text}: not a time; write it as 2024-01-31T12:00:00Z") from None
    if moment is not None and not 1947 <= moment.year <= 2100:
        raise AdceError(f"--as-of {text}: a time between 1947 and 2100, please")
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        json.dump(report.document(), sys.stdout)
        sys.stdout.write("\n")
    else:
        tables.show(report, Console())


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What the user can mend is said in a line each, with exit status 2."""
    try:
        yield
    except ConfigError as error:
        for line in error.lines:
            typer.echo(f"adce: {line}", err=True)
        raise typer.Exit(2) from None
    except AdceError as error:
        typer.echo(f"adce: {error}", err=True)
        raise typer.Exit(2) from None
    except (httpx.TransportError, RuntimeError) as error:
        if not (isinstance(error, httpx.TransportError) or "Failed to reach API" in str(error)):
            raise
        url = os.environ.get("PREFECT_API_URL")
        typer.echo(f"adce: the Prefect API at {url} cannot be reached; start it, or unset PREFECT_API_URL", err=True)
        raise typer.Exit(2) from None


@contextmanager
def _progress() -> Iterator[None]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_stderr, disable=not _stderr.is_terminal) as progress:
        bars: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total, visible=False)
            progress.update(bars[what], completed=done, total=total, visible=total > 0)

        token = PROGRESS.set(report)
        try:
            yield
        finally:
            PROGRESS.reset(token)


@contextmanager
def _sandbox(clock: datetime | None) -> Iterator[None]:
    """The sandbox in place of the sites, as strict about their rates as the configuration says they are."""
    rates = {
        name: f"{source.rates[0].requests}/{source.rates[0].seconds:g}"
        for name, source in load_config().sources.items()
        if name in SOURCES
    }
    with SandboxProcess(rates=rates, clock=clock.isoformat() if clock else None) as sandbox:
        for name, url in sandbox.base_urls.items():
            os.environ[f"ADCE_SOURCES__{name.upper()}__BASE_URL"] = url
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield
