"""What do messages about the lake change? The command `adce watch`."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.store import Store
from config.load import checked_address
from config.secrets import masked
from deployments.cli.interrupts import before_the_watch
from deployments.cli.layout import say
from deployments.cli.options import JsonOption, Places
from deployments.cli.output import print_json
from deployments.prefect_api.settings import api_url
from tasks.domain.errors import AdceError
from tasks.domain.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from config.models import Config
    from tasks.answers.watched import Watched
    from tasks.observe.messages import Line

# New objects after which Python looks for unreachable ones. What is remembered of the lake stays, so that looking
# through it often takes half of the time.
_COLLECTED_AFTER = 100_000
_TELL = (
    "flows.watch",
    "flows.event_fills",
    "tasks.observe.receivers",
    "tasks.publish",
)  # the loggers that tell how it goes on


def watch(
    places: Places,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE|-",
            help="Where the messages are: bodies, one a line, or what `aws sqs receive-message` prints; - is standard "
            "input.",
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option("--queue", metavar="URL|ARN", help="Receive from this queue of SQS; default: events.queue."),
    ] = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when the queue is empty.")] = False,
    progress_file: Annotated[
        Path | None,
        typer.Option("--progress-file", metavar="FILE", help="Touch this file whenever the queue has answered."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Takes in messages that S3 has sent about the lake, and judges what they change, until it is stopped.

    Example: adce watch --queue arn:aws:sqs:us-east-1:123456789012:changes
    """
    from tasks.observe.watcher import sending_bucket
    from tasks.show.documents.operations import WatchedMessages

    config = places.load()
    sending_bucket(Store(config.lake))  # before a ledger is created that nobody needs
    gc.set_threshold(_COLLECTED_AFTER)
    of_queue = {"--queue": queue, "--progress-file": progress_file, "--until-empty": until_empty or None}
    if source is None:
        with before_the_watch():
            watched = _from_queue(config, queue, _checked(progress_file), until_empty=until_empty)
    elif given := [name for name, value in of_queue.items() if value is not None]:
        raise AdceError(f"--from reads messages from a file, and {' and '.join(given)} from a queue: leave one out")
    else:
        watched = _from_file(config, source)
    if source is not None:  # of a queue, they are told when they are received
        _print_errors(watched)
    if watched.elsewhere is not None:
        of_others = (
            f"messages of other buckets have come, as of {one_line(watched.elsewhere)}; the lake is {config.lake}"
        )
        typer.echo(masked(f"adce: warning: {of_others}"), err=True)
    if as_json:
        print_json(WatchedMessages.of(watched).as_json())
    else:
        _print(watched)
    if watched.unreadable:
        raise typer.Exit(1)


def _from_queue(config: Config, given: str | None, progress: Path | None, *, until_empty: bool) -> Watched:
    from deployments.cli.terminal import info_shown, prefect_log
    from deployments.process_facts import process_facts
    from flows.watch import watch as watch_queue

    address = checked_address("queue", given, "--queue") if given is not None else config.events.queue
    if address is None:
        raise AdceError("no queue to receive from: set events.queue, or name one with --queue, or a file with --from")
    with prefect_log(is_shown=False) if config.events.fill else nullcontext():  # it imports Prefect
        if config.events.fill and api_url() is None:  # Prefect's embedded API has no buckets yet
            from deployments.setup.prefect_server import set_up_buckets

            asyncio.run(set_up_buckets(config))
        with info_shown(*_TELL):
            others = process_facts(config)
            return asyncio.run(
                watch_queue(config, address, progress, until_empty=until_empty, others=others, watches=others.watches)
            )


def _checked(progress: Path | None) -> Path | None:
    """The file of --progress-file. Raises AdceError if it cannot be one."""
    if progress and (progress.is_dir() or not progress.parent.is_dir()):
        where = progress if progress.is_dir() else progress.parent
        raise AdceError(
            f"--progress-file: {where} is {'a' if where.is_dir() else 'no'} folder; name a file in a folder"
        )
    return progress


def _from_file(config: Config, source: str) -> Watched:
    with ExitStack() as opened, _readable(source):
        stream = _standard_input() if source == "-" else opened.enter_context(Path(source).open("rb"))
        if stream is None:
            raise AdceError("--from -: standard input is closed; name a file, or pass messages with a pipe")
        return asyncio.run(_watch(config, stream, source))


def _standard_input() -> BinaryIO | None:
    return None if sys.stdin is None else sys.stdin.buffer


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """A block in which an error of the system is one of reading the messages."""
    try:
        yield
    except OSError as error:
        raise AdceError(f"--from {source}: cannot be read: {error.strerror}") from None


async def _watch(config: Config, stream: BinaryIO, source: str) -> Watched:
    from tasks.answers.watched import Watched
    from tasks.domain.access import Access
    from tasks.domain.expected.cells import Selection
    from tasks.observe.messages import Lines
    from tasks.observe.session import open_session
    from tasks.observe.watcher import AT_ONCE, TAKEN_AGAIN, Watcher

    async with open_session(config, Selection(), access=Access.RUN) as session:
        watcher, watched, lines = Watcher(session), Watched(), Lines(stream)
        waiting: list[Line] = []  # for runs that are fetching the files they tell of
        while waiting or not lines.are_taken:
            with _readable(source):
                new = await lines.next(AT_ONCE, TAKEN_AGAIN if waiting else None)
            batch = [*waiting, *new]
            at = [line.received for line in batch]
            taken = await watcher.take([line.body for line in batch], received=at)
            watched.add(taken, at, (line.place for line in batch))
            waiting = [batch[position] for position in sorted(taken.waiting)]
            if len(new) < AT_ONCE or watcher.is_behind:
                await watcher.follow()
    return watched


def _print_errors(watched: Watched) -> None:
    for name, error in watched.errors.items():
        typer.echo(f"adce: unreadable: {name}: {error}", err=True)
    if more := watched.unreadable - len(watched.errors):
        typer.echo(f"adce: unreadable: and {more:,} more", err=True)


def _print(watched: Watched) -> None:
    from tasks.answers.watched import described

    say(described(watched.fates))
    half, most = watched.latency(0.5), watched.latency(0.99)
    if half is not None and most is not None:
        of_half = f"half within {1000 * half:.0f} ms, 99 % " if len(watched.latencies) > 1 else ""
        say(f"from receipt to state: {of_half}within {1000 * most:.0f} ms")
