"""Which options do several commands share? Each is defined here once; options that belong together form a group."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from config.layers import Layer
from config.load import HERE, checked_address, load_config, settings_file
from config.models import lake_address, ledger_address
from deployments.cli import completion
from deployments.cli.errors import one_line_errors
from deployments.cli.place import find_ledger
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Selection
from tasks.domain.times import day_of, moment_of
from tasks.domain.wording import one_line

if TYPE_CHECKING:
    from config.models import Config

_LONGEST_NOTE = 500  # characters
_LIKE_A_DURATION = re.compile(r"(\d+(\.\d+)?\s*[smhd]\s*)+")
NAMES_FILES = "a lake key, a pattern with * ? [] (* matches / too), a game's id or a date."
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
MaxFillsOption = Annotated[int | None, typer.Option("--max-fills", metavar="N", min=0, help="Start at most N fills.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show the log of the run, Prefect's lines too, on standard error.")
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", metavar="ISO-TIME", help="Act as if it were this time; default: now.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="File of settings that override the defaults.")
]
LakeOption = Annotated[
    str | None, typer.Option("--lake", metavar="PLACE", help="The lake: a folder, or s3://bucket/prefix.")
]
LedgerOption = Annotated[
    str | None,
    typer.Option("--ledger", metavar="PLACE", help="The ledger: the path of a SQLite file, or postgresql://host/adce."),
]


_DEFAULTS = "the defaults apply, a lake in ./lake with everything since 1996; `adce init` makes a smaller one"


@dataclass(frozen=True)
class Places:
    """Options that say where the configuration, the lake and the ledger are."""

    config: ConfigOption = None
    lake: LakeOption = None
    ledger: LedgerOption = None

    def load(self, options: Sequence[Layer] = ()) -> Config:
        """Exports the options, and loads the configuration with them and with what other options set.

        Raises ConfigError.
        """
        self.export()
        return load_config(options=options)

    def export(self, *, looks_here: bool = True, needs_lake: bool = True) -> None:
        """Writes the options to this process's environment, which flows and child processes read too.

        A line on standard error says if the file of settings is the one in the working folder. It also says if nothing
        names a file or a lake, unless `needs_lake` is false because the command has a lake of its own. If the file is
        not to be read unless it is named, `looks_here` is false, and the line says that. Raises ConfigError.
        """
        file = self.config.expanduser() if self.config else settings_file()
        if self.config is None and "ADCE_CONFIG" not in os.environ:
            if file and not looks_here:
                typer.echo(f"adce: ./{file} is not read; to use its settings, add --config {file}", err=True)
                file = None
            elif file:
                typer.echo(f"adce: the settings are those of ./{file}", err=True)
            elif needs_lake and self.lake is None and "ADCE_LAKE" not in os.environ:
                typer.echo(f"adce: there is no ./{HERE}: {_DEFAULTS}", err=True)
        os.environ["ADCE_CONFIG"] = str(file.absolute()) if file else ""
        self.export_addresses()

    def origin(self, origin: str) -> str:
        """The origin of a setting, as `config.effective` tells it, in words: an option, a variable, or a file."""
        variable = origin.removeprefix("environment variable ")
        given = {f"ADCE_{name.upper()}": getattr(self, name) for name in ("lake", "ledger")}
        if given.get(variable) is not None:
            return f"--{variable.removeprefix('ADCE_').lower()}"
        return variable

    def export_addresses(self) -> None:
        """Writes only the addresses of the lake and the ledger to the environment. Raises ConfigError."""
        for name, text in (("lake", self.lake), ("ledger", self.ledger)):
            if text is not None:
                address = checked_address(name, text, f"--{name}")
                whole = lake_address if name == "lake" else ledger_address
                os.environ[f"ADCE_{name.upper()}"] = whole(address, Path.cwd())  # wherever it is read or written again
        find_ledger()


@dataclass(frozen=True)
class Scope:
    """Options that select the files of a command, and its clock."""

    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="S", help="Only this source; repeatable.", autocompletion=completion.sources),
    ] = None
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", metavar="D", help="Only this dataset; repeatable.", autocompletion=completion.datasets
        ),
    ] = None
    season: Annotated[
        list[str] | None,
        typer.Option(
            "--season", metavar="2023-24", help="Only this season; repeatable.", autocompletion=completion.seasons
        ),
    ] = None
    since: Annotated[str | None, typer.Option("--since", metavar="YYYY-MM-DD", help="Only from this day on.")] = None
    until: Annotated[str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Only up to this day.")] = None
    as_of: AsOfOption = None

    def arguments(self) -> tuple[str, ...]:
        """The options as they were typed."""
        given = [(f"--{field.name.replace('_', '-')}", getattr(self, field.name)) for field in fields(self)]
        each = [(name, value) for name, values in given for value in (values if isinstance(values, list) else [values])]
        return tuple(word for name, value in each if value is not None for word in (name, value))

    def selection(self) -> Selection:
        """The selection of files. Raises AdceError for a malformed date."""
        days = day_of("--since", self.since), day_of("--until", self.until)
        return Selection(tuple(self.source or ()), tuple(self.dataset or ()), tuple(self.season or ()), *days)

    def clock(self) -> datetime | None:
        """The moment of --as-of in UTC; None stands for now. Raises AdceError for a malformed time."""
        return moment_of("--as-of", self.as_of)

    def checked(self, config: Config) -> tuple[Selection, datetime | None]:
        """The selection and the clock. Raises SelectionError for a selection in which no file is expected."""
        selection, clock = self.selection(), self.clock()
        selection.check(config, clock or datetime.now(UTC))
        return selection, clock


def note_of(given: str) -> str:
    """The reason that was given with --note, as one line. Raises AdceError for none, or a text too long to be shown."""
    note = one_line(given)
    if not note:
        raise AdceError("--note: give the reason; it is shown wherever the files are shown")
    if len(note) > _LONGEST_NOTE:
        raise AdceError(f"--note: {len(note):,} characters; at most {_LONGEST_NOTE}, as every file's reason has it")
    return note


def operator() -> str:
    """Who types this, by the name of the account."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # the account has no name, as in some containers
        return "somebody"


