"""What does ADCE know about single files? The commands `adce why` and `adce check`."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.layout import standard_output
from deployments.cli.options import NAMES_FILES, AsOfOption, JsonOption, Places
from deployments.cli.output import print_json
from deployments.prefect_api.settings import api_url
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Selection
from tasks.domain.expected.keys import KeyPatterns
from tasks.domain.times import moment_of

if TYPE_CHECKING:
    from config.models import Config
    from tasks.answers.why import Answer
    from tasks.domain.assess.states import LakeObject


def why(
    key: Annotated[str, typer.Argument(metavar="KEY", help=NAMES_FILES)],
    places: Places,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows why a file is there or not: its state, the reason, until when, all attempts, and what happens next."""
    config = places.load()
    key = key_of_path(config, key)
    now = moment_of("--as-of", as_of) or datetime.now(UTC)
    Selection().check(config, now)
    answers = asyncio.run(_ask(config, key, now))
    if as_json:
        from tasks.show.documents.why import Why, WhyAnswer

        print_json(Why(answers=[WhyAnswer.of(answer) for answer in answers]).as_json())
    else:
        from deployments.cli.answers import show

        try:
            server, trouble = api_url(), None
        except AdceError as error:
            server, trouble = None, error
        show(answers, server, standard_output())
        if trouble:
            typer.echo(f"adce: runs are shown without links: {trouble}", err=True)


def check(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A lake key.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="File with the body; default: the lake's file under KEY.")
    ] = None,
    taken: Annotated[
        str | None,
        typer.Option(
            "--taken",
            metavar="ISO-TIME",
            help="Time at which the source sent the body; default: now, or when the lake's file was stored.",
        ),
    ] = None,
    *,
    places: Places,
    as_json: JsonOption = False,
) -> None:
    """Shows what ADCE would do with a body under a key: stored, absent, refused, heals or bad, and why.

    A game is assumed to be final.
    """
    from tasks.answers.check import check_body, dataset_of
    from tasks.domain.assess.verdicts import Consequence

    config = places.load()
    key = key_of_path(config, key)
    dataset_of(config, key)
    at = moment_of("--taken", taken)
    if file is None:
        body, have = asyncio.run(_get(config, key))
        at = at or have.modified
    else:
        body = _read(file)
    checked = check_body(config, key, body, at or datetime.now(UTC))
    if as_json:
        print_json(checked.document())
    else:
        from deployments.cli.answers import show_check

        show_check(checked, standard_output())
    if checked.answer is not Consequence.STORED:
        raise typer.Exit(1)


def key_of_path(config: Config, text: str) -> str:
    """The key of a file of the lake that is named by its path, whether or not it is there; any other text as it is.

    A text that is no path, such as a game's id, is not taken for one in a folder of the lake.
    """
    from blocks.store import Store

    if (folder := Store(config.lake).folder) is None:
        return text
    path, root = Path(os.path.abspath(text)), Path(os.path.abspath(folder))
    if not path.is_relative_to(root):
        return text
    key = path.relative_to(root).as_posix()
    return key if path.is_file() or KeyPatterns(config).match(key) else text


async def _ask(config: Config, key: str, now: datetime) -> list[Answer]:
    from tasks.answers.why import why
    from tasks.observe.session import open_both

    store, ledger, _ = await open_both(config)
    with closing(ledger):
        return await why(config, ledger, store, key, now)


async def _get(config: Config, key: str) -> tuple[bytes, LakeObject]:
    from tasks.observe.session import open_lake

    store = await open_lake(config)
    store.check()
    return await store.get(key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AdceError(f"{path}: cannot be read: {error.strerror}") from None
