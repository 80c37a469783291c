"""How does somebody begin a lake? `adce init` writes a file of settings, and shows what would be fetched."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer
import yaml
from pydantic import ValidationError

from config.load import HERE, ConfigError, checked_address, load_config, settings_file
from config.models import Collect, are_one_place, lake_address, ledger_address
from config.names import suggestion_or_list
from config.secrets import masked
from deployments.cli.lake import plan
from deployments.cli.options import Places, Scope
from deployments.cli.typed import near, typed
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Selection
from tasks.domain.expected.keys import folders
from tasks.domain.expected.seasons import current_season

if TYPE_CHECKING:
    from config.models import Config

_EVERYTHING = "all"
_ANSWER_TO_ANOTHER = re.compile(rf"[0-9]{{4}}(-[0-9]{{2}}){{0,2}}|{_EVERYTHING}")  # where a path is asked for
_TEXT = """\
# The settings of a lake. adce reads this file in this folder; elsewhere, name it with --config or ADCE_CONFIG.
# `adce config show` prints all settings that there are, and where each value comes from.
# A relative path is relative to this file.

lake: {lake}   # a folder, or s3://bucket/prefix
ledger: {ledger}   # ADCE's memory: the file of a SQLite database, or postgresql://host/adce

# What this lake should hold. A line that is left out does not narrow it; `adce plan` shows what it takes.
collect:
  {since}   # the first season, or the first day, as 2015-10-27
  {sources}
  # datasets: [espn_summary, nba_playbyplay]   # only these; `adce datasets` lists all
  # season_types: [regular, playoffs]          # only games of these types
"""


def init(
    places: Places,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="SEASON", help="The first season or day to collect, or all; default: this season."
        ),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", metavar="S", help="Collect only this source; repeatable.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the defaults for what is not given.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Writes a file of settings for a lake of your own (./adce.yaml), and shows what would be fetched. Fetches nothing.

    At a terminal it asks for what is not given as an option. It checks that the lake and the ledger can be written.
    """
    file = (places.config.expanduser() if places.config else settings_file(os.environ)) or HERE
    if file.exists() and not force:
        raise AdceError(f"{file} is there already; --force replaces it, and `adce config show` prints what applies")
    for name in ("ADCE_LAKE", "ADCE_LEDGER"):
        if os.environ.pop(name, None):
            what_to_do = f"to use that file, type: unset {name}"
            typer.echo(f"adce: warning: {name} is set, and overrides {file}; {what_to_do}", err=True)
    ask = sys.stdin.isatty() and not yes
    season = current_season(datetime.now(UTC))
    lake = _answer(ask, "--lake", places.lake, "Where is the lake? A folder, or s3://bucket/prefix", "./lake", _lake)
    ledger = _answer(
        ask, "--ledger", places.ledger, "Where is the ledger? A file, or postgresql://…", "./adce.db", _ledger(lake)
    )
    begin = _answer(
        ask, "--since", since, f"Since which season or day? As 2015-16 or 2015-10-27, or {_EVERYTHING}", season, _since
    )
    names = list(load_config(env={}).sources)
    given = ", ".join(source) if source else None
    which = f"Which sources? {', '.join(names)}, or {_EVERYTHING}"
    chosen = _answer(ask, "--source", given, which, _EVERYTHING, _sources(names))
    text = settings_text(_seen_from(file, lake, lake_address), _seen_from(file, ledger, ledger_address), begin, chosen)
    asyncio.run(_check_pairing(lake, ledger))
    config = write_settings(file, text, is_private=masked(ledger) != ledger)
    typer.echo(f"{near(file.absolute())} written: the settings of the lake {masked(config.lake)}", err=True)
    options = () if file == HERE else ("--config", str(file))
    os.environ["ADCE_CONFIG"] = str(file.absolute())
    plan(Places(config=file), Scope())
    typer.echo("\nWhat comes next:")
    for command, what in (
        (typed("plan", *options), "shows this again"),
        (typed("reconcile", *options), "fetches what it shows, as far as it comes in one run"),
        (typed("up", *options), "does so around the clock"),
        (typed("coverage", *options), "shows how complete the lake is"),
    ):
        typer.echo(f"  $ {command}   # {what}")


