"""Which options do several commands share? Each is made here once, and those that go together are a group."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from config.load import check_lake, load_config
from deployments.cli.errors import one_line_errors
from deployments.cli.place import find_ledger
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Selection, in_utc

if TYPE_CHECKING:
    from config.models import Config

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
MaxFillsOption = Annotated[int | None, typer.Option("--max-fills", metavar="N", min=0, help="Start at most N fills.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", metavar="ISO-TIME", help="The clock; default: now.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings over the defaults.")]
LakeOption = Annotated[str | None, typer.Option("--lake", metavar="URL", help="file:///folder or s3://bucket/prefix.")]


@dataclass(frozen=True)
class Places:
    """Where things are."""

    config: ConfigOption = None
    lake: LakeOption = None

    def load(self) -> Config:
        """The configuration, with these places in it."""
        self.export()
        return load_config()

    def export(self) -> None:
        """Makes these places this process's environment, which flows read as well."""
        if self.config is not None:
            os.environ["ADCE_CONFIG"] = str(self.config.absolute())
        if self.lake is not None:
            check_lake(self.lake, "--lake")
            os.environ["ADCE_LAKE"] = self.lake
        find_ledger()


@dataclass(frozen=True)
class Scope:
    """Which files a command is about, and at which moment."""

    source: Annotated[list[str] | None, typer.Option("--source", metavar="S", help="Only this source; repeatable.")] = (
        None
    )
    dataset: Annotated[list[str] | None, typer.Option("--dataset", metavar="D", help="Only this dataset.")] = None
    season: Annotated[list[str] | None, typer.Option("--season", metavar="2023-24", help="Only this season.")] = None
    since: Annotated[str | None, typer.Option("--since", metavar="YYYY-MM-DD", help="Only from this day on.")] = None
    until: Annotated[str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Only up to this day.")] = None
    as_of: AsOfOption = None

    def selection(self) -> Selection:
        days = day("--since", self.since), day("--until", self.until)
        return Selection(tuple(self.source or ()), tuple(self.dataset or ()), tuple(self.season or ()), *days)

    def clock(self) -> datetime | None:
        """None stands for now."""
        return moment("--as-of", self.as_of)

    def checked(self, config: Config) -> tuple[Selection, datetime | None]:
        """The selection and the clock. Raises SelectionError where no file can be expected."""
        selection, clock = self.selection(), self.clock()
        selection.check(config, clock or datetime.now(UTC))
        return selection, clock


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds a function to an app. Its parameters may be groups of options, and its errors are printed as lines."""
    return lambda function: app.command(name)(_flattened(one_line_errors()(function)))


def _flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of a group in place of each parameter that is a group. Typer has no groups."""
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

    with_groups.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    return with_groups


def day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise AdceError(f"{option} {text}: not a day; write it as 2024-01-31") from None


def moment(option: str, text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise AdceError(f"{option} {text}: not a time; write it as 2024-01-31T12:00:00Z") from None
    return found and in_utc(found)
