"""Whatever happens to a lake, a run without faults makes it whole.

Runs that are killed at any of their steps, faults of the site, corrections, files that go, clocks that are set: in any
order. Planning, dispatching, fetching, checking, storing and recording are the real ones; the site is the sandbox,
asked within this process, and Prefect is not in it.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from blocks.store import Put, Store
from config.models import BreakerRules, Config, Retries, Unavailability
from deployments.sandbox.app import Sandbox
from deployments.sandbox.corrections import Correction
from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.league import League
from tasks.domain.assess.overview import Overview
from tasks.domain.assess.states import LakeObject, State
from tasks.domain.expected.cells import Selection
from tasks.domain.limits.rates import budget_of
from tasks.domain.outcomes import RunEnd
from tasks.domain.plan.lanes import START_UP
from tasks.domain.plan.plan import Fill
from tasks.ledger import Ledger
from tasks.ledger.leases import claims_table, leases_table
from tasks.observe.session import Session
from tasks.run.dispatcher import Dispatcher, End
from tasks.run.fill import fill_gaps
from tasks.run.run import Run
from tasks.upstream.client import SourceClient
from tasks.upstream.rate_limiter import RateLimiter
from tests.builders import a_config
from tests.tasks.upstream.test_client import FreeBucket

_SPAN = Selection(sources=("espn",), since=date(2026, 1, 12), until=date(2026, 1, 13))
_SETTLED = State.PRESENT, State.NOT_DUE
_BEGIN = datetime(2026, 1, 13, 9, tzinfo=UTC)
_LONG = timedelta(days=60)  # after which all looks are taken and all that was unavailable has expired
_FAULTS = (
    FaultKind.NOT_FOUND,
    FaultKind.SERVER_ERROR,
    FaultKind.TRUNCATED,
    FaultKind.SOFT_404,
    FaultKind.EMPTY,
    FaultKind.WRONG_ID,
    FaultKind.NO_PLAYS,
    FaultKind.FEW_PLAYS,
)


class Killed(BaseException):
    """Nothing of the run happens after this."""


class Fuse:
    """Kills a run at its n-th step, and all that it would still do."""

    def __init__(self, steps: int | None):
        self.left = steps

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                raise Killed


class KillableStore(Store):
    def __init__(self, url: str, fuse: Fuse):
        super().__init__(url)
        self._fuse = fuse

    async def put(self, key: str, body: bytes, replaces: LakeObject | None = None) -> Put:
        self._fuse.step()
        put = await super().put(key, body, replaces)
        self._fuse.step()
        return put


class KillableSite(httpx.ASGITransport):
    def __init__(self, site: Sandbox, fuse: Fuse):
        super().__init__(app=site)  # type: ignore[arg-type]
        self._fuse = fuse

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._fuse.step()
        response = await super().handle_async_request(request)
        self._fuse.step()
        return response


class AnyStory(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 3))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.config = _config(self.folder)
        self.site = Sandbox(League(seed=seed, games_per_day=1))
        self.now = _BEGIN

    @rule(faults=st.lists(st.sampled_from(_FAULTS), max_size=2), kill_at=st.none() | st.integers(1, 25))
    def run(self, faults: list[FaultKind], kill_at: int | None) -> None:
        self._run(faults, kill_at)

    @rule(hours=st.sampled_from([-3, 1, 2, 7, 30, 24 * 8]))
    def the_clock_goes_on_or_is_set_back(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @precondition(lambda self: any(self._files()))
    @rule(which=st.integers(0, 100), how=st.sampled_from(["gone", "cut", "junk"]))
    def a_file_is_spoilt(self, which: int, how: str) -> None:
        files = self._files()
        path = files[which % len(files)]
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if how == "cut" else b"x" * 200_000)

    @rule(which=st.integers(0, 10))
    def a_game_is_corrected(self, which: int) -> None:
        games = [game.espn_id for day in (12, 13) for game in self.site.league.on(date(2026, 1, day), self.now)]
        if not games:
            return
        self.site.corrections += (Correction(games[which % len(games)]),)

    @rule()
    def the_ledger_is_lost(self) -> None:
        for file in self.folder.glob("ledger.db*"):
            file.unlink()

    def teardown(self) -> None:
        try:
            if hasattr(self, "folder"):
                self._ends_well()
        finally:
            if hasattr(self, "folder"):
                self.site.renderer.shutdown()
                shutil.rmtree(self.folder)

    def _ends_well(self) -> None:
        self.now = max(self.now, _BEGIN) + _LONG
        for _ in range(2):  # the second one for what was due to be looked at again when the first had come
            overview, asked = self._run([], None)
            assert max(asked.values(), default=1) == 1, "no file twice in a run"
            self.now += _LONG
        counts = overview.totals
        assert counts["present"] == counts["total"] > 2
        _, asked = self._run([], None)
        assert not asked, "and nothing without a reason"
        for path in self._files():
            assert path.read_bytes().endswith(b"}")
        ledger = Ledger(self.config.ledger)
        for table in (leases_table, claims_table):
            assert not ledger.database.read(lambda connection, table=table: connection.execute(table.select()).all())
        ledger.close()

    def _files(self) -> list[Path]:
        lake = self.folder / "lake"
        beside = {"_history", "_adce"}
        return sorted(path for path in lake.rglob("*.json") if path.is_file() and not beside & set(path.parts))

    def _run(self, faults: list[FaultKind], kill_at: int | None) -> tuple[Overview, Counter[str]]:
        self.site.clock = self.now
        self.site.faults = [Fault("espn", kind, share=0.5) for kind in faults]
        before = len(self.site.log)
        overview = None
        with suppress(Killed, BaseExceptionGroup):
            overview = asyncio.run(_reconcile(self.config, self.site, self.now, Fuse(kill_at)))
        if overview is not None:
            counts = Counter(status.state for status in overview.statuses.values())
            assert all(overview.totals[state.value] == counts[state] for state in State if state not in _SETTLED)
        assert kill_at is not None or overview is not None
        return overview, Counter(entry.url for entry in list(self.site.log)[before:])  # type: ignore[return-value]


def _config(folder: Path) -> Config:
    config = a_config()
    espn = config.sources["espn"].model_copy(
        update={"base_url": "http://sandbox/espn", "retries": Retries(attempts=2, first_wait=timedelta(0))}
    )
    reconcile = config.reconcile.model_copy(
        update={"breaker": BreakerRules(failures=1000), "unavailable": Unavailability(looks=1, over=timedelta(0))}
    )
    return config.model_copy(
        update={
            "lake": (folder / "lake").as_uri(),
            "ledger": f"sqlite:///{folder / 'ledger.db'}",
            "reconcile": reconcile,
            "sandbox": True,
            "sources": config.sources | {"espn": espn},
        }
    )


async def _reconcile(config: Config, site: Sandbox, now: datetime, fuse: Fuse) -> Overview:
    """The steps of a reconcile."""
    store = KillableStore(config.lake, fuse)
    store.check(create=True)
    ledger = Ledger(config.ledger)
    _let_the_dead_lapse(ledger)
    write = ledger.database.write

    def killable(work: Callable[[Any], Any]) -> Any:
        fuse.step()
        return write(work)

    ledger.database.write = killable  # type: ignore[method-assign]
    run = Run(Session(config, _SPAN, store, ledger, now))
    limiter = RateLimiter("espn", config.sources["espn"], budget_of(config, "espn"), config.reconcile.breaker, ledger)
    bucket: Any = FreeBucket()
    client = SourceClient("espn", config.sources["espn"], bucket, limiter, transport=KillableSite(site, fuse))
    run.sources = {"espn": client}
    leases = run.session.leases
    try:
        leases.begin("reconcile", "a story", None, lambda why: None)
        leases.end_dead_runs()
        look = await run.look()
        await Dispatcher(run, Here(run)).run_all(run.plan(look.gaps()))
        look = await run.look()
        leases.end(RunEnd.ENDED)
    finally:
        leases._ended.set()
        await client.close()
        ledger.close()
    return look.overview


class Here:
    """Does fills in this process, without Prefect."""

    takes_batches = False
    start_up = START_UP

    def __init__(self, run: Run):
        self._run = run

    async def prepare(self, sources: set[str]) -> None:
        """There is nothing to prepare."""

    async def wait_until_ready(self) -> None:
        """A fill may always begin."""

    async def execute(self, fills: Sequence[Fill], attempt: int, begun: Callable[[], None]) -> End:
        begun()
        (fill,) = fills
        await fill_gaps(self._run, fill)
        return End("")


def _let_the_dead_lapse(ledger: Ledger) -> None:
    """As if the lease had time to: this process lives on."""
    ledger.database.write(lambda connection: connection.execute(leases_table.update().values(until=0)))


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(max_examples=25, stateful_step_count=10, deadline=None)
