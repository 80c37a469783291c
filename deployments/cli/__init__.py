"""The `adce` command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from config.load import ConfigError, check_lake, load_config
from config.secrets import masked
from deployments.cli.terminal import progress
from deployments.up.locks import only_one
from tasks.domain.errors import AdceError, SelectionError
from tasks.domain.expected import Selection, in_utc
from tasks.domain.times import check_fetching_clock
from tasks.domain.wording import plural

if TYPE_CHECKING:  # Prefect takes seconds to import, and what does not need it is to answer at once
    from prefect.states import State

    from blocks.store import Store
    from config.models import Config
    from tasks.domain.absences import Absence
    from tasks.ledger import Ledger
    from tasks.report import Report
    from tasks.taking_out import TakingOut
    from tasks.why import Answer

app = typer.Typer(
    help="Keeps a lake of NBA data complete: sees what it should hold, what it has, and fetches the difference.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit status 1 when something is left to do, or unknown.")
    ] = False,
) -> None:
    """Shows what is missing, stale or broken, and what would be fetched in which order. Fetches nothing."""
    from tasks.answers.plan import plan_lake

    with _one_line_errors():
        _choose(config, lake)
        request = _request(source, dataset, season, since, until, as_of)
        with progress():
            report = asyncio.run(plan_lake(load_config(), request.selection, as_of=request.as_of, max_fills=max_fills))
        _show(report, as_json)
    if exit_code and not report.complete:
        raise typer.Exit(1)


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
        bool, typer.Option("--sandbox", help="Ask a stand-in for the three sites, for a lake of its own.")
    ] = False,
) -> None:
    """Fetches what the lake lacks, the most important first. Exit status 1 when something is left undone or unknown."""
    from deployments.setup.prefect_server import set_up_buckets

    with _one_line_errors():
        _choose(config, lake, sandbox=sandbox)
        request = _request(source, dataset, season, since, until, as_of)
        settings = load_config()
        if not (dry_run or settings.dry_run):
            check_fetching_clock(settings, request.as_of, datetime.now(UTC))
        with _sandbox(request.as_of) if sandbox else _nothing():
            load_config()
            if not os.environ.get("PREFECT_API_URL"):  # Prefect's embedded API: nobody else sets its buckets up
                asyncio.run(set_up_buckets(load_config()))
            with progress():
                report = _reconcile(request, max_fills, dry_run)
        _show(report, as_json)
    if report.stop_signal:
        raise typer.Exit(128 + report.stop_signal)
    if not report.complete and not dry_run:
        raise typer.Exit(1)


@app.command("why")
def why_command(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A lake key, a pattern with * ? [], a game's id or a date.")
    ],
    config: ConfigOption = None,
    lake: LakeOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tells why a file is there or not: its state, the reason, until when, every attempt, and what is next."""
    from tasks.observe.session import open_both
    from tasks.why import why

    async def ask() -> list[Answer]:
        store, ledger, _ = await open_both(settings)
        with closing(ledger):
            return await why(settings, ledger, store, key, now)

    with _one_line_errors():
        _choose(config, lake)
        settings = load_config()
        now = _moment("--as-of", as_of) or datetime.now(UTC)
        Selection().check(settings, now)
        answers = asyncio.run(ask())
        if as_json:
            _print_json({"answers": [answer.document() for answer in answers]})
        else:
            from deployments.cli import answers as shown

            shown.show(
                answers, os.environ.get("PREFECT_UI_URL") or _ui_of(os.environ.get("PREFECT_API_URL")), Console()
            )


