"""The rate buckets on Prefect's embedded API, and a pace that a strict upstream never rejects."""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL, Setting, temporary_settings

from config.models import Config, Rate
from deployments.sandbox.process import SandboxProcess
from tasks import clock
from tasks.domain.errors import BucketError
from tasks.domain.limits.buckets import bucket_for
from tasks.domain.limits.rates import allowance_terms_of, spacing
from tasks.upstream.buckets import (
    Allowances,
    Bucket,
    _Clock,
    bucket_trouble,
    ensure_buckets,
    open_buckets,
    server_address,
)
from tasks.upstream.prefect_api import ApiOutage
from tests.builders import a_config
from tests.servers import new_database, prefect_server
from tests.spenders import spend

T = TypeVar("T")
pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.xdist_group("buckets"),  # one after another, being about time
]


def _config(rate: Rate) -> Config:
    config = a_config()
    return a_config(sources={"espn": config.sources["espn"].model_copy(update={"rates": [rate]})})


def _with_client(work: Callable[[PrefectClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with get_client() as client:
            return await work(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(None, "is missing", id="missing"),
        pytest.param({"active": False}, "is inactive", id="inactive"),
        pytest.param({"slot_decay_per_second": 0}, "has no slot decay and would never refill", id="never refills"),
    ],
)
def test_a_bucket_that_is_not_right_is_refused_and_the_line_says_how_to_mend_it(
    change: dict[str, object] | None, message: str
) -> None:
    config = _config(Rate(requests=3, seconds=1.25))
    name = bucket_for("espn")

    async def story(client: PrefectClient) -> None:
        await ensure_buckets(client, config)
        if change is None:
            await client.delete_global_concurrency_limit_by_name(name)
        else:
            await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate.parse_obj(change))
        opened, broken = await open_buckets(client, config)
        assert ("espn" in opened, broken.keys()) == (False, {"espn"})
        assert re.match(rf"rate bucket '{name}' {message}.*run `adce setup`", str(broken["espn"]))

    _with_client(story)


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        pytest.param(
            {PREFECT_API_URL: "https://ann:hidden@prefect.example:4200/api"},
            "https://prefect.example:4200/api",
            id="server",
        ),
        pytest.param(
            {
                PREFECT_API_URL: None,
                PREFECT_API_DATABASE_CONNECTION_URL: "postgresql+asyncpg://ann:hidden@db/prefect?password=hidden",
            },
            f"the embedded API of {socket.gethostname()} on postgresql+asyncpg://db/prefect",
            id="embedded",
        ),
    ],
)
def test_the_address_of_the_buckets_holds_no_secret(settings: dict[Setting, str | None], shown: str) -> None:
    with temporary_settings(settings):
        assert server_address() == shown


@pytest.mark.parametrize("take_effect", [ensure_buckets, open_buckets], ids=["setup", "next run"])
def test_a_changed_rate_takes_effect(
    take_effect: Callable[[PrefectClient, Config], Awaitable[object]], caplog: pytest.LogCaptureFixture
) -> None:
    """A run warns of it, since somebody may have set the other rate by hand in Prefect."""

    async def story(client: PrefectClient) -> None:
        await ensure_buckets(client, _config(Rate(requests=4, seconds=1.1)))
        changed = Rate(requests=5, seconds=1.1)
        trouble = await bucket_trouble(client, bucket_for("espn"), [changed])
        differs = "slot decay 353/s (3.53 requests/s), should be 441.3/s (4.41 requests/s)"
        assert trouble == f"{differs}; every run sets it so: for another rate, change sources.espn.rates"
        await take_effect(client, _config(changed))
        terms = await Allowances(bucket_for("espn"), [changed], client).read_terms()
        assert terms.same_as(allowance_terms_of([changed]))
        warned = [record.message for record in caplog.records if record.name == "tasks.upstream.buckets"]
        says = (
            f"bucket adce-espn in Prefect has {differs}: it is set so now. For another rate, change sources.espn.rates"
        )
        assert warned == ([f"{says} in the configuration"] if take_effect is open_buckets else [])

    _with_client(story)


