"""How is the whole system started, and its Prefect server set up? The commands `adce up` and `adce setup`."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.secrets import masked
from deployments.cli.layout import say
from deployments.cli.options import JsonOption, Places
from deployments.cli.output import print_json
from deployments.cli.sandbox import check_sandbox_installed
from deployments.prefect_api.settings import api_url
from deployments.up.lines import LogFormat
from tasks.domain.errors import AdceError

if TYPE_CHECKING:
    from deployments.setup.prefect_server import Difference


def setup(
    places: Places,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; show the differences, and exit with status 1 if there are any."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Creates and corrects what ADCE needs on the Prefect server: rate buckets, work pools, queues, blocks. Repeatable.

    It names the server on standard error, but with --check only if PREFECT_API_URL names none.

    With --check it also warns, on standard error, of a server that answers without credentials, and tells there how
    large the ledger and Prefect's database are. If a queue for events is configured, it checks all that sends to it.

    If metrics are sent to CloudWatch, it says what that costs.
    """
    from deployments.setup.api import check_api
    from deployments.setup.cloudwatch import price_of
    from deployments.setup.event_path import Checked, check_event_path
    from deployments.setup.exposure import warnings
    from deployments.setup.prefect_server import Difference, held_up, look, set_up, where
    from deployments.setup.sizes import sizes

    asyncio.run(check_api())
    config = places.load()
    differences = asyncio.run((look if check else set_up)(config)) + asyncio.run(held_up(config))
    events = asyncio.run(check_event_path(config)) if check else Checked()
    differences += [Difference("events", trouble) for trouble in events.troubles]
    exposed = asyncio.run(warnings(api_url())) if check else []
    measured = asyncio.run(sizes(config)) if check else []
    price = price_of(config)
    server, is_named = where()
    if as_json:
        print_json(
            {
                "server": server,
                "checked_only": check,
                "as_configured": not differences,
                "differences": [_document(difference, check) for difference in differences],
                "events": events.in_order,
                "not_known": events.unknown,
                "cloudwatch": price.document() if price else None,
                "warnings": exposed,
                "sizes": measured,
            }
        )
        raise typer.Exit(1 if check and differences else 0)
    if not (check and is_named):
        typer.echo(masked(server), err=True)
    for line in exposed:
        typer.echo(f"adce: warning: {line}", err=True)
    for line in measured:
        typer.echo(line, err=True)
    for line in events.unknown:
        typer.echo(f"adce: not known: {line}", err=True)
    for difference in differences:
        say(str(difference) if check else difference.done)
    if events.in_order:
        say(f"events: {events.in_order}")
    if price:
        say(f"cloudwatch: {price}")
    if not differences:
        typer.echo("everything is as configured")
    if check and differences:
        raise typer.Exit(1)


def _document(difference: Difference, check: bool) -> dict[str, Any]:
    """A difference in JSON. With `check`, nothing was corrected."""
    corrected = not check and difference.correct is not None
    return {"what": difference.what, "trouble": difference.trouble, "corrected": corrected}


def up(
    places: Places,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port of the Prefect server, on loopback.")
    ] = 4200,
    serve_port: Annotated[
        int | None,
        typer.Option("--serve-port", min=1, max=65535, help="Port of the service `adce serve`; default: serve.port."),
    ] = None,
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="Use a small lake with holes and a stand-in for the sites; run every minute."),
    ] = False,
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Folder for the lake, ledger and Prefect of --sandbox.")
    ] = Path(".adce/up"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the processes print.")] = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Print text, or one JSON document in each line.")
    ] = LogFormat.TEXT,
) -> None:
    """Runs everything on this machine: a Prefect server (unless PREFECT_API_URL is set), set-up, deployments, worker.

    It runs `adce serve` too, unless serve.enabled is false, and `adce watch` if a queue for events is configured. It
    runs until it is stopped, for example with Ctrl-C.
    """
    from deployments.up.locks import exclusive_lock

    if sandbox:
        check_sandbox_installed()
        for name in ("lake", "ledger"):
            if getattr(places, name) is not None:
                raise AdceError(f"--sandbox has a {name} of its own: leave out --{name}")
    places.export(looks_here=not sandbox, needs_lake=not sandbox)
    lock = exclusive_lock(home.absolute() / "up.lock", "stop it, or name another folder with --home")
    with lock if sandbox else nullcontext():
        system = None
        if sandbox:
            from deployments.sandbox.system import prepare

            system = prepare(home.absolute())
        from deployments.up.system import up  # imports Prefect, which reads the settings made above

        status = up(port, system, serve_port=serve_port, verbose=verbose, log_format=log_format)
    raise typer.Exit(status)
