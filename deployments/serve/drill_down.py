"""What lies behind the overview: seasons, months, dates and files. Each page is written when it is asked for.

The ledger alone is asked, by two requests at a time, each in a thread, so that these pages never hold up the others.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias
from urllib.parse import quote

from config.models import Config
from deployments.prefect_api.settings import link_to_run
from tasks.answers.season import Season, is_season, season_now, season_to_show
from tasks.answers.service import Snapshot
from tasks.answers.why import why_recorded
from tasks.daemon_threads import in_daemon_thread
from tasks.domain.access import Access
from tasks.domain.errors import LedgerError
from tasks.domain.expected import seasons
from tasks.domain.lakes import no_ledger
from tasks.ledger import Ledger
from tasks.show.status import COVERAGE, FILES, SERVED, WHOLE, file_page, season_page, span_page

log = logging.getLogger(__name__)

_AT_ONCE = 2  # requests
_WITHIN = 10.0  # seconds
_HANGS_AFTER = 60.0  # seconds, after which a request gives up its place; twice as many for each one that hangs already
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # fromisoformat also takes dates of weeks


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such page, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Busy:
    """The page cannot be written now, and why. It may be asked for again."""

    why: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The page is at another address."""

    address: str


Page: TypeAlias = str | Missing | Busy | Elsewhere


def is_page(path: str) -> bool:
    """Is this the address of a page behind the overview, whether or not there is one?"""
    return path.startswith((COVERAGE, FILES))


class DrillDown:
    """The pages behind the overview."""

    def __init__(self, config: Config, now: Callable[[], datetime], seconds: Callable[[], float] = time.monotonic):
        self._config = config
        self._now = now
        self._seconds = seconds
        self._at_work: dict[asyncio.Future[Page], float] = {}  # when each began

    async def page(self, path: str, found: Snapshot | None) -> Page:
        """The page at an address. `found` is the last snapshot of the ledger, which has the plan of the last run."""
        ask = self._file(path, found) if path.startswith(FILES) else self._coverage(path, found)
        if isinstance(ask, Missing | Elsewhere):
            return ask
        if self._places_taken() >= _AT_ONCE:
            return Busy(f"{_AT_ONCE} other pages of this kind are being written")
        asking = in_daemon_thread(ask, "page")
        self._at_work[asking] = self._seconds()
        asking.add_done_callback(self._at_work.pop)
        done, _ = await asyncio.wait({asking}, timeout=_WITHIN)
        if not done:
            return Busy("the ledger has not answered in time")
        try:
            return asking.result()
        except LedgerError as error:
            log.warning("a page cannot be written: %s", error)
            return Busy("the ledger does not answer; the log of adce serve says why")

    def _places_taken(self) -> int:
        """How many threads are at work. The one that began first counts for a minute, the next for two, and so on.

        So pages are written again once the ledger answers, whatever still hangs, and few threads hang.
        """
        now = self._seconds()
        return sum(now - began < _HANGS_AFTER * 2**n for n, began in enumerate(sorted(self._at_work.values())))

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        with closing(Ledger(self._config.ledger, Access.LOOK)) as ledger:
            if not ledger.is_there:
                raise LedgerError(no_ledger(ledger.name))
            yield ledger

    def _coverage(self, path: str, found: Snapshot | None) -> Callable[[], Page] | Missing | Elsewhere:
        dataset, _, rest = path.removeprefix(COVERAGE).partition("/")
        look = found.recorded if found else None
        if not rest and look and (shown := season_to_show(look.coverage, dataset)):
            return Elsewhere(f"{COVERAGE}{quote(dataset)}/{shown}")
        season, has_span, span = rest.partition("/")
        if not is_season(self._config, dataset, season, self._now()):
            return Missing("the lake collects no such dataset, or nothing of it in such a season")
        if has_span and not _is_span(season, span):
            return Missing(f"this is no month or date of {season}")

        days = "; the sandbox looks at a few days only" if self._config.sandbox else ""

        def write() -> Page:
            with self._ledger() as ledger:
                of = season_now(self._config, ledger, dataset, season, found.plan if found else None)
            if of is None:
                return Missing("no reconcile has recorded a look at the whole of this lake yet")
            if of.coverage.total.is_empty:
                return Missing(f"the last look at the lake expected no file of {dataset} in {season}{days}")
            return _written(of, has_span and span)

        return write

    def _file(self, path: str, found: Snapshot | None) -> Callable[[], Page] | Missing:
        key = path.removeprefix(FILES)

        def write() -> Page:
            with self._ledger() as ledger:
                look = ledger.looks.last() if self._config.sandbox else None
                now = look.taken_at if look else self._now()
                answer = ledger.database.read_together(lambda: why_recorded(self._config, ledger, key, now))
                server = ledger.runs.last_server()
            if answer is None:
                return Missing("the lake should hold no such file, as far as the ledger knows; `adce why` says why")
            return file_page(answer, lambda flow_run: link_to_run(server, flow_run), SERVED)

        return write


def _written(of: Season, span: str) -> str:
    if not span:
        return season_page(of, SERVED)
    return span_page(of, "" if span == WHOLE else span, SERVED)


def _is_span(season: str, span: str) -> bool:
    """Is this a month or a date of a season, or what stands for the files that are of neither?"""
    first, last = seasons.window(season)
    if span == WHOLE:
        return True
    if _MONTH.fullmatch(span):
        return f"{first:%Y-%m}" <= span <= f"{last:%Y-%m}"
    try:
        return bool(_DATE.fullmatch(span)) and first <= date.fromisoformat(span) <= last
    except ValueError:
        return False