def test_a_rate_is_changed_as_soon_as_the_api_is_busy_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    change, answers = PrefectClient.update_global_concurrency_limit, [503, 503]

    async def busy_at_first(client: PrefectClient, *arguments: Any) -> Any:
        if answers:
            raise httpx.HTTPStatusError("busy", request=_REQUEST, response=httpx.Response(answers.pop()))
        return await change(client, *arguments)

    async def story(client: PrefectClient) -> None:
        await ensure_buckets(client, _config(Rate(requests=4, seconds=1.1)))
        changed = Rate(requests=5, seconds=1.1)
        monkeypatch.setattr(PrefectClient, "update_global_concurrency_limit", busy_at_first)
        _, broken = await open_buckets(client, _config(changed))
        assert broken == {}
        assert await bucket_trouble(client, bucket_for("espn"), [changed]) is None

    _with_client(story)
    assert answers == []


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "inactive"])
def test_a_bucket_that_goes_in_mid_run_stops_the_requests(deleted: bool) -> None:
    rate = Rate(requests=2, seconds=0.5)

    async def story(client: PrefectClient) -> int:
        async with _bucket(client, rate) as bucket:
            await _leave(bucket)
            if deleted:
                await client.delete_global_concurrency_limit_by_name(bucket_for("espn"))
            else:
                off = GlobalConcurrencyLimitUpdate.parse_obj({"active": False})
                await client.update_global_concurrency_limit(bucket_for("espn"), off)
            left: list[float] = []
            message = r"adce-espn.* (is missing|is inactive); run `adce setup`"
            with pytest.raises(BucketError, match=message):
                await _leave_for_ever(bucket, left)
            return len(left)

    assert _with_client(story) <= allowance_terms_of([rate]).slots / 100 + 1, "what was granted before, and no more"


def test_five_processes_may_set_up_fresh_buckets_at_once() -> None:
    config = _config(Rate(requests=7, seconds=1.3))

    async def story(client: PrefectClient) -> None:
        if any(limit.name == bucket_for("espn") for limit in await client.read_global_concurrency_limits(200, 0)):
            await client.delete_global_concurrency_limit_by_name(bucket_for("espn"))
        await asyncio.gather(*(ensure_buckets(client, config) for _ in range(5)))
        await open_buckets(client, config)

    _with_client(story)


@contextlib.asynccontextmanager
async def _bucket(client: PrefectClient, rate: Rate) -> AsyncIterator[Bucket]:
    """The source's bucket, as a process of its own would hold it."""
    await ensure_buckets(client, _config(rate))
    bucket = Bucket([Allowances(bucket_for("espn"), [rate], client)])
    yield bucket
    await bucket.close()


async def _leave(bucket: Bucket) -> float:
    """A request that is answered at once; gives when it was sent."""
    permit = await bucket.acquire()
    bucket.answered(permit)
    assert permit.sent is not None
    return permit.sent


async def _leave_for_ever(bucket: Bucket, left: list[float]) -> None:
    while True:
        left.append(await _leave(bucket))


def test_five_askers_spend_the_rate_and_a_strict_upstream_rejects_nothing() -> None:
    rate = Rate(requests=10, seconds=1)

    async def story(client: PrefectClient) -> None:
        async with _bucket(client, rate) as bucket, httpx.AsyncClient(trust_env=False) as http:

            async def allowance() -> None:
                for _ in range(8):
                    permit = await bucket.acquire()
                    await http.get(sites.base_urls["espn"] + "/scoreboard?dates=20260113")
                    bucket.answered(permit)

            await asyncio.gather(*(allowance() for _ in range(5)))

    with SandboxProcess(clock="2026-01-15T12:00:00Z", rates={"espn": "10/1"}) as sites:
        _with_client(story)
        requests = sites.requests()
    assert [request["status"] for request in requests] == [200] * 40


