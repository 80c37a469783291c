"""How is the ledger checked and pruned? The commands `adce ledger …`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.secrets import masked
from deployments.cli.layout import say
from deployments.cli.options import JsonOption, Places, command, span_of
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.lakes import no_ledger
from tasks.domain.times import SKEW
from tasks.domain.wording import plural, utc

if TYPE_CHECKING:
    from config.models import Config
    from tasks.ledger import Ledger

_HELD_SECONDS = 5.0  # a run holds the ledger for a fraction of a second at a time

app = typer.Typer(help="Checks, prunes and migrates the ledger, and makes it forget a lost lake.", no_args_is_help=True)


@contextmanager
def opened(
    places: Places, access: Access, check: Callable[[Config], object] | None = None
) -> Iterator[tuple[Config, Ledger]]:
    """The configuration and its ledger. With any access but RUN, a mistyped address does not make a new ledger.

    With LOOK, a line on standard error says so if there is none. `check` is called before the ledger is opened. It
    raises an AdceError for a mistake in what was typed.
    """
    from tasks.ledger import Ledger

    config = places.load()
    if check:
        check(config)
    ledger = Ledger(config.ledger, access)
    if access is Access.LOOK and not ledger.is_there:
        typer.echo(masked(f"adce: {no_ledger(ledger.name)}"), err=True)
    try:
        yield config, ledger
    finally:
        ledger.close()


@command(app)
def prune(
    places: Places,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="90d", help="Age up to which attempts are kept; default: keep.attempts."),
    ] = None,
) -> None:
    """Deletes attempts and runs that are older than --keep. Every reconcile does so too."""
    with opened(places, Access.CHANGE) as (settings, ledger):
        lasts = settings.keep.attempts if keep is None else span_of("--keep", keep)
        before = datetime.now(UTC) - lasts
        typer.echo(f"{plural(ledger.prune(before), 'attempt')} from before {utc(before)} deleted")


@command(app, status_1="it has times that lie ahead of this machine's clock, or judgements that cannot be read")
def check(places: Places, as_json: JsonOption = False) -> None:
    """Checks that the ledger is readable and complete, and prints the number of rows of each table."""
    with opened(places, Access.READ) as (settings, ledger):
        found, now = ledger.check(), datetime.now(UTC)
        ahead, damaged = list(_times_ahead(settings, ledger, now)), list(_damaged_judgements(settings, ledger, now))
        held = list(_held(settings))
        wrong = [name for name, lines in (("times", ahead), ("judgements", damaged)) if lines]
        if as_json:
            document = {"ledger": ledger.name, "rows": found, "times_ahead": ahead, "damaged": damaged}
            print_json(document | {"held": bool(held)})
        else:
            width = max(map(len, found))
            for name, rows in found.items():
                typer.echo(f"{name:{width}} {rows:>10,}")
            for line in (*ahead, *damaged, *held):
                say(line)
            typer.echo(f"whole; only the {' and '.join(wrong)} above are wrong" if wrong else "whole")
    if wrong or held:
        raise typer.Exit(1)


def _held(settings: Config) -> Iterator[str]:
    """A line if another program holds a SQLite ledger, which can be read then and not written."""
    from tasks.ledger.database import address_of, file_of, is_held

    address = address_of(settings.ledger)
    file = file_of(address) if address.get_backend_name() == "sqlite" else None
    if file and is_held(file, _HELD_SECONDS):
        yield (
            f"another program has held the ledger for {_HELD_SECONDS:.0f} s, so it cannot be written; end that one: "
            f"`fuser {file}` names all that have it open"
        )


def _damaged_judgements(settings: Config, ledger: Ledger, now: datetime) -> Iterator[str]:
    """Lines about what the next look will not use of what former looks have judged."""
    from tasks.observe.held import rules_of
    from tasks.observe.listing import check_ids

    for damage in ledger.judgements.damages(rules_of(settings, check_ids(settings), now), now):
        again = "makes it anew" if damage.is_one else "makes them anew"
        yield f"{damage.what} cannot be read: {damage.why}; nothing is lost, and the next run {again}"


def _times_ahead(settings: Config, ledger: Ledger, now: datetime) -> Iterator[str]:
    """Lines about times that only a wrong clock can have written; none for a sandbox, whose clock may be ahead."""
    from tasks.domain.lakes import LakeKind
    from tasks.domain.limits.pauses import all_trusted

    lake = ledger.identity.lake()
    if lake and lake.kind is LakeKind.SANDBOX:
        return
    ahead = ledger.times_after(now + SKEW)
    for name, (count, latest) in ahead.items():
        yield f"{name}: {plural(count, 'time')} ahead of this machine's clock, {utc(now)}; the latest is {utc(latest)}"
    pauses = ledger.pauses.current()
    wrong = [name for name, pause in all_trusted(pauses, settings, now).items() if pause != pauses[name]]
    if wrong:
        yield f"pauses of {', '.join(sorted(wrong))}: they end later than any pause can"
    if ahead or wrong:
        yield (
            "a clock was wrong: set it right (NTP), on this machine or on the one that wrote these times. The next run "
            "ends such pauses, and has such files fetched once more; attempts and runs keep their times"
        )


@command(app)
def migrate(places: Places) -> None:
    """Updates the tables of the ledger to this version of ADCE, as every run and `adce up` do.

    A SQLite ledger is copied first, to a file beside it. Stop everything of an older version that uses the ledger.
    """
    with opened(places, Access.MIGRATE) as (_, ledger):
        database = ledger.database
        found = f"has schema {database.schema}; there is nothing to migrate"
        typer.echo(f"ledger {ledger.name} {f'is {database.migration}' if database.migration else found}")


@command(app)
def forget_lake(places: Places) -> None:
    """Forgets which lake the ledger belongs to and the lake's files; the next run marks its own lake and fills it.

    Use it for a lake that is lost. Attempts, pauses and unavailable files are kept.
    """
    with opened(places, Access.CHANGE) as (_, ledger):
        if (known := ledger.identity.lake()) is None:
            raise AdceError(f"ledger {ledger.name} belongs to no lake so far")
        files = ledger.forget_lake()
        where = f"lake {known.place}" if known.place else "its lake"
        say(f"ledger {ledger.name} has forgotten {where} ({plural(files, 'file')}); the next run fills it anew")