@app.command("check")
def check_command(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A lake key.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The body in question; default: what the lake has.")
    ] = None,
    taken: Annotated[
        str | None, typer.Option("--taken", metavar="ISO-TIME", help="When the source gave it; default: now.")
    ] = None,
    config: ConfigOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tells what ADCE would make of a body under a key: stored, absent, refused, heals or bad, and why.

    Exit status 1 when it would not be stored. A game is taken to be final.
    """
    from tasks.check import check_body, dataset_of
    from tasks.domain.verdicts import Consequence

    with _one_line_errors():
        _choose(config, lake)
        settings = load_config()
        dataset_of(settings, key)
        moment = _moment("--taken", taken)
        if file is None:
            body, have = asyncio.run(_store(settings).get(key))
            moment = moment or have.modified
        else:
            body = _read(file)
        checked = check_body(settings, key, body, moment or datetime.now(UTC))
        if as_json:
            _print_json(checked.document())
        else:
            from deployments.cli import answers as shown

            shown.show_check(checked, Console())
    if checked.answer is not Consequence.STORED:
        raise typer.Exit(1)


@app.command()
def coverage(
    config: ConfigOption = None,
    lake: LakeOption = None,
    source: SourceOption = None,
    dataset: DatasetOption = None,
    season: SeasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    by: Annotated[str, typer.Option("--by", help="season, month or date.")] = "season",
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write the picture there.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page there: from season to date to hole.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows how complete the lake is, by dataset and season (or month, or date). Fetches nothing."""
    from tasks import coverage as pictures
    from tasks.answers.plan import plan_lake
    from tasks.domain.coverage import By, find_holes
    from tasks.domain.unknown import by_season

    with _one_line_errors():
        if by not in list(By):
            raise AdceError(f"--by {by}: one of {', '.join(By)}")
        _choose(config, lake)
        request = _request(source, dataset, season, since, until, as_of)
        with progress():
            report = asyncio.run(plan_lake(load_config(), request.selection, as_of=request.as_of))
        cover = report.coverage
        if svg:
            _write(svg, pictures.svg(cover, by=By(by)))
        if html:
            _write(html, pictures.html(cover, find_holes(report.survey.cells, report.statuses)))
        if as_json:
            told = {"as_of": report.survey.taken_at.isoformat(), **cover.document(By(by))}
            _print_json(told | {"unknown": by_season(report.unknown)})
        elif not (svg or html):
            Console().print(pictures.heatmap(cover, by=By(by)))
            if report.reading:
                Console().print(report.reading)


ledger_app = typer.Typer(help="Looks after the ledger.", no_args_is_help=True)
app.add_typer(ledger_app, name="ledger")


@ledger_app.command()
def prune(
    config: ConfigOption = None,
    keep: Annotated[str | None, typer.Option("--keep", metavar="90d", help="Default: reconcile.keep.")] = None,
) -> None:
    """Forgets attempts and runs that are older than is to be kept. Every reconcile does so too."""
    from pydantic import TypeAdapter, ValidationError

    from config.models import Duration

    with _one_line_errors(), _ledger(config) as (settings, ledger):
        try:
            lasts = TypeAdapter(Duration).validate_python(keep) if keep else settings.reconcile.keep
        except ValidationError:
            raise AdceError(f"--keep {keep}: a number and a unit, as 90d") from None
        before = datetime.now(UTC) - lasts
        typer.echo(f"{plural(ledger.prune(before), 'attempt')} from before {before:%Y-%m-%d %H:%M} UTC forgotten")


@ledger_app.command()
def check(config: ConfigOption = None) -> None:
    """Checks that the ledger can be read and is whole, and tells what is in it."""
    with _one_line_errors(), _ledger(config) as (_, ledger):
        found = ledger.check()
        width = max(map(len, found))
        for name, rows in found.items():
            typer.echo(f"{name:{width}} {rows:>10,}")
        typer.echo("whole")


@ledger_app.command("forget-lake")
def forget_lake(config: ConfigOption = None, lake: LakeOption = None) -> None:
    """Forgets where the lake is and what was found in it: the next run marks the lake that it is given, and fills it.

    For a lake that is gone for good. Attempts, pauses and what the sources do not have are kept.
    """
    with _one_line_errors(), _ledger(config, lake) as (_, ledger):
        if (known := ledger.identity.lake()) is None:
            raise AdceError(f"ledger {ledger.name} is of no lake so far")
        files = ledger.forget_lake()
        where = f"lake {known.place}" if known.place else "its lake"
        typer.echo(masked(f"ledger {ledger.name} has forgotten {where} ({files:,} files); the next run fills it anew"))


