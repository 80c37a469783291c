"""In which processes are incidents told: in services until they end, and in a run once, at its end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager

from config.models import Config
from config.secrets import masked
from tasks.domain.errors import LakeError, LedgerError, Reach
from tasks.domain.incidents import Fact, Kind
from tasks.domain.wording import one_line
from tasks.observe.outages import Outage
from tasks.publish.at_end import at_end, text_of
from tasks.publish.notifier import EVERY, Notifier, Others, no_facts

log = logging.getLogger(__name__)

_ENDS_WITHIN = 2.0  # seconds for which a service that ends waits for messages that are being sent
_SERVICE_WAITS = 3.0  # seconds for which it waits for all of that
_RUN_WAITS = 10.0  # seconds for which a run waits until its messages are sent


@contextmanager
def telling(
    config: Config,
    others: Others = no_facts,
    watches: Collection[Kind] = (),
    note: Callable[[bool], None] = lambda is_written: None,
) -> Iterator[None]:
    """A block of a service during which a thread evaluates and tells incidents.

    An error is one line of the log. Nothing waits for the thread, except the end of the block for some seconds.
    `others` has the facts that the service knows, of the kinds `watches`; it is called in threads. `note` hears after
    each time whether the ledger could be written.
    """
    if config.dry_run or config.test_mode:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_tell_until(ended, config, others, watches, note)), name="alerts", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_SERVICE_WAITS)


async def _tell_until(
    ended: threading.Event, config: Config, others: Others, watches: Collection[Kind], note: Callable[[bool], None]
) -> None:
    if config.alerts.targets and config.alerts.owner == "adce":
        log.info(
            "messages about incidents go to %s; one process of a ledger sends them", ", ".join(config.alerts.targets)
        )
    notifier = Notifier(config, others, watches=watches, serves=True)
    outage = Outage("incidents are evaluated again; they were not")
    notifier.open_targets()
    while not ended.is_set():
        note(await _guarded(notifier.round, outage))
        await asyncio.to_thread(ended.wait, EVERY)
    await notifier.end(_ENDS_WITHIN)


async def _guarded(work: Callable[[], Awaitable[None]], outage: Outage) -> bool:
    """Does some work whose error is one line of the log. Returns False if the ledger could not be used."""
    try:
        await work()
    except LedgerError as error:
        outage.failed(f"incidents are evaluated without the ledger: {error}")
        return False
    except Exception as error:  # whatever it is, the next round may succeed
        outage.failed(_line(error))
    else:
        outage.ended()
    return True


async def tell_once(config: Config, others: Others = no_facts) -> None:
    """Evaluates at the end of a run, however it ends, and tells what follows, unless a service does: in 10 seconds.

    An error, or a target that hangs, is one warning. Dry runs and test mode are no work on the lake.
    """
    if config.dry_run or config.test_mode:
        return

    async def tell() -> None:
        notifier = Notifier(config, others, watches=[Kind.LAKE])
        try:
            await notifier.round()
            await notifier.delivered()
        finally:
            await notifier.end(0.0)

    hangs = f"messages about incidents were not sent within {_RUN_WAITS:.0f} s; whoever tells next sends them"
    await at_end(lambda: asyncio.run(tell()), _RUN_WAITS, name="alerts", hangs=hangs, line=_line)


def facts_of_end(error: Exception | None) -> list[Fact]:
    """What a run knows that has ended, perhaps with an error, besides what is in the ledger: can the lake be used?"""
    if isinstance(error, LakeError) and error.reach is Reach.LAKE:
        return [Fact(Kind.LAKE, "", 1, reason=masked(one_line(str(error))))]
    return [] if error else [Fact(Kind.LAKE, "", 0)]


def _line(error: Exception) -> str:
    """What the log says of an error."""
    return f"incidents are not evaluated: {text_of(error)}"
