"""What does a flow open before it works? The lake, the ledger, the rate buckets and the connections to the sites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta

from prefect.client.orchestration import PrefectClient

from config.models import Config, Priority
from flows.control import holding_lease
from flows.prefect_run import CURRENT, PrefectRun
from tasks.domain.access import Access
from tasks.domain.expected.cells import Selection
from tasks.domain.flags.rollouts import scrapers, source_for
from tasks.domain.limits.pauses import PROBE_TIMEOUT
from tasks.domain.limits.rates import budget_of
from tasks.domain.plan.lanes import LATENCY
from tasks.domain.times import SKEW
from tasks.observe.session import Part, open_session
from tasks.run.run import Run
from tasks.upstream.buckets import client_for_buckets, open_buckets
from tasks.upstream.client import SourceClient
from tasks.upstream.rate_limiter import RateLimiter

_OPEN: list[PrefectRun] = []  # the runs of this process


def stop_open_runs(why: str) -> None:
    """Stops all runs of this process, each within its grace. It may be called from any thread."""
    for here in tuple(_OPEN):
        with suppress(RuntimeError):  # its loop is closed, so it has ended
            here.loop.call_soon_threadsafe(here.run.shutdown.request, why)


@asynccontextmanager
async def open_run(
    config: Config,
    selection: Selection,
    *,
    as_of: datetime | None = None,
    max_fills: int | None = None,
    priority: Priority | None = None,
    part: Part | None = None,
) -> AsyncIterator[PrefectRun]:
    """A run with its lake and its ledger open.

    Unless it is a dry run, its buckets are checked and its sites open, too, and it stops on a signal.

    Raises an AdceError that names what cannot be opened.
    """
    fetches = not config.dry_run
    async with open_session(config, selection, as_of=as_of, access=Access.RUN, fetches=fetches, part=part) as session:
        here = PrefectRun(Run(session, max_fills=max_fills, priority=priority))
        _OPEN.append(here)
        token = CURRENT.set(here)
        try:
            async with AsyncExitStack() as stack:
                if fetches:
                    stack.enter_context(here.run.shutdown.on_signals())
                    here.client = client = await stack.enter_async_context(client_for_buckets())
                    here.run.sources = sources = await _open_sources(here, client)
                    session.leases.sent = lambda: {name: source.sent for name, source in sources.items()}
                    for source in sources.values():
                        source.why_not = session.leases.why_lost
                        stack.push_async_callback(source.close)
                    await stack.enter_async_context(holding_lease(here, client))
                yield here
        finally:
            _OPEN.remove(here)
            CURRENT.reset(token)


async def _open_sources(here: PrefectRun, client: PrefectClient) -> dict[str, SourceClient]:
    """The client of each enabled source, by source. A source whose rate bucket is not as it should be has none."""
    run, config = here.run, here.run.config
    buckets, broken = await open_buckets(client, config, here.api_outage)
    for name, error in broken.items():
        run.stop_source(name, error)
    # If the run's clock was set, it stands still, and the plan has applied the maintenance windows already.
    windows = config.maintenance if run.session.as_of is None else ()
    return {
        name: SourceClient(
            name,
            config.sources[name],
            bucket,
            RateLimiter(
                name,
                config.sources[name],
                budget_of(config, name),
                config.reconcile.breaker,
                run.session.ledger,
                windows,
                _longest_probe(config, name),
            ),
            run.planner.latencies.get(name, LATENCY),
            outage=run.outage,
        )
        for name, bucket in buckets.items()
    }


def _longest_probe(config: Config, source: str) -> timedelta:
    """The longest time for which a probe of a source can be claimed, over all its scrapers and variants."""
    ways = [config.sources[source], *(source_for(config, source, rollout) for rollout in config.rollout)]
    commands = [dataset.command for dataset in scrapers(config).values() if dataset.source == source]
    lasts = [timedelta(seconds=way.timeouts.total) for way in ways] + [c.timeout for c in commands if c]
    requests = max(way.connections for way in ways) + max(c.requests if c else 1 for c in [None, *commands])
    return PROBE_TIMEOUT + max(*lasts, requests * timedelta(seconds=budget_of(config, source).spacing)) + SKEW