def settings_text(lake: str, ledger: str, since: str, sources: str) -> str:
    """The text of a file of settings. `since` and `sources` may be "all"; `sources` is a list with commas."""
    names = f"[{sources}]" if sources != _EVERYTHING else "[espn, nba_api, basketball_reference]"
    return _TEXT.format(
        lake=_quoted(lake),
        ledger=_quoted(ledger),
        since=f"{'# ' * (since == _EVERYTHING)}since: {since.replace(_EVERYTHING, '2015-16')}",
        sources=f"{'# ' * (sources == _EVERYTHING)}sources: {names}",
    )


def _quoted(text: str) -> str:
    """A text as a value in YAML."""
    return yaml.safe_dump(text, width=sys.maxsize, allow_unicode=True).splitlines()[0]


def _answer(ask: bool, option: str, given: str | None, question: str, default: str, check: Callable[[str], str]) -> str:
    """The option that was given, or the answer to a question, or the default, once it is right.

    The errors of `check` may begin with the option; what is said of an answer does not name it.
    """
    if given is not None or not ask:
        return check(default if given is None else given)

    def checked(text: str) -> str:
        if option in ("--lake", "--ledger") and _ANSWER_TO_ANOTHER.fullmatch(text):
            raise click.UsageError(f"{text}: is no path; seasons are asked for below (or write it as ./{text})")
        try:
            return check(text)
        except (AdceError, ConfigError) as error:
            said = str(error).removeprefix(option).lstrip(": ")
            raise click.UsageError(said) from None  # click shows it, and asks again

    answer: str = typer.prompt(question, default=default, value_proc=checked, err=True)
    return answer


def _lake(text: str) -> str:
    address = checked_address("lake", text, "--lake")
    asyncio.run(_probe_lake(load_config(env={**os.environ, "ADCE_CONFIG": "", "ADCE_LAKE": address})))
    return text


def _ledger(lake: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        from tasks.ledger.database import check_writable

        address = checked_address("ledger", text, "--ledger")
        if are_one_place(lake_address(lake), address):
            raise AdceError(f"--ledger {text}: is the folder of the lake; name a file beside it, such as ./adce.db")
        check_writable(address)
        return text

    return check


def _since(text: str) -> str:
    if text != _EVERYTHING:
        try:
            Collect.model_validate({"since": text})
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise AdceError(f"--since {text}: {problem}, or {_EVERYTHING}") from None
    return text


def _sources(names: list[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        chosen = [name for name in text.replace(",", " ").split() if text != _EVERYTHING]
        for name in chosen:
            if name not in names:
                hint = suggestion_or_list(name, names, "there are")
                raise AdceError(f"--source {name}: no such source; {hint}")
        return ", ".join(chosen) or _EVERYTHING

    return check


def _seen_from(file: Path, text: str, address: Callable[[str, Path | None], str]) -> str:
    """A path that is relative to the working folder, as it is written in a file: absolute if that is elsewhere."""
    return text if file.absolute().parent == Path.cwd() else address(text, Path.cwd())


def write_settings(file: Path, text: str, *, is_private: bool) -> Config:
    """Writes the file, once its settings are valid and files are expected by them. Returns the settings."""
    new = file.absolute().with_name(f".{file.name}.new")
    try:
        new.unlink(missing_ok=True)  # the mode of a file that is there would stay
        mode = 0o600 if is_private else 0o644
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as opened:
            opened.write(text)
        config = load_config(new)
        Selection().check(config, datetime.now(UTC))
        new.replace(file)
    except OSError as error:
        raise AdceError(f"{file}: cannot be written: {error.strerror}") from None
    except ConfigError as error:
        raise ConfigError([line.replace(str(new), str(file)) for line in error.lines]) from None
    finally:
        new.unlink(missing_ok=True)
    return config


async def _check_pairing(lake: str, ledger: str) -> None:
    """Raises MismatchError if the ledger belongs to another lake. Writes nothing."""
    from tasks.ledger import Ledger
    from tasks.observe.identity import find_pairing
    from tasks.observe.session import open_lake

    places = {"ADCE_CONFIG": "", "ADCE_LAKE": lake, "ADCE_LEDGER": ledger}
    config = load_config(env={**os.environ, **places})
    with closing(Ledger(config.ledger, Access.LOOK)) as opened:
        await find_pairing(await open_lake(config), opened, None)


async def _probe_lake(config: Config) -> None:
    """Raises a LakeError if the lake cannot be written. Leaves nothing behind."""
    from tasks.observe.session import open_lake

    await (await open_lake(config)).check_usable(folders(config.datasets.values()))