def span_of(option: str, given: str) -> timedelta:
    """The duration that was given with an option. Raises AdceError for another text."""
    from pydantic import TypeAdapter, ValidationError

    from config.models import Duration

    try:
        return TypeAdapter(Duration).validate_python(given)
    except ValidationError:
        if _LIKE_A_DURATION.fullmatch(given.strip()):
            raise AdceError(f"{option} {given}: that is too long; give at most 3660d") from None
        raise AdceError(f"{option} {given}: not a duration; write it as 30m, 2h or 90d") from None


def begin_of(option: str, given: str, now: datetime) -> datetime:
    """The time that is as long ago as was given with an option, or at which the day begins, in UTC, that was given.

    Raises AdceError for another text.
    """
    try:
        day = date.fromisoformat(given)
    except ValueError:
        return now - span_of(option, given)
    if (begin := datetime(day.year, day.month, day.day, tzinfo=UTC)) > now:
        raise AdceError(f"{option} {given}: that day has not begun yet, in UTC")
    return begin


def command(
    app: typer.Typer, name: str | None = None, *, status_1: str = ""
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator that adds a function to an app as a command.

    The function's parameters may be groups of options. Its errors are printed as lines (see `one_line_errors`). Its
    help ends with its exit statuses: `status_1` says when it is 1, if it ever is.
    """
    one = f"1: {status_1}. " if status_1 else ""
    statuses = f"Exit status 0: done. {one}2: a mistake, or something cannot be used; a line says what to do."
    return lambda function: app.command(name, epilog=statuses)(_flattened(one_line_errors()(function)))


def _flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each group of options replaced by its single options, because Typer has no groups."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        members = signature(groups[parameter.name]).parameters if parameter.name in groups else {"": parameter}
        types = get_type_hints(groups.get(parameter.name, command), include_extras=True)
        parameters += [
            member.replace(kind=Parameter.KEYWORD_ONLY, annotation=types[member.name]) for member in members.values()
        ]

    @wraps(command)
    def with_groups(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    with_groups.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it
    return with_groups
