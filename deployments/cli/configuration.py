"""What is the configuration, and what would a change of it do? The commands `adce config …`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from config.effective import DEFAULT, Setting, effective_settings, in_section
from config.load import load_config, load_layers
from config.names import suggestion_or_list
from deployments.cli.layout import standard_output
from deployments.cli.options import JsonOption, LakeOption, LedgerOption, Places, Scope, command
from deployments.cli.output import print_json
from deployments.cli.terminal import progress
from tasks.domain.errors import AdceError

if TYPE_CHECKING:
    from config.models import Config

app = typer.Typer(help="Shows the configuration, and what a change of it does.", no_args_is_help=True)
_END = "...\n"  # with which PyYAML ends a document that is one plain value
_ORIGINS_FROM = 48  # the column in which the origins begin, unless a value is longer
ConfigArgument = Annotated[
    str, typer.Argument(help="File of settings that override the defaults, or - for the defaults.")
]


@command(app, status_1="with --exit-code, there is a difference")
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
        from tasks.show.documents.configuration import ConfigDifference

        print_json(ConfigDifference.of(difference).as_json())
    else:
        from deployments.cli.differences import show

        show(difference, standard_output())
    if exit_code and difference:
        raise typer.Exit(1)


@command(app)
def show(
    places: Places,
    section: Annotated[
        str, typer.Argument(metavar="[SECTION]", help="Only this section or setting, such as sources.espn.")
    ] = "",
    changed: Annotated[bool, typer.Option("--changed", help="Only settings that are not defaults.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Shows the configuration as it applies here, and where each value comes from. Secrets are masked."""
    places.export()
    config, layers = load_layers()
    settings = list(effective_settings(config, layers))
    found = in_section(settings, section)
    if not found:
        raise AdceError(f"no setting {section}; {_meant(section, settings)}")
    shown = [one for one in found if not (changed and one.origin == DEFAULT)]
    if as_json:
        from tasks.show.documents.configuration import EffectiveSettings

        rows = [{"name": one.name, "value": one.value, "origin": places.origin(one.origin)} for one in shown]
        print_json(EffectiveSettings(file=os.environ["ADCE_CONFIG"] or None, settings=rows).as_json())
    else:
        for line in _yaml_lines(shown, places):
            typer.echo(line)


def _yaml_lines(settings: Sequence[Setting], places: Places) -> Iterator[str]:
    """The settings as lines of YAML, with their origins as comments."""
    above: tuple[str, ...] = ()
    for setting in settings:
        *sections, name = setting.path
        shared = next((n for n, (one, other) in enumerate(zip(above, sections, strict=False)) if one != other), None)
        shared = min(len(above), len(sections)) if shared is None else shared
        for depth in range(shared, len(sections)):
            yield f"{'  ' * depth}{sections[depth]}:"
        above = tuple(sections)
        value = yaml.safe_dump(setting.value, default_flow_style=True, width=sys.maxsize, sort_keys=False)
        text = f"{'  ' * len(sections)}{name}: {value.removesuffix(_END).strip()}"
        origin = places.origin(setting.origin)
        here = Path.cwd()
        near = Path(origin).relative_to(here) if Path(origin).is_relative_to(here) else origin
        yield f"{text:{_ORIGINS_FROM}}  # {near}"


def _meant(section: str, settings: Sequence[Setting]) -> str:
    """What to type instead of an unknown section or setting."""
    known = dict.fromkeys(".".join(one.path[:depth]) for one in settings for depth in range(1, len(one.path) + 1))
    within = [name for name in known if name.endswith(f".{section}")]
    top = dict.fromkeys(one.path[0] for one in settings)
    return f"did you mean {within[0]}?" if within else suggestion_or_list(section, known, "at the top are", top)


def _config_of(text: str) -> Config:
    """The configuration of a file, or of the defaults for "-". The environment overrides both."""
    environment = {name: value for name, value in os.environ.items() if name != "ADCE_CONFIG"}
    return load_config(None if text == "-" else Path(text), environment)
