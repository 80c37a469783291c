"""`adce config`: what would a change of the configuration do?"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from config.load import load_config
from deployments.cli.options import JsonOption, LakeOption, LedgerOption, Places, Scope, command
from deployments.cli.output import print_json
from deployments.cli.terminal import progress

if TYPE_CHECKING:
    from config.models import Config

app = typer.Typer(help="Shows what changes of the configuration do.", no_args_is_help=True)
ConfigArgument = Annotated[
    str, typer.Argument(help="File of settings that override the defaults, or - for the defaults.")
]


@command(app)
def diff(
    old: ConfigArgument,
    new: ConfigArgument,
    lake: LakeOption = None,
    ledger: LedgerOption = None,
    *,
    scope: Scope,
    as_json: JsonOption = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit status 1 if there is a difference.")] = False,
) -> None:
    """Shows what a change of the configuration does to the plan: files, states, order, requests. Fetches nothing."""
    from tasks.answers.difference import compare

    Places(lake=lake, ledger=ledger).export_addresses()
    selection = scope.selection()
    configs = _config_of(old), _config_of(new)
    with progress():
        difference = asyncio.run(compare(*configs, selection, scope.clock() or datetime.now(UTC)))
    if as_json:
        from tasks.show.documents import ConfigDifference

        print_json(ConfigDifference.of(difference).as_json())
    else:
        from deployments.cli.differences import show

        show(difference, Console())
    if exit_code and difference:
        raise typer.Exit(1)


def _config_of(text: str) -> Config:
    """The configuration of a file, or of the defaults for "-". The environment overrides both."""
    environment = {name: value for name, value in os.environ.items() if name != "ADCE_CONFIG"}
    return load_config(None if text == "-" else Path(text), environment)
