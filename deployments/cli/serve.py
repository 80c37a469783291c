"""How is the whole system? The command `adce serve` answers that over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.layers import Layer
from deployments.cli.options import Places

_TELL = ("deployments.serve", "tasks.publish")  # the loggers that tell how it goes on


def serve(
    places: Places,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Listen on this address of this machine; default: serve.host."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Listen on this port; default: serve.port.")
    ] = None,
    once: Annotated[
        Path | None,
        typer.Option("--once", metavar="FOLDER", help="Write all documents to a folder, for a static host, and end."),
    ] = None,
) -> None:
    """Answers over HTTP how the system is: status, health, metrics, coverage, plan and rate limits.

    It also tells of incidents (alerts.targets), and sends metrics to CloudWatch (cloudwatch.namespace). It listens on
    loopback; beyond that, it wants a token (ADCE_SERVE__TOKEN).

    Example: adce serve --port 8710
    """
    given = {"host": host, "port": port}
    options = [Layer(f"--{name}", {"serve": {name: value}}) for name, value in given.items() if value is not None]
    config = places.load(options)
    from deployments.cli.terminal import info_shown

    if once is not None:
        from deployments.serve.once import write_once

        typer.echo(write_once(config, once), err=True)
        return
    from deployments.serve.server import serve as answer_requests

    with info_shown(*_TELL):
        answer_requests(config)
