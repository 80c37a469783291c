"""The `adce` command: its options, help texts, and how its answers look in a terminal. It decides nothing itself."""

import typer

from deployments.cli import configuration, files, lake, ledger, system, unavailable
from deployments.cli.options import command

app = typer.Typer(
    help="Keeps a lake of NBA data complete: compares what it should hold with its files, and fetches the difference.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for function in (lake.plan, lake.reconcile, files.why, files.check, lake.coverage, system.setup, system.up):
    command(app)(function)
app.add_typer(ledger.app, name="ledger")
app.add_typer(configuration.app, name="config")
app.add_typer(unavailable.app, name="unavailable")
