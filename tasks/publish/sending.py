"""Who sends metrics to CloudWatch, and when? One process at a time, once a minute, and never the same twice."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from blocks.aws import aws_of
from blocks.cloudwatch import CloudWatch, CloudWatchError
from config.models import Config
from tasks.answers.metrics import measured
from tasks.domain.access import Access
from tasks.domain.datapoints import Datapoint, datapoints
from tasks.domain.errors import AdceError, LedgerError
from tasks.domain.wording import duration
from tasks.ledger import Ledger
from tasks.ledger.sendings import RENEWED_EVERY, Turn
from tasks.observe.outages import Outage
from tasks.publish.at_end import at_end, text_of

log = logging.getLogger(__name__)

_RUN_WAITS = 20.0  # seconds for which a run waits for its sending
_SERVICE_WAITS = 6.0  # the same for a service that ends
_SANDBOX = {"sandbox": "true"}  # a dimension that keeps invented figures apart


class Sender:
    """Sends the metrics of a ledger to CloudWatch, whenever it is this sender's turn."""

    def __init__(self, config: Config, ledger: Ledger, sink: CloudWatch, name: str = ""):
        self._config, self._ledger, self._sink = config, ledger, sink
        self._name = name or uuid.uuid4().hex

    def send(self) -> bool:
        """Sends what has happened since the last sending. False if another sender does that, or it is not time yet.

        Raises LedgerError or CloudWatchError. The next sending has what was to be sent, if none of it can have been
        counted; else it is lost.
        """
        turn = self._ledger.sendings.take_turn(self._name, self._config.cloudwatch.every)
        if turn is None:
            return False
        try:
            self._sink.put(self._datapoints(turn), turn.at)
        except AdceError as error:
            if not isinstance(error, CloudWatchError) or error.are_uncounted:
                with suppress(LedgerError):
                    self._ledger.sendings.put_back(turn)
            raise
        return True

    def _datapoints(self, turn: Turn) -> list[Datapoint]:
        """What there is to send. Raises LedgerError."""
        try:
            return datapoints(turn.totals, turn.before, measured(self._config, self._ledger, turn.at))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            text = f"ledger {self._ledger.name}: its totals are damaged, and no metrics are sent: {error!r}"
            raise LedgerError(text) from error

    def waits(self) -> float:
        """Seconds until it may be time for the next sending."""
        return self._ledger.sendings.waits(self._name, self._config.cloudwatch.every)

    def let_go(self) -> None:
        """Leaves the sending to others."""
        self._ledger.sendings.let_go(self._name)


@contextmanager
def opened(config: Config, name: str = "") -> Iterator[Sender]:
    """A sender, which leaves the sending to others when the block ends. Raises AdceError."""
    settings = config.cloudwatch
    dimensions = settings.dimensions | (_SANDBOX if config.sandbox else {})
    sink = CloudWatch(asyncio.run(aws_of(config)), str(settings.namespace), dimensions)
    with closing(Ledger(config.ledger, Access.CHANGE)) as ledger:
        sender = Sender(config, ledger, sink, name)
        try:
            yield sender
        finally:
            with suppress(LedgerError):
                sender.let_go()


@contextmanager
def sending(config: Config) -> Iterator[None]:
    """A block of a service during which a thread sends metrics, if the configuration wants that.

    An error is one line of the log. Nothing waits for the thread, except the end of the block for some seconds.
    """
    if not _is_wanted(config):
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_send_until, args=(ended, config), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_SERVICE_WAITS)


def _send_until(ended: threading.Event, config: Config) -> None:
    settings, is_told = config.cloudwatch, False
    every = duration(settings.every)
    log.info("metrics go to %s of CloudWatch every %s; one process of a ledger sends them", settings.namespace, every)
    name, outage = uuid.uuid4().hex, Outage("metrics are sent to CloudWatch again; they were not")
    while not ended.is_set():
        try:
            with opened(config, name) as sender:
                while not ended.is_set():
                    if sender.send() and not is_told:
                        log.info("this process sends the metrics to %s of CloudWatch", settings.namespace)
                        is_told = True
                    outage.ended()
                    ended.wait(sender.waits())
        except Exception as error:  # whatever it is, the next sending may succeed
            outage.failed(_line(error))
            ended.wait(RENEWED_EVERY)


async def send_once(config: Config) -> None:
    """Sends what a run has changed, if the configuration wants that, unless a service does.

    An error, or a CloudWatch that hangs, is one warning.
    """
    if not _is_wanted(config):
        return

    def send() -> None:
        with opened(config) as sender:
            sender.send()

    hangs = f"CloudWatch has not taken the metrics within {_RUN_WAITS:.0f} s; they may be lost"
    await at_end(send, _RUN_WAITS, name="metrics", hangs=hangs, line=_line)


def _line(error: Exception) -> str:
    """What the log says of an error."""
    if isinstance(error, CloudWatchError):
        return str(error)
    return f"no metrics are sent to CloudWatch: {text_of(error)}"


def _is_wanted(config: Config) -> bool:
    """Are metrics sent? Dry runs and test mode are no work on the lake, and send none."""
    return config.cloudwatch.namespace is not None and not (config.dry_run or config.test_mode)
