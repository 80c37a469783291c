"""When is the ledger read, and when is asked whatever may not answer? What was read last stays until the next time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from blocks.store import Store
from config.models import Config
from deployments.serve.answers import Answer, writers
from deployments.serve.needs import LEDGER, cause_of, folders_of, free_bytes, needs_of
from tasks.answers.health import ANSWERS, AWAY_FOR, Evaluated, Events, Health, Known, Reached, health_of
from tasks.answers.history import History, history
from tasks.answers.holds import held
from tasks.answers.service import Snapshot, snapshot
from tasks.daemon_threads import in_daemon_thread
from tasks.domain.errors import AdceError
from tasks.domain.wording import duration
from tasks.log_lines import about

log = logging.getLogger(__name__)
T = TypeVar("T")

_ASKED_EVERY = timedelta(seconds=30)  # the lake, and the Prefect API
_PAST_EVERY = timedelta(minutes=10)  # how things went over a month, which a run that ends changes, too
_PAST_RESTS = 20  # times as long as it took to read; it takes longer than all else
_ANSWERS_WITHIN = 10.0  # seconds, after which something counts as away
_HANGS_AFTER = 60.0  # seconds beyond that, after which it is asked anew; twice as many for each thread that hangs
_SEE_LOG = "cannot be used; the log of adce serve says why"  # errors name addresses, which no answer may show
_NOT_WRITTEN = "can be read, but not written; the log of adce serve says why"


class Refresh:
    """The last snapshot of the ledger, the answers that come from it, and what the health depends on.

    Everything that may block runs in a thread of its own. A thread that hangs does not hold up any other, nor the end
    of this process: whatever it has asked is asked anew later, and later each time, so that few threads hang.
    """

    def __init__(self, config: Config, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._config = config
        self._now = now
        self.answers: Mapping[str, Answer] = {}
        self.snapshot: Snapshot | None = None
        self.past: History | None = None
        self._needs, self.notes = needs_of(config)
        self._since = now()
        self._reached = {name: Reached(self._since) for name in (LEDGER, *self._needs)}
        self._writing = Reached(self._since)  # can the ledger be written, too?
        self._free: dict[str, int] = {}
        self._hanging: dict[str, set[asyncio.Future[Any]]] = defaultdict(set)
        self._asked = asyncio.Event()  # set when there is news
        self._ended = asyncio.Event()  # set when a run has ended since how things went was read
        self._written: Any = None  # of what the answers were written
        self._served: datetime | None = None  # as of when the snapshot is of which they were written
        self._unwritten: Mapping[str, str] = {}  # why an answer could not be written, by path

    async def run(self) -> None:
        """Refreshes everything, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_asking(LEDGER, self._read, self._config.serve.refresh, self._take))
            for name, ask in self._needs.items():
                tasks.create_task(self._keep_asking(name, ask, _ASKED_EVERY))
            for name, folder in folders_of(self._config).items():
                tasks.create_task(self._keep_measuring(name, folder))
            tasks.create_task(self._keep_reading_the_past())
            tasks.create_task(self._keep_writing())

    async def once(self) -> None:
        """Asks everything once, and writes the answers."""
        asked = (self._ask(name, ask) for name, ask in self._needs.items())
        measured = (self._measure(name, folder) for name, folder in folders_of(self._config).items())
        await self._read_the_past()  # first, so that the answers are as of now
        await asyncio.gather(self._ask(LEDGER, self._read, self._take), *asked, *measured)
        await self._write()

    def give_up(self) -> None:
        """Counts what does not answer as away for good, because it is not asked again."""
        long_ago = self._since - 2 * AWAY_FOR
        self._reached = {name: replace(one, since=long_ago) for name, one in self._reached.items()}

    def note_written(self, is_written: bool) -> None:
        """Notes whether the ledger could be written, which whoever tells incidents finds out. Any thread may say so."""
        self._writing = (
            Reached(self._since, self._now()) if is_written else replace(self._writing, trouble=_NOT_WRITTEN)
        )

    @property
    def known(self) -> Known:
        """What the health depends on."""
        found = self.snapshot
        watched = self._config.events.queue is not None and Store(self._config.lake).bucket is not None
        events = found.events if found else None
        ledger = self._reached[LEDGER] if self._reached[LEDGER].trouble or not self._writing.trouble else self._writing
        return Known(
            self._config.reconcile.interval,
            self._config.serve.refresh,
            self._since,
            {**self._reached, LEDGER: ledger},
            found.finished if found else None,
            Events(events.progress if events else None, events.path if events else None) if watched else None,
            dict(self._free),
            self._served,
            sorted(self._unwritten),
            found.other_lake if found else None,
            [held(hold) for source in found.sources if source.is_enabled for hold in source.holds] if found else (),
            self._incidents(found) if found else None,
            found.incomplete if found else "",
        )

    def _incidents(self, found: Snapshot) -> Evaluated | None:
        """The open incidents; None where no process evaluates any, since dry runs and test mode are no work."""
        if found.evaluated is None and (self._config.dry_run or self._config.test_mode):
            return None
        return Evaluated(found.evaluated, [one for one in found.incidents if one.is_open])

    @property
    def reached(self) -> Mapping[str, Reached]:
        """Whether each thing that ADCE needs answers, by its name. It may be asked for in any thread."""
        return self._reached

    @property
    def away(self) -> list[str]:
        """What does not answer now."""
        return [name for name, reached in self._reached.items() if reached.trouble]

    def _read(self) -> Snapshot:
        return snapshot(self._config, self._now(), self.snapshot)

    def _take(self, found: Snapshot) -> None:
        if self.snapshot is None or self.snapshot.last_end != found.last_end:
            self._ended.set()
        self.snapshot = found

    async def _keep_reading_the_past(self) -> None:
        while True:
            self._ended.clear()
            began = time.monotonic()
            await self._read_the_past()
            await asyncio.sleep(_PAST_RESTS * (time.monotonic() - began))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _PAST_EVERY.total_seconds())

    async def _read_the_past(self) -> None:
        """Reads how things went. If that cannot be read, what was read before stays: the ledger is asked anyway."""
        reading = _in_thread(lambda: history(self._config, self._now()))
        try:
            self.past = await reading
        except AdceError:
            return
        except Exception as error:  # whatever it is, the rest of the page is written
            log.warning("how things went cannot be read: %s: %s", type(error).__name__, error)
            return
        self._asked.set()

    async def _keep_asking(
        self, name: str, ask: Callable[[], T], every: timedelta, take: Callable[[T], None] = lambda _: None
    ) -> None:
        while True:
            await self._ask(name, ask, take)
            await asyncio.sleep(every.total_seconds())

    async def _ask(self, name: str, ask: Callable[[], T], take: Callable[[T], None] = lambda _: None) -> None:
        """Asks once, and notes whether there was an answer."""
        asking = _in_thread(ask)
        if not await _ends_within(_ANSWERS_WITHIN, asking):
            within = duration(timedelta(seconds=_ANSWERS_WITHIN))
            line = f"it has not answered for {within}"
            self._note(name, f"did not answer within {within}", line, line)
            if not await self._answers_late(name, asking):
                return
        try:
            take(await asking)
        except AdceError as error:
            self._note(name, _SEE_LOG, str(error), cause_of(error))
        except Exception as error:  # whatever it is, the last answers stay
            kind = type(error).__name__
            self._note(name, _SEE_LOG, f"{kind}: {error}", f"{kind}; the log of adce serve says more", error)
        else:
            if self._reached[name].trouble:
                log.info("the %s answers again", name)
            self._reached[name] = Reached(self._since, self._now())
            self._asked.set()

    async def _keep_measuring(self, name: str, folder: Path) -> None:
        while True:
            await self._measure(name, folder)
            await asyncio.sleep(self._config.serve.refresh.total_seconds())

    async def _measure(self, name: str, folder: Path) -> None:
        """Measures once how much is free. What cannot be measured is left out, since another check tells of it."""
        measuring = _in_thread(partial(free_bytes, folder))
        if not await _ends_within(_ANSWERS_WITHIN, measuring):
            self._free.pop(name, None)
            if not await self._answers_late(f"disk of {name}", measuring):
                return
        try:
            self._free[name] = await measuring
        except OSError:
            self._free.pop(name, None)

    async def _answers_late(self, name: str, asking: asyncio.Future[Any]) -> bool:
        """Does it still answer, before it has to be asked anew?"""
        hanging = self._hanging[name] = {one for one in self._hanging[name] if not one.done()}
        if await _ends_within(_HANGS_AFTER * 2 ** len(hanging), asking):
            return True
        hanging.add(asking)
        return False

    def _note(self, name: str, trouble: str, line: str, cause: str, error: Exception | None = None) -> None:
        """Notes that something does not answer. The log says so once, until it answers again."""
        if not self._reached[name].trouble:
            log.warning("the %s is away: %s", name, line, exc_info=error, extra=about(reason=line))
        self._reached[name] = replace(self._reached[name], trouble=trouble, cause=cause)
        self._asked.set()

    async def _keep_writing(self) -> None:
        """Writes the answers whenever something has answered, or has not, and at each refresh, as time goes by."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._config.serve.refresh.total_seconds())
            self._asked.clear()
            await self._write()

    async def _write(self) -> None:
        """Writes the answers, unless they were written of the same. What `/health` says changes also by itself."""
        found, away, past = self.snapshot, self.away, self.past
        if found is None:
            return
        health = health_of(self.known, self._now())
        said = [(check.name, check.verdict, check.output) for check in health.checks if check.name != ANSWERS]
        if (of := (found, away, past, said)) != self._written:
            self.answers, self._unwritten = await _in_thread(lambda: self._answers(found, away, past, health))
            self._written, self._served = of, found.at

    def _answers(
        self, found: Snapshot, away: Sequence[str], past: History | None, health: Health
    ) -> tuple[dict[str, Answer], dict[str, str]]:
        """The answers out of a snapshot, and why some cannot be written, by path. Of these the last ones stay."""
        answers, unwritten = {}, {}
        for path, write in writers(found, away, health, past).items():
            try:
                answers[path] = write()
            except Exception as error:  # whatever it is, the other answers are written
                unwritten[path] = f"{type(error).__name__}: {error}"
                if unwritten[path] != self._unwritten.get(path):
                    line, why = "%s cannot be written, and its last answer stays: %s", unwritten[path]
                    log.warning(line, path, why, extra=about(reason=why))
                if path in self.answers:
                    answers[path] = self.answers[path]
        return answers, unwritten


async def _ends_within(seconds: float, asking: asyncio.Future[Any]) -> bool:
    return bool((await asyncio.wait({asking}, timeout=seconds))[0])


def _in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    return in_daemon_thread(work, "refresh")