def test_a_second_process_keeps_the_distance_that_a_slow_rate_asks_for() -> None:
    rate = Rate(requests=1, seconds=2)

    async def story(client: PrefectClient) -> list[float]:
        times = []
        for idle in (0.0, 3.0, 0.5):  # the third comes right after one that had waited long
            async with _bucket(client, rate) as bucket:
                await asyncio.sleep(idle)
                times.append(await _leave(bucket))
        return times

    first, second, third = _with_client(story)
    assert second - first >= 2
    assert third - second >= 2


def test_a_request_that_waits_after_a_pause_leaves_as_soon_as_the_rate_has_grown() -> None:
    rate = Rate(requests=1, seconds=2)

    async def story(client: PrefectClient) -> list[float]:
        asked: list[float] = []

        def slower() -> float:
            asked.append(time.monotonic())
            return 60.0 if asked[-1] < asked[0] + 2 else 1.0

        async with _bucket(client, rate) as bucket:
            await _leave(bucket)
            permit = await asyncio.wait_for(bucket.acquire(slower), 30)
            bucket.answered(permit)
        return asked

    assert len(_with_client(story)) > 2, "two minutes ahead at first, and looked at again"


class _FarAway:
    """A client whose Prefect API takes a while to answer."""

    def __init__(self, client: PrefectClient):
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def call(*arguments: object) -> object:
            await asyncio.sleep(0.1)
            answer = await getattr(self._client, name)(*arguments)
            await asyncio.sleep(0.1)
            return answer

        return call


def test_a_slow_rate_is_spent_though_the_api_is_slow_to_answer() -> None:
    rate = Rate(requests=1, seconds=4)

    async def story(client: PrefectClient) -> list[float]:
        await ensure_buckets(client, _config(rate))
        bucket = Bucket([Allowances(bucket_for("espn"), [rate], _FarAway(client))])  # type: ignore[arg-type]
        times = [await asyncio.wait_for(_leave(bucket), 10) for _ in range(3)]
        await bucket.close()
        return times

    times = _with_client(story)
    assert all(4 <= later - earlier < 6 for earlier, later in pairwise(times))


def test_what_a_process_does_not_need_is_given_back_and_another_waits_for_no_allowance_to_end() -> None:
    rate = Rate(requests=10, seconds=1)

    async def story(client: PrefectClient) -> float:
        async with _bucket(client, rate) as one, _bucket(client, rate) as other:
            begun = await _leave(one)
            return await _leave(other) - begun

    assert 0.1 <= _with_client(story) < allowance_terms_of([rate]).seconds / 2


def test_a_source_keeps_all_of_its_rates_and_that_of_all_sources_together() -> None:
    rates = [Rate(requests=5, seconds=0.5), Rate(requests=8, seconds=2)]
    together = Rate(requests=3, seconds=1)
    config = a_config(
        rates=[together],
        sources={name: a_config().sources["espn"].model_copy(update={"rates": rates}) for name in ("espn", "nba_api")},
    )

    async def story(client: PrefectClient) -> list[tuple[float, str]]:
        await ensure_buckets(client, config)
        buckets, _ = await open_buckets(client, config)
        for bucket in buckets.values():
            await _leave(bucket)  # a bucket whose rate was changed starts as if it were used up
        begun, times = time.monotonic(), []

        async def allowance(name: str) -> None:
            while time.monotonic() < begun + 5:
                times.append((await _leave(buckets[name]), name))

        await asyncio.gather(*(allowance(name) for name in buckets))
        for bucket in buckets.values():
            await bucket.close()
        return times

    times = _with_client(story)
    every = [at for at, _ in times]
    assert {name for _, name in times} == {"espn", "nba_api"}
    assert all(later - at >= 1 for at, later in zip(every, every[3:], strict=False))
    assert len(times) >= 12


