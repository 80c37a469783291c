"""What do messages about the lake change? The command `adce watch`."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.layout import say
from deployments.cli.options import JsonOption, Places
from deployments.cli.output import print_json
from tasks.domain.errors import AdceError
from tasks.domain.wording import plural

if TYPE_CHECKING:
    from typing import BinaryIO

    from config.models import Config
    from tasks.answers.watched import Watched

_COMMITTED_AT_ONCE = 500  # messages
# New objects after which Python looks for unreachable ones. What is remembered of the lake stays, so that looking
# through it often takes half of the time.
_COLLECTED_AFTER = 100_000


def watch(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FILE|-",
            help="Where the messages are: one a line, as a body or as the AWS command prints it; - is standard input.",
        ),
    ],
    places: Places,
    as_json: JsonOption = False,
) -> None:
    """Takes in messages that S3 has sent about the lake, and judges what they change. Fetches nothing.

    Example: adce watch --from messages.jsonl
    """
    from tasks.show.documents.operations import WatchedMessages

    config = places.load()
    with ExitStack() as opened:
        stream = sys.stdin.buffer if source == "-" else opened.enter_context(_opened(Path(source)))
        watched = asyncio.run(_watch(config, stream))
    for error in watched.errors:
        typer.echo(f"adce: unreadable: {error}", err=True)
    if as_json:
        print_json(WatchedMessages.of(watched).as_json())
    else:
        _print(watched)
    if watched.unreadable:
        raise typer.Exit(1)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise AdceError(f"--from {path}: cannot be read: {error.strerror}") from None


async def _watch(config: Config, stream: BinaryIO) -> Watched:
    from tasks.answers.watched import Watched
    from tasks.domain.access import Access
    from tasks.domain.expected.cells import Selection
    from tasks.observe.messages import batches
    from tasks.observe.session import open_session
    from tasks.observe.watcher import Watcher

    gc.set_threshold(_COLLECTED_AFTER)
    async with open_session(config, Selection(), access=Access.RUN) as session:
        watcher, watched = Watcher(session), Watched()
        for batch in batches(stream, _COMMITTED_AT_ONCE):
            taken = await watcher.take([line.body for line in batch])
            watched.add(taken, (line.received for line in batch), (f"line {line.number}" for line in batch))
    return watched


def _print(watched: Watched) -> None:
    counts = [f"{count:,} {fate.replace('_', ' ')}" for fate, count in watched.counts().items() if count]
    say(f"{plural(watched.received, 'message')}{': ' if counts else ''}{', '.join(counts)}")
    half, most = watched.latency(0.5), watched.latency(0.99)
    if half is not None and most is not None:
        say(f"from receipt to state: half within {1000 * half:.0f} ms, 99 % within {1000 * most:.0f} ms")
