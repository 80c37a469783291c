"""Which files do the sources not have? The commands `adce unavailable …`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.layout import say
from deployments.cli.ledger import opened
from deployments.cli.options import NAMES_FILES, JsonOption, Places, command, note_of, operator
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.errors import AdceError, SelectionError
from tasks.domain.times import day_of
from tasks.domain.wording import plural, utc, verb

if TYPE_CHECKING:
    from config.models import Config
    from tasks.answers.marking import Marking
    from tasks.domain.assess.absences import Absence

app = typer.Typer(help="Marks and lists files that the sources do not have.", no_args_is_help=True)
KeysArgument = Annotated[list[str], typer.Argument(metavar="KEY...", help=f"Each is {NAMES_FILES}")]


@command(app)
def add(
    keys: KeysArgument,
    note: Annotated[str, typer.Option("--note", help="The reason, which is shown wherever the file is shown.")],
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="YYYY-MM-DD", help="Day from which they are fetched again; default: in a year."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    *,
    places: Places,
) -> None:
    """Marks files as unavailable until a day, or until the mark is cleared. Files in the lake are not marked.

    For a pattern, a game or a date it shows first which files it would mark, and asks for confirmation.
    """
    config = places.load()
    now = datetime.now(UTC)
    last = day_of("--until", until)
    expires = datetime(last.year, last.month, last.day, tzinfo=UTC) if last else now + timedelta(days=365)
    if expires <= now:
        raise AdceError(f"--until {until}: that day is past")
    note = note_of(note)
    marking = asyncio.run(_look(config, keys, now))
    if not marking.marks:
        raise AdceError(marking.not_marked)
    for line in marking.lines():
        typer.echo(line, err=True)
    if not (yes or set(marking.marks) | set(marking.in_lake) == set(keys)):
        _confirm(f"Mark these files as unavailable until {utc(expires)}?")
    with opened(places, Access.RUN) as (_, ledger):
        ledger.absences.record(marking.absences(note, operator(), expires, now))
    count = len(marking.marks)
    typer.echo(f"{plural(count, 'file')} {verb(count, 'is', 'are')} unavailable until {utc(expires)}")


@command(app)
def clear(keys: KeysArgument, *, places: Places) -> None:
    """Clears the marks of files, so that they are fetched again, whether a source or an operator set them."""
    from fnmatch import fnmatchcase

    from tasks.answers.why import Schedules, is_pattern, keys_of

    with opened(places, Access.CHANGE) as (settings, ledger):
        known = ledger.absences.current()
        # What is marked need not be expected any more, so keys and patterns are those of the marks.
        chosen = {key for key in known for text in keys if key == text or (is_pattern(text) and fnmatchcase(key, text))}
        for text in keys:
            with suppress(SelectionError):
                chosen |= known.keys() & keys_of(settings, Schedules(ledger), [text], datetime.now(UTC)).keys()
        if not chosen:
            raise AdceError(
                f"{', '.join(keys)}: none of the {plural(len(known), 'file')} that `adce unavailable list` shows"
            )
        ledger.absences.clear(chosen)
        typer.echo(f"{plural(len(chosen), 'file')} {verb(len(chosen), 'is', 'are')} looked for again")


@command(app, "list")
def list_all(places: Places, as_json: JsonOption = False) -> None:
    """Lists the files that the sources do not have: until when, who says so, since when, and why."""
    with opened(places, Access.READ) as (config, ledger):
        absences = sorted(ledger.absences.current().values(), key=lambda absence: absence.key)
    if as_json:
        print_json({"unavailable": [_document(absence) for absence in absences]})
        return
    for absence in absences:
        until = f"until {utc(absence.until)}" if absence.until else "not yet counted as unavailable"
        say(f"{absence.key}  {until}  {_who_says_so(config, absence)}")
    if not absences:
        typer.echo("none", err=True)


def _who_says_so(config: Config, absence: Absence) -> str:
    """Who says that the source does not have a file, since when, and why."""
    if absence.note is not None:
        return f"{absence.by or 'an operator'}, on {utc(absence.first)}: {absence.note}"
    dataset = config.datasets.get(absence.dataset)
    source = dataset.source if dataset else "the source"
    return f"{source}, in {plural(absence.looks, 'look')} since {utc(absence.first)}: {absence.evidence}"


async def _look(config: Config, keys: list[str], now: datetime) -> Marking:
    from tasks.answers.marking import marking_of
    from tasks.observe.session import open_both

    store, ledger, _ = await open_both(config)
    with closing(ledger):
        return await marking_of(config, ledger, store, keys, now)


def _confirm(question: str) -> None:
    """Asks the user to confirm. Raises AdceError if the answer is no, or if there is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise AdceError("nothing is marked: there is no terminal to ask in; if the list above is right, add --yes")
    if not typer.confirm(question, err=True):
        raise AdceError("nothing is marked")


def _document(absence: Absence) -> dict[str, Any]:
    return {
        "key": absence.key,
        "dataset": absence.dataset,
        "evidence": absence.evidence,
        "looks": absence.looks,
        "first": absence.first.isoformat(),
        "last": absence.last.isoformat(),
        "until": absence.until and absence.until.isoformat(),
        "note": absence.note,
        "by": absence.by,
    }