def test_who_is_cancelled_while_waiting_loses_its_place_and_stops_nobody() -> None:
    async def story(client: PrefectClient) -> None:
        async with _bucket(client, Rate(requests=1, seconds=1)) as bucket:
            waiting = [asyncio.create_task(bucket.acquire()) for _ in range(3)]
            await asyncio.sleep(0.05)
            waiting[0].cancel()
            waiting[1].cancel()
            await asyncio.wait_for(waiting[2], 10)

    _with_client(story)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_three_processes_share_a_rate_and_a_strict_upstream_rejects_nothing(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rate = Rate(requests=10, seconds=1)
    url = None
    if database == "postgresql":
        url = f"postgresql+asyncpg://{new_database(request.getfixturevalue('postgres'), 'prefect')}"
    with prefect_server(tmp_path, url) as env:
        spent = spend(rate, 3, 12, env)
    assert spent.refused == 0
    assert spent.requests > 60, "about 120, if nobody else uses this machine"


def test_the_clocks_difference_is_known_the_better_the_quicker_an_answer_was_and_anew_when_one_was_set() -> None:
    clock = _Clock()
    assert not clock.is_known
    clock.compare(_moment(1000.5), asked=0.0, read=1.0)
    assert (clock.least, clock.most) == pytest.approx((999.5, 1000.5), abs=0.01)
    clock.compare(_moment(1010.2), asked=10.0, read=10.2)
    assert (clock.least, clock.most) == pytest.approx((1000.0, 1000.2), abs=0.01)
    clock.compare(_moment(1019.0), asked=20.0, read=20.1)
    assert clock.most == pytest.approx(999.0, abs=0.01), "the server's clock was set back"
    clock.compare(_moment(4620.0), asked=30.0, read=30.1)
    assert clock.least == pytest.approx(4589.9, abs=0.01), "and forward"


_CHANGES = st.tuples(*[st.floats(0, 1)] * 3, st.none() | st.floats(0, 1))


@given(offset=st.floats(-1e5, 1e5), changes=st.lists(_CHANGES, min_size=1, max_size=20))
def test_what_another_process_changes_before_the_limit_is_read_is_not_taken_for_this_one_s(
    offset: float, changes: list[tuple[float, float, float, float | None]]
) -> None:
    clock = _Clock()
    now = 2e5
    for until_written, until_answered, until_read, another in changes:
        written, read = now + until_written, now + until_written + until_answered + until_read
        changed = written if another is None else written + another * (read - written)
        clock.compare(_moment(changed + offset), asked=now, read=read)
        assert clock.least <= offset <= clock.most
        now = read + 5


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_prefect_server_whose_clock_jumps_neither_frees_requests_nor_stops_them_for_long(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0 seconds")

    def jump() -> None:
        for off in ("+3600 seconds", "-7200 seconds", "+0 seconds"):
            time.sleep(6)
            clock.write_text(off)

    with prefect_server(tmp_path, clock=clock) as env, ThreadPoolExecutor(1) as pool:
        jumping = pool.submit(jump)
        spent = spend(Rate(requests=10, seconds=1), 2, 24, env)
        jumping.result()
    assert spent.refused == 0
    assert spent.requests > 100, "about 240, less an allowance a jump"


def test_a_request_that_was_sent_late_keeps_the_bucket_from_all() -> None:
    rate = Rate(requests=1, seconds=2)

    async def story(client: PrefectClient) -> list[float]:
        async with _bucket(client, rate) as one, _bucket(client, rate) as other:
            permit = await one.acquire()
            await asyncio.sleep(1.5)  # it waits for a connection, beyond its allowance
            one.answered(permit)
            assert permit.sent is not None
            return [permit.sent, await _leave(other)]

    late, next_one = _with_client(story)
    assert next_one - late >= 2


def test_nothing_is_given_back_while_a_request_waits_for_a_connection() -> None:
    rate = Rate(requests=10, seconds=1)

    async def story(client: PrefectClient) -> list[float]:
        async with _bucket(client, rate) as one, _bucket(client, rate) as other:
            permit = await one.acquire()
            await asyncio.sleep(0.4)
            waiting = [asyncio.create_task(_leave(other)) for _ in range(10)]
            await asyncio.sleep(0.4)
            one.answered(permit)
            assert permit.sent is not None
            return [permit.sent, *await asyncio.gather(*waiting)]

    times = sorted(_with_client(story))
    assert times[10] - times[0] >= 1


def test_another_process_begins_one_spacing_after_the_last_answer_however_late_that_is() -> None:
    rate = Rate(requests=2, seconds=1)

    async def story(client: PrefectClient) -> list[float]:
        async with _bucket(client, rate) as one, _bucket(client, rate) as other:
            permit = await one.acquire()
            one.sent(permit)
            waiting = asyncio.create_task(_leave(other))
            await asyncio.sleep(1.3 * allowance_terms_of([rate]).seconds)  # a slow answer
            one.answered(permit)
            assert permit.answered is not None
            return [permit.answered, await waiting]

    answered, next_one = _with_client(story)
    assert next_one - answered >= spacing([rate])


def test_a_process_that_was_stopped_for_longer_than_its_allowance_sends_nothing_under_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate = Rate(requests=10, seconds=1)
    stopped = 0.0

    async def story(client: PrefectClient) -> tuple[list[bool], float]:
        nonlocal stopped
        async with _bucket(client, rate) as bucket:
            await _leave(bucket)
            permit = await bucket.acquire()
            may = [bucket.may_send(permit)]
            stopped = allowance_terms_of([rate]).seconds  # as if the host had slept, and another had the bucket
            may.append(bucket.may_send(permit))
            bucket.answered(permit)
            before = time.monotonic()
            await _leave(bucket)
            return may, time.monotonic() - before

    monkeypatch.setattr("tasks.clock.seconds", lambda: time.monotonic() + stopped)
    may, waited = _with_client(story)
    assert may == [True, False]
    assert waited > allowance_terms_of([rate]).seconds / 2, "until the bucket is free: the server's clock has not moved"


def test_an_allowance_that_nobody_used_in_its_time_is_no_leave_later() -> None:
    rate = Rate(requests=1, seconds=1)

    async def story(client: PrefectClient) -> list[float]:
        async with _bucket(client, rate) as one, _bucket(client, rate) as other:
            await _leave(other)
            cancelled = asyncio.create_task(one.acquire())
            await asyncio.sleep(0.5)
            cancelled.cancel()  # it is granted what it has asked for, and does not use it
            await asyncio.sleep(allowance_terms_of([rate]).seconds * 1.6)
            return await asyncio.gather(_leave(other), _leave(one))

    times = _with_client(story)
    assert abs(times[0] - times[1]) >= 1


async def _order_of_two(
    client: PrefectClient, order: list[str], is_enough: Callable[[], bool], knows: _Clock | None = None
) -> list[str]:
    """Which of two processes has sent each request, until there are enough; it is added to `order` once it is sent.

    `knows` is what the other one knows of the server's clock.
    """
    rate = Rate(requests=2, seconds=0.5)
    async with _bucket(client, rate) as one, _bucket(client, rate) as other:
        if knows:
            other._buckets[0]._clock = knows

        async def allowance(name: str, bucket: Bucket) -> None:
            while knows and name == "other" and not order:
                await asyncio.sleep(0.01)  # it comes second
            while not is_enough():
                await _leave(bucket)
                order.append(name)

        await asyncio.gather(allowance("one", one), allowance("other", other))
        return order


def test_a_process_that_has_had_some_allowances_lets_another_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.upstream.buckets._MOST_RENEWALS", 1)
    order: list[str] = []
    _with_client(lambda client: _order_of_two(client, order, lambda: len(order) >= 60))
    assert min(order.count("one"), order.count("other")) > 15


def test_a_process_that_knows_the_clock_of_the_prefect_server_only_roughly_has_its_turn_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It learns it from what the others change; else it would come too late whenever the bucket is free."""
    monkeypatch.setattr("tasks.upstream.buckets._MOST_RENEWALS", 1)
    order: list[str] = []
    ahead = time.time() - clock.seconds()  # of the server, which is on this machine
    roughly = _Clock(ahead - 0.5, ahead + 0.5)
    _with_client(lambda client: _order_of_two(client, order, lambda: len(order) >= 60, roughly))
    assert min(order.count("one"), order.count("other")) > 15


def test_a_process_that_waits_while_the_clock_of_the_prefect_server_is_set_forward_has_its_turn_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tasks.upstream.buckets._MOST_RENEWALS", 0)
    clock = tmp_path / "clock"
    clock.write_text("+0 seconds")

    order: list[str] = []
    most = 400  # in the former code, one of them kept the bucket for an hour

    def turns() -> list[str]:
        return [name for name, _ in groupby(order[:most])]  # beyond that, one has the bucket since the other has ended

    async def story(client: PrefectClient) -> None:
        async def jump() -> None:
            while set(order) != {"one", "other"}:  # both have to know the clock
                await asyncio.sleep(0.05)
            clock.write_text("+3600 seconds")

        sending = _order_of_two(client, order, lambda: len(turns()) >= 4 or len(order) >= most)
        await asyncio.gather(jump(), asyncio.wait_for(sending, 300))

    with prefect_server(tmp_path, clock=clock) as env, temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"]}):
        _with_client(story)
    assert len(turns()) >= 4, "each has one more after that"


class _BusyOnce:
    """A client whose Prefect API is busy for one request for slots, as SQLite is when something else is written."""

    def __init__(self, client: PrefectClient):
        self._client = client
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    async def increment_concurrency_slots(self, *arguments: object) -> object:
        self.asked += 1
        if self.asked == 2:
            request = httpx.Request("POST", "http://prefect")
            raise httpx.HTTPStatusError("busy", request=request, response=httpx.Response(503, request=request))
        return await self._client.increment_concurrency_slots(*arguments)  # type: ignore[arg-type]


def test_an_api_that_is_busy_for_a_moment_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.upstream.buckets._MOST_RENEWALS", 0)
    rate = Rate(requests=1, seconds=2.4)

    async def story(client: PrefectClient) -> tuple[list[float], int]:
        await ensure_buckets(client, _config(rate))
        busy = _BusyOnce(client)
        bucket = Bucket([Allowances(bucket_for("espn"), [rate], busy)])  # type: ignore[arg-type]
        times = [await _leave(bucket) for _ in range(4)]
        await bucket.close()
        return times, busy.asked

    times, asked = _with_client(story)
    assert asked >= 3
    assert all(2.4 <= later - earlier < 3.5 for earlier, later in pairwise(times))


class _Away:
    """A client whose Prefect API gives no bucket while `trouble` lasts."""

    def __init__(self, client: PrefectClient, trouble: Exception):
        self._client = client
        self.trouble: Exception | None = trouble

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    async def read_global_concurrency_limit_by_name(self, name: str) -> object:
        if self.trouble:
            raise self.trouble
        return await self._client.read_global_concurrency_limit_by_name(name)


_REQUEST = httpx.Request("GET", "http://prefect")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        pytest.param(httpx.ConnectError("no"), "does not answer (ConnectError)", id="nobody there"),
        pytest.param(
            httpx.HTTPStatusError("no", request=_REQUEST, response=httpx.Response(503, request=_REQUEST)),
            "answers HTTP 503",
            id="503",
        ),
    ],
)
@pytest.mark.parametrize("lasts", [True, False], ids=["an outage", "a moment"])
def test_an_outage_of_the_api_is_told_once_and_its_end_once_however_many_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Exception, told: str, lasts: bool
) -> None:
    if lasts:
        monkeypatch.setattr("tasks.upstream.prefect_api._LOG_AFTER", 0.1)

    async def story(client: PrefectClient) -> None:
        config = _config(Rate(requests=1, seconds=1))
        await ensure_buckets(client, config)
        away, outage = _Away(client, trouble), ApiOutage()
        allowances = [Allowances(bucket_for("espn"), [Rate(requests=1, seconds=1)], away, outage) for _ in range(3)]  # type: ignore[arg-type]
        looks = [asyncio.create_task(one.read_terms()) for one in allowances]
        await asyncio.sleep(0.5)
        looks.pop().cancel()
        away.trouble = None
        await asyncio.gather(*looks)

    with caplog.at_level("INFO", logger="tasks"):
        _with_client(story)
    lines = [record.message for record in caplog.records if "the Prefect API" in record.message]
    outage = [f"the Prefect API {told}; calls to it are repeated until they succeed", "the Prefect API answers again"]
    assert lines == (outage if lasts else [])
