"""`adce ledger`: how is the ledger looked after?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.secrets import masked
from deployments.cli.options import ConfigOption, Places, command
from tasks.domain.errors import AdceError
from tasks.domain.wording import plural

if TYPE_CHECKING:
    from config.models import Config
    from tasks.ledger import Ledger

app = typer.Typer(help="Looks after the ledger.", no_args_is_help=True)


@contextmanager
def opened(places: Places) -> Iterator[tuple[Config, Ledger]]:
    """The configuration and its ledger, which has to exist: a mistyped address makes no new one."""
    from tasks.ledger import Ledger

    config = places.load()
    ledger = Ledger(config.ledger, create=False)
    try:
        yield config, ledger
    finally:
        ledger.close()


@command(app)
def prune(
    config: ConfigOption = None,
    keep: Annotated[str | None, typer.Option("--keep", metavar="90d", help="Default: reconcile.keep.")] = None,
) -> None:
    """Forgets attempts and runs that are older than is to be kept. Every reconcile does so too."""
    from pydantic import TypeAdapter, ValidationError

    from config.models import Duration

    with opened(Places(config)) as (settings, ledger):
        try:
            lasts = TypeAdapter(Duration).validate_python(keep) if keep else settings.reconcile.keep
        except ValidationError:
            raise AdceError(f"--keep {keep}: a number and a unit, as 90d") from None
        before = datetime.now(UTC) - lasts
        typer.echo(f"{plural(ledger.prune(before), 'attempt')} from before {before:%Y-%m-%d %H:%M} UTC forgotten")


@command(app)
def check(config: ConfigOption = None) -> None:
    """Checks that the ledger can be read and is whole, and tells what is in it."""
    with opened(Places(config)) as (_, ledger):
        found = ledger.check()
        width = max(map(len, found))
        for name, rows in found.items():
            typer.echo(f"{name:{width}} {rows:>10,}")
        typer.echo("whole")


@command(app)
def forget_lake(places: Places) -> None:
    """Forgets where the lake is and what was found in it: the next run marks the lake that it is given, and fills it.

    For a lake that is gone for good. Attempts, pauses and what the sources do not have are kept.
    """
    with opened(places) as (_, ledger):
        if (known := ledger.identity.lake()) is None:
            raise AdceError(f"ledger {ledger.name} is of no lake so far")
        files = ledger.forget_lake()
        where = f"lake {known.place}" if known.place else "its lake"
        typer.echo(masked(f"ledger {ledger.name} has forgotten {where} ({files:,} files); the next run fills it anew"))