config_app = typer.Typer(help="Looks after the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
ConfigArgument = Annotated[str, typer.Argument(help="A file of settings over the defaults, or - for the defaults.")]


@config_app.command("diff")
def diff_command(
    old: ConfigArgument,
    new: ConfigArgument,
    lake: LakeOption = None,
    source: SourceOption = None,
    dataset: DatasetOption = None,
    season: SeasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit status 1 when there is a difference.")] = False,
) -> None:
    """Tells what a change of the configuration would do to the plan: files, states, order, requests. Does nothing."""
    from tasks.difference import compare

    with _one_line_errors():
        _choose(None, lake)
        selection = _selection(source, dataset, season, since, until)
        configs = _config_of(old), _config_of(new)
        with progress():
            difference = asyncio.run(compare(*configs, selection, _moment("--as-of", as_of) or datetime.now(UTC)))
        if as_json:
            _print_json(difference.document())
        else:
            from deployments.cli import differences

            differences.show(difference, Console())
    if exit_code and difference:
        raise typer.Exit(1)


def _config_of(text: str) -> Config:
    """A file over the defaults, or "-" for the defaults alone; the environment over both."""
    environment = {name: value for name, value in os.environ.items() if name != "ADCE_CONFIG"}
    return load_config(None if text == "-" else Path(text), environment)


unavailable_app = typer.Typer(help="Files that the sources do not have.", no_args_is_help=True)
app.add_typer(unavailable_app, name="unavailable")
KeysArgument = Annotated[list[str], typer.Argument(metavar="KEY...", help="Lake keys, patterns, game ids or dates.")]


@unavailable_app.command("add")
def add_unavailable(
    keys: KeysArgument,
    note: Annotated[str, typer.Option("--note", help="Why: it is shown wherever the file is.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Then it is looked for again; default: a year.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, for scripts.")] = False,
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Has files count as unavailable, until a day or until that is cleared. Those that are there stay as they are.

    Of a pattern, a game or a date it says first what it would mark, and asks.
    """
    from tasks.observe.session import open_both
    from tasks.taking_out import consider

    async def look() -> TakingOut:
        store, ledger, _ = await open_both(settings)
        with closing(ledger):
            return await consider(settings, ledger, store, keys, now)

    with _one_line_errors():
        _choose(config, lake)
        settings = load_config()
        now = datetime.now(UTC)
        day = _day("--until", until)
        expires = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else now + timedelta(days=365)
        if expires <= now:
            raise AdceError(f"--until {until}: that is past")
        if not note.strip():
            raise AdceError("--note: say why; it is shown wherever the file is")
        taking_out = asyncio.run(look())
        if not taking_out.marks:
            raise AdceError(taking_out.told_there)
        for line in taking_out.lines():
            typer.echo(line, err=True)
        if not (yes or set(taking_out.marks) | set(taking_out.there) == set(keys)):
            _ask(f"Are these to count as unavailable until {expires:%Y-%m-%d}?")
        with _ledger(config) as (_, ledger):
            ledger.absences.record(taking_out.absences(" ".join(note.split()), expires, now))
        count = len(taking_out.marks)
        typer.echo(f"{plural(count, 'file')} {'is' if count == 1 else 'are'} unavailable until {expires:%Y-%m-%d}")


def _ask(question: str) -> None:
    """Goes on with a yes only. Raises AdceError where there is nobody to ask."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise AdceError("nothing is marked: there is no terminal to ask in; if the list above is right, add --yes")
    if not typer.confirm(question, err=True):
        raise AdceError("nothing is marked")


@unavailable_app.command("clear")
def clear_unavailable(keys: KeysArgument, config: ConfigOption = None) -> None:
    """Has files be looked for again, whatever the sources or operators have said."""
    from fnmatch import fnmatchcase

    from tasks.why import keys_of

    with _one_line_errors(), _ledger(config) as (settings, ledger):
        known = ledger.absences.now()
        chosen = {key for key in known if any(fnmatchcase(key, pattern) for pattern in keys)}
        for text in keys:
            with suppress(SelectionError):
                chosen |= known.keys() & keys_of(settings, ledger, [text], datetime.now(UTC)).keys()
        if not chosen:
            raise AdceError(
                f"{', '.join(keys)}: none of the {plural(len(known), 'file')} that `adce unavailable list` shows"
            )
        ledger.absences.clear(chosen)
        typer.echo(f"{plural(len(chosen), 'file')} {'is' if len(chosen) == 1 else 'are'} looked for again")


@unavailable_app.command("list")
def list_unavailable(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Shows the files that a source has said to have none of, and since when."""
    with _one_line_errors(), _ledger(config) as (_, ledger):
        absences = sorted(ledger.absences.now().values(), key=lambda absence: absence.key)
        if as_json:
            _print_json({"unavailable": [_absence(absence) for absence in absences]})
            return
        for absence in absences:
            until = f"until {absence.until:%Y-%m-%d}" if absence.until else "not yet counted as unavailable"
            if absence.note is not None:
                why = f"set on {absence.first:%Y-%m-%d}  operator: {absence.note}"
            else:
                why = f"{plural(absence.looks, 'look')} since {absence.first:%Y-%m-%d}  {absence.evidence}"
            typer.echo(f"{absence.key}  {until}  {why}")
        if not absences:
            typer.echo("none", err=True)


@app.command()
def setup(
    config: ConfigOption = None,
    lake: LakeOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: show what differs, exit status 1 if anything does.")
    ] = False,
) -> None:
    """Makes the Prefect server as configured: rate buckets, work pools, queues, blocks. Repeatable.

    Which server that is, it says on standard error; with --check only where PREFECT_API_URL names none.

    With --check it also warns, on standard error, of a server that does what strangers ask of it.
    """
    from deployments.setup.exposure import warnings
    from deployments.setup.prefect_server import look, set_up, where

    with _one_line_errors():
        _choose(config, lake)
        differences = asyncio.run((look if check else set_up)(load_config()))
        exposed = asyncio.run(warnings(os.environ.get("PREFECT_API_URL"))) if check else []
    place, is_named = where()
    if not (check and is_named):
        typer.echo(masked(place), err=True)
    for line in exposed:
        typer.echo(f"adce: warning: {line}", err=True)
    for difference in differences:
        typer.echo(masked(str(difference) if check else difference.done))
    if not differences:
        typer.echo("everything is as configured")
    if check and differences:
        raise typer.Exit(1)


@app.command("up")
def up_command(
    config: ConfigOption = None,
    lake: LakeOption = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of the Prefect server, on loopback.")] = 4200,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="On a small lake with holes and a stand-in for the sites, every minute.")
    ] = False,
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where --sandbox keeps its lake, ledger and Prefect.")
    ] = Path(".adce/up"),
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the processes print.")] = False,
) -> None:
    """Runs everything on this machine: Prefect server (or that of PREFECT_API_URL), set-up, deployments, worker.

    Exit status 0 when it was told to stop, 1 when something keeps dying, 2 for a mistake in the configuration.
    """
    with _one_line_errors():
        if sandbox and lake is not None:
            raise AdceError("--sandbox has a lake of its own: leave out --lake")
        _choose(config, lake)
        place = home.absolute()
        with only_one(place / "up.lock", "stop it, or name another folder with --home") if sandbox else _nothing():
            living = None
            if sandbox:
                from deployments.sandbox.system import prepare

                living = prepare(place)
            from deployments.up.system import up  # imports Prefect, whose settings are now known

            status = up(port, living, verbose=verbose)
    raise typer.Exit(status)


@dataclass(frozen=True)
class _Request:
    selection: Selection
    as_of: datetime | None


def _reconcile(request: _Request, max_fills: int | None, dry_run: bool) -> Report:
    from tasks.report import Report

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
    from prefect import tags

    from flows.reconcile import reconcile

    with tags("adce"):
        return await reconcile(**parameters, return_state=True)


def _choose(config: Path | None, lake: str | None, *, sandbox: bool = False) -> None:
    """Options that say where things are become this process's environment, which flows read as well."""
    from deployments.cli import place

    if config is not None:
        os.environ["ADCE_CONFIG"] = str(config.absolute())
    if lake is not None:
        check_lake(lake, "--lake")
        os.environ["ADCE_LAKE"] = lake
    if sandbox:
        lake, ledger = place.take_place()
        typer.echo(f"the sandbox's lake is {masked(lake)}, its ledger {masked(ledger)}", err=True)
    else:
        place.find_ledger()


def _request(
    sources: list[str] | None,
    datasets: list[str] | None,
    seasons: list[str] | None,
    since: str | None,
    until: str | None,
    as_of: str | None,
) -> _Request:
    selection = _selection(sources, datasets, seasons, since, until)
    clock = _moment("--as-of", as_of)
    selection.check(load_config(), clock or datetime.now(UTC))
    return _Request(selection, clock)


def _selection(
    sources: list[str] | None,
    datasets: list[str] | None,
    seasons: list[str] | None,
    since: str | None,
    until: str | None,
) -> Selection:
    days = _day("--since", since), _day("--until", until)
    return Selection(tuple(sources or ()), tuple(datasets or ()), tuple(seasons or ()), *days)


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise AdceError(f"{option} {text}: not a day; write it as 2024-01-31") from None


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise AdceError(f"{option} {text}: not a time; write it as 2024-01-31T12:00:00Z") from None
    return moment and in_utc(moment)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        _print_json(report.document())
    else:
        from deployments.cli import tables

        tables.show(report, Console())


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout)
    sys.stdout.write("\n")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AdceError(f"{path}: cannot be read: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AdceError(f"{path}: cannot be written: {error.strerror}") from None
    typer.echo(f"{path} written", err=True)


def _absence(absence: Absence) -> dict[str, Any]:
    return {
        "key": absence.key,
        "dataset": absence.dataset,
        "evidence": absence.evidence,
        "looks": absence.looks,
        "first": absence.first.isoformat(),
        "last": absence.last.isoformat(),
        "until": absence.until and absence.until.isoformat(),
        "note": absence.note,
    }


@contextmanager
def _ledger(config: Path | None, lake: str | None = None) -> Iterator[tuple[Config, Ledger]]:
    """The ledger of the configuration, which is to be there already: a mistyped address is no new one."""
    from tasks.ledger import Ledger

    _choose(config, lake)
    settings = load_config()
    ledger = Ledger(settings.ledger, create=False)
    try:
        yield settings, ledger
    finally:
        ledger.close()


def _store(settings: Config) -> Store:
    from tasks.observe.session import open_lake

    store = asyncio.run(open_lake(settings))
    store.check()
    return store


def _ui_of(api: str | None) -> str | None:
    """Where the Prefect UI is that goes with an API."""
    return masked(api.rstrip("/").removesuffix("/api")) if api else None


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
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Exception as error:
        is_http = type(error).__module__.startswith(("httpx", "httpcore")) or _refusal(error)
        if "Failed to reach API" not in str(error) and not is_http:
            raise
        url = os.environ.get("PREFECT_API_URL")
        line = f"the Prefect API at {url} cannot be reached; start it, or unset PREFECT_API_URL"
        if refused := _refusal(error):
            line = f"the Prefect API at {url} refuses us with HTTP {refused}; is PREFECT_API_KEY right?"
        typer.echo(f"adce: {masked(line)}", err=True)
        raise typer.Exit(2) from None


def _refusal(error: Exception) -> int | None:
    """The status with which Prefect's server, or the proxy before it, wants other credentials, or none at all."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if status in (401, 403, 407) else None


@contextmanager
def _sandbox(clock: datetime | None) -> Iterator[None]:
    """The sandbox in place of the sites, as strict about their rates as the configuration says they are."""
    from deployments.sandbox.process import SandboxProcess
    from deployments.sandbox.sites import SOURCES

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
