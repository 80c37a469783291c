"""The `adce` command: its options, help texts, and how its answers look in a terminal. It decides nothing itself."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from deployments.cli import (
    alerts,
    configuration,
    datasets,
    files,
    fill,
    init,
    lake,
    ledger,
    pausing,
    report,
    runs,
    serve,
    sources,
    system,
    unavailable,
    watch,
)
from deployments.cli.options import command

app = typer.Typer(
    help="Keeps a lake of NBA data complete: compares what it should hold with its files, and fetches the difference.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},  # commands inherit it
    pretty_exceptions_enable=False,
)
command(app)(init.init)
command(app, status_1="with --exit-code, something remains to be done, or is unknown")(lake.plan)
command(app, status_1="a file failed, was left for later or cannot be read, or something is unknown")(lake.reconcile)
command(app, status_1="a file failed or was left for later")(fill.fill)
command(app)(files.why)
command(app, status_1="the body would not be stored")(files.check)
command(app)(lake.coverage)
command(app)(datasets.datasets)
command(app)(runs.runs)
command(app)(sources.sources)
command(app)(report.report)
command(app)(pausing.pause)
command(app)(pausing.resume)
command(app, status_1="a message could not be read")(watch.watch)
command(app)(serve.serve)
command(app, status_1="with --check, something is not as configured")(system.setup)
command(app, status_1="a process keeps dying, or Prefect or its database is away")(system.up)


def _print_version(asked: bool) -> None:
    if asked:
        python = ".".join(map(str, sys.version_info[:3]))
        typer.echo(f"adce {version('adce')} (Prefect {version('prefect')}, Python {python})")
        raise typer.Exit


@app.callback()
def _adce(
    shows_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the versions of ADCE, Prefect and Python.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """The options of `adce` itself."""


app.add_typer(ledger.app, name="ledger")
app.add_typer(configuration.app, name="config")
app.add_typer(unavailable.app, name="unavailable")
app.add_typer(alerts.app, name="alerts")
