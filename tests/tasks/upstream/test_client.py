"""One file over the wire: real HTTP to the sandbox, and what a refusal does to the whole source."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.models import Backoff, BreakerRules, Changes, Command, Rate, Retries, Source, Timeouts
from deployments.sandbox.process import SandboxProcess
from tasks import clock
from tasks.domain.errors import AbsentError, FetchError, HealingError, LedgerError, PausedError, RefusedError
from tasks.domain.limits.pauses import Pause, Phase
from tasks.domain.limits.rates import Budget, Permit, budget_of
from tasks.domain.metrics import PAUSES
from tasks.domain.outcomes import Failure
from tasks.ledger import Ledger
from tasks.ledger.pauses import Pauses
from tasks.upstream.client import Fetched, SourceClient
from tasks.upstream.commands import prepare
from tasks.upstream.downloads import TooLargeError, UnpackError, read_beginning, read_body
from tasks.upstream.outage import Outage
from tasks.upstream.rate_limiter import RateLimiter
from tests.builders import a_config

PATH = "/scoreboard?dates=202601{:02}"
QUICK = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=4), ramp=timedelta(seconds=1), jitter=0)
BREAKER = BreakerRules(failures=3, open_for=timedelta(seconds=1))


class FreeBucket:
    """A bucket without a rate, that remembers when it let a request go and how slowly.

    With `apart` they wait for each other, so many seconds each.
    """

    def __init__(self, apart: float = 0.0) -> None:
        self.left: list[tuple[float, float]] = []
        self._apart = apart
        self._turn = asyncio.Lock()

    async def acquire(self, slower: Callable[[], float]) -> Permit:
        async with self._turn:
            if self._apart:
                await asyncio.sleep(self._apart)
            self.left.append((time.monotonic(), slower()))
            return Permit(time.monotonic())

    def may_send(self, permit: Permit) -> bool:
        return True

    def sent(self, permit: Permit) -> None:
        permit.sent = permit.sent or clock.seconds()

    answered = sent

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def sites() -> Iterator[SandboxProcess]:
    """A sandbox that limits nobody, since the buckets of these tests have no rate."""
    with SandboxProcess(clock="2026-01-15T12:00:00Z", rates={"espn": "1000/1"}) as sandbox:
        yield sandbox


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def client(sites: SandboxProcess, ledger_url: str) -> Callable[..., SourceClient]:
    """A process's view of ESPN in the sandbox; each has its own connection to the one ledger."""
    sites.clear_faults()
    sites.clear_requests()

    def make(backoff: Backoff = QUICK, **settings: Any) -> SourceClient:
        source: Source = (
            a_config()
            .sources["espn"]
            .model_copy(
                update={
                    "base_url": sites.base_urls["espn"],
                    "backoff": backoff,
                    "retries": Retries(attempts=3, first_wait=timedelta(seconds=0.05)),
                    **settings,
                }
            )
        )
        limiter = RateLimiter("espn", source, Budget(source.rates), BREAKER, Ledger(ledger_url))
        return SourceClient("espn", source, FreeBucket(), limiter)  # type: ignore[arg-type]

    return make


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def _fetch(client: SourceClient, *days: int) -> list[Fetched | BaseException]:
    """Days of scoreboards, all at once."""

    def check(body: bytes) -> None:
        pass

    work = (client.fetch("espn_scoreboard", PATH.format(day), check) for day in days)
    try:
        return await asyncio.gather(*work, return_exceptions=True)
    finally:
        await client.close()


@pytest.mark.parametrize("fault", ["429", "503"])
def test_one_incident_pauses_the_source_once_and_then_everything_comes(
    client: Callable[..., SourceClient], sites: SandboxProcess, fault: str
) -> None:
    sites.set_faults("espn", fault, first=1, match="20260101")
    espn = client()
    results = _run(_fetch(espn, *range(1, 9)))
    assert all(isinstance(result, Fetched) for result in results)
    pause = espn.limiter.pause("espn")
    assert (pause.phase(datetime.now(UTC)), pause.step) == (Phase.CLOSED, 0)
    times = sorted(request["monotonic"] for request in sites.requests())
    assert times[-1] - times[0] >= 0.9, "the file that was refused waited for the pause to end"


def test_many_refusals_at_once_are_one_step_and_a_probe_goes_alone(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    sites.set_faults("espn", "503", first=5)
    espn = client()
    results = _run(_fetch(espn, 1, 2, 3, 4, 5))
    assert all(isinstance(result, Fetched) for result in results)
    times = [request["monotonic"] - sites.requests()[0]["monotonic"] for request in sites.requests()]
    assert len(times) == 10
    assert espn.limiter.pause("espn").step == 0
    assert times[4] < 0.5
    assert times[5] >= 0.9
    assert espn.bucket.left[-1][1] > 1, "the rate grows slowly after a pause"  # type: ignore[attr-defined]


def test_requests_that_wait_together_after_a_pause_leave_at_the_pace_of_their_own_moment(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    sites.set_faults("espn", "503", first=1)
    espn = client(QUICK.model_copy(update={"first": timedelta(seconds=0.2)}))
    espn.bucket = FreeBucket(apart=0.3)  # type: ignore[assignment]
    assert all(isinstance(result, Fetched) for result in _run(_fetch(espn, 1, 2, 3, 4, 5, 6)))
    slower = [times for _, times in espn.bucket.left][-5:]  # type: ignore[attr-defined]
    assert slower == sorted(slower, reverse=True)
    assert slower[0] > slower[-1] == 1
    assert len(sites.requests()) == 7


def test_a_429_is_no_attempt_of_the_file(client: Callable[..., SourceClient], sites: SandboxProcess) -> None:
    sites.set_faults("espn", "429", first=4)
    backoff = QUICK.model_copy(update={"first": timedelta(seconds=0.1)})
    (result,) = _run(_fetch(client(backoff), 1))
    assert isinstance(result, Fetched)
    assert (result.requests, result.asking.refusals) == (5, 4), "they heal, and leave a trace"
    assert result.asking.waited > 0


def test_a_hang_pauses_the_source(client: Callable[..., SourceClient], sites: SandboxProcess) -> None:
    sites.set_faults("espn", "hang", first=1, match="20260101")
    espn = client(timeouts=Timeouts(read=0.5))
    begun = time.monotonic()
    results = _run(_fetch(espn, 1, 2, 3))
    assert all(isinstance(result, Fetched) for result in results)
    assert time.monotonic() - begun >= 1.5


@pytest.mark.parametrize("fault", ["403", "429"])
def test_a_long_pause_is_known_to_every_process_and_nothing_more_is_asked(
    client: Callable[..., SourceClient], sites: SandboxProcess, fault: str
) -> None:
    jail = Backoff(first=timedelta(hours=1), shut_out=timedelta(hours=1))
    sites.set_faults("espn", fault)
    one, other = client(jail, connections=1), client(jail, connections=1)
    refused = _run(_fetch(one, 1, 2, 3))
    assert all(isinstance(result, PausedError) for result in refused)
    assert isinstance(refused[0].refusal, RefusedError)
    assert [result.refusal for result in refused[1:]] == [None, None]
    assert [result.asking.requests for result in refused] == [1, 0, 0], "what a pause interrupts has been sent"
    assert all(isinstance(result, PausedError) for result in _run(_fetch(other, 4, 5)))
    assert len(sites.requests()) == 1
    until = refused[0].until - datetime.now(UTC)
    assert timedelta(minutes=59) < until < timedelta(minutes=70)


def test_two_processes_send_one_probe(client: Callable[..., SourceClient], sites: SandboxProcess) -> None:
    sites.set_faults("espn", "503", first=1)
    one, other = client(), client()

    async def story() -> list[Any]:
        first = asyncio.create_task(_fetch(one, 1))
        await asyncio.sleep(0.6)  # by then the other one's half second of belief is over
        return [*await _fetch(other, 2, 3, 4), *await first]

    assert all(isinstance(result, Fetched) for result in _run(story()))
    times = sorted(request["monotonic"] for request in sites.requests())
    assert len(times) == 5
    assert times[1] - times[0] >= 0.9


def _half_open(client: SourceClient) -> RateLimiter:
    """The gate of a source whose pause has just run out."""
    ago = datetime.now(UTC) - timedelta(seconds=1)
    client.limiter.ledger.pauses.change("espn", lambda pause: Pause("espn", ago, "HTTP 503"))
    return client.limiter


def test_a_probe_whose_claim_has_lapsed_and_is_another_process_s_is_not_sent(
    client: Callable[..., SourceClient],
) -> None:
    one, other = _half_open(client()), client().limiter
    entered = _run(one.enter("espn_scoreboard"))
    one.ledger.pauses.change("espn", lambda pause: replace(pause, probe_until=datetime.now(UTC)))
    theirs = _run(other.enter("espn_scoreboard"))
    assert one.confirm("espn_scoreboard", entered, timedelta(seconds=90)) is None
    assert one.ledger.pauses.current()["espn"].probe_until == theirs.probes["espn"], "nor is the other's claim given up"
    assert other.confirm("espn_scoreboard", theirs, timedelta(seconds=90))


@pytest.mark.parametrize(("days", "phase"), [(3, Phase.HALF_OPEN), (0.5, Phase.OPEN)], ids=["a wrong clock", "a pause"])
def test_a_pause_that_is_longer_than_any_can_be_is_not_believed(
    client: Callable[..., SourceClient], ledger_url: str, days: float, phase: Phase
) -> None:
    until = datetime.now(UTC) + timedelta(days=days)
    Ledger(ledger_url).pauses.change("espn", lambda pause: Pause("espn", until, "HTTP 503"))
    assert client().limiter.pause("espn").phase(datetime.now(UTC)) is phase


def test_a_file_whose_probe_can_heal_is_asked_for_again_before_any_other(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    sites.set_faults("espn", "500", first=2)
    espn = client(retries=Retries(attempts=3, first_wait=timedelta(seconds=0.3)))
    _half_open(espn)
    assert all(isinstance(result, Fetched) for result in _run(_fetch(espn, 1, 2, 3, 4)))
    asked = [request["url"] for request in sites.requests()]
    assert len(asked) == 6
    assert len(set(asked[:3])) == 1


def test_a_site_that_a_probe_does_not_reach_is_left_alone_for_longer(ledger_url: str) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    source = a_config().sources["espn"].model_copy(update={"retries": Retries(attempts=1)})
    limiter = RateLimiter("espn", source, Budget(source.rates), BREAKER, Ledger(ledger_url))
    espn = SourceClient("espn", source, FreeBucket(), limiter, transport=httpx.MockTransport(away))  # type: ignore[arg-type]
    _half_open(espn)
    (error,) = _run(_fetch(espn, 1))
    assert isinstance(error, FetchError)
    pause = limiter.pause("espn")
    assert (pause.phase(datetime.now(UTC)), pause.step) == (Phase.OPEN, 1)


def test_a_probe_may_wait_as_long_as_a_tighter_rate_for_all_sources_makes_it(ledger_url: str) -> None:
    config = a_config(rates=[Rate(requests=1, seconds=30)])
    source = config.sources["espn"].model_copy(update={"connections": 1})
    limiter = RateLimiter("espn", source, budget_of(config, "espn"), BREAKER, Ledger(ledger_url))
    limiter.ledger.pauses.change(
        "espn", lambda pause: Pause("espn", datetime.now(UTC) - timedelta(seconds=1), "HTTP 503")
    )
    entered = _run(limiter.enter("espn_scoreboard", requests=20))
    assert entered.probes["espn"] - datetime.now(UTC) > timedelta(seconds=20 * 30)


def test_a_probe_is_claimed_for_as_long_as_it_may_wait_and_last(client: Callable[..., SourceClient]) -> None:
    limiter = _half_open(client(rates=[Rate(requests=1, seconds=12)], connections=1))
    entered = _run(limiter.enter("espn_scoreboard", requests=20))
    assert entered.probes["espn"] - datetime.now(UTC) > timedelta(seconds=20 * 12)
    confirmed = limiter.confirm("espn_scoreboard", entered, timedelta(minutes=15))
    assert confirmed
    assert confirmed.probes["espn"] - datetime.now(UTC) > timedelta(minutes=15)
    limiter.give_up(entered)
    assert limiter.pause("espn").probe_until == confirmed.probes["espn"], "the first claim is given up no more"
    limiter.give_up(confirmed)
    assert limiter.pause("espn").probe_until is None


def test_a_breaker_opens_after_failures_and_a_probe_closes_it(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    sites.set_faults("espn", "400")
    espn = client(connections=1)
    failed = _run(_fetch(espn, 1, 2, 3))
    assert all(isinstance(result, FetchError) for result in failed)
    pause = espn.limiter.pause("espn_scoreboard")
    assert pause.phase(datetime.now(UTC)) is Phase.OPEN
    assert pause.reason.startswith("3 failures within 10m; the last: ")
    sites.clear_faults()
    again = client()
    assert all(isinstance(result, Fetched) for result in _run(_fetch(again, 4, 5)))
    assert again.limiter.pause("espn_scoreboard").phase(datetime.now(UTC)) is Phase.CLOSED


def test_that_there_is_no_such_file_moves_no_breaker(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    espn = client(connections=1)
    espn.limiter.failed("espn_scoreboard", "HTTP 400", datetime.now(UTC))
    sites.set_faults("espn", "404")
    assert all(type(error) is AbsentError for error in _run(_fetch(espn, 1, 2, 3, 4, 5)))
    assert len(espn.limiter.pause("espn_scoreboard").failures) == 1, "neither another failure, nor one forgiven"


def test_a_breaker_is_closed_by_a_probe_that_finds_no_such_file(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    espn = client()
    ago = datetime.now(UTC) - timedelta(seconds=1)
    espn.limiter.ledger.pauses.change("espn_scoreboard", lambda pause: Pause("espn_scoreboard", ago, "8 failures"))
    sites.set_faults("espn", "404")
    _run(_fetch(espn, 1))
    assert espn.limiter.pause("espn_scoreboard").phase(datetime.now(UTC)) is Phase.CLOSED


WALLED = ["aws_challenge", "aws_captcha", "portal", "login_redirect", "463", "406", "foreign_404", "cloudflare"]


@pytest.mark.parametrize("wall", WALLED)
def test_what_stands_before_a_site_is_asked_once_and_the_source_is_left_alone(
    client: Callable[..., SourceClient], sites: SandboxProcess, wall: str
) -> None:
    sites.set_faults("espn", wall)
    jail = Backoff(first=timedelta(seconds=1), shut_out=timedelta(hours=1))
    espn = client(jail, connections=1)
    errors = _run(_fetch(espn, 1, 2, 3))
    assert isinstance(errors[0].refusal, RefusedError)
    assert all(isinstance(error, PausedError) for error in errors)
    assert len(sites.requests()) == 1
    assert espn.limiter.pause("espn").until > datetime.now(UTC) + timedelta(minutes=50)
    assert not espn.limiter.pause("espn_scoreboard").failures


@pytest.mark.parametrize("fault", ["400", "405", "moved", "large", "bomb"])
def test_a_wrong_address_and_a_file_that_is_too_large_are_the_dataset_s_fault(
    client: Callable[..., SourceClient], sites: SandboxProcess, fault: str
) -> None:
    sites.set_faults("espn", fault)
    espn = client(retries=Retries(attempts=1))
    (error,) = _run(_fetch(espn, 1))
    assert type(error) is FetchError
    assert espn.limiter.pause("espn").until is None
    assert len(espn.limiter.pause("espn_scoreboard").failures) == 1


@pytest.mark.parametrize("fault", ["400", "405", "moved", "large", "bomb", "404"])
def test_what_does_not_heal_is_asked_for_once(
    client: Callable[..., SourceClient], sites: SandboxProcess, fault: str
) -> None:
    sites.set_faults("espn", fault)
    _run(_fetch(client(), 1))
    assert len(sites.requests()) == 1


PAGE = "<html><head><title>{}</title>{}</head><body></body></html>"
CANONICAL = '<link rel="canonical" href="https://www.espn.com/404">'


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        pytest.param(404, {}, '{"code": 404, "message": "no"}', AbsentError, id="ESPN's 404"),
        pytest.param(404, {}, "", AbsentError, id="404 without a body"),
        pytest.param(410, {}, "Gone", AbsentError, id="410 with a line"),
        pytest.param(404, {}, '<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', AbsentError, id="S3's 404"),
        pytest.param(404, {}, PAGE.format("Not Found", CANONICAL), AbsentError, id="404 page by its address"),
        pytest.param(404, {}, PAGE.format("Not Found | ESPN.com", ""), AbsentError, id="404 page by its title"),
        pytest.param(
            404, {}, '<html><body><a href="https://m.espn.com/nba">NBA</a></body></html>', AbsentError, id="by a link"
        ),
        pytest.param(502, {}, '{"code": 404, "message": "no"}', AbsentError, id="ESPN's 404 through a gateway"),
        pytest.param(404, {}, PAGE.format("404 Not Found", ""), RefusedError, id="404 page that names no site"),
        pytest.param(404, {}, PAGE.format("Just a moment...", CANONICAL), RefusedError, id="a wall with 404"),
        pytest.param(404, {}, "\ufeff" + PAGE.format("Blocked", ""), RefusedError, id="a wall with a byte order mark"),
        pytest.param(
            404,
            {},
            '<html><a href="https://wifi.example/?to=https://espn.com/">Go on</a></html>',
            RefusedError,
            id="a portal",
        ),
        pytest.param(202, {}, "", RefusedError, id="202"),
        pytest.param(204, {}, "", RefusedError, id="204"),
        pytest.param(200, {"x-amzn-waf-action": "challenge"}, "{}", RefusedError, id="200 with AWS WAF's header"),
        pytest.param(302, {"Location": "https://login.example.com/"}, "", RefusedError, id="to another host"),
        pytest.param(302, {"Location": "/account/login?from=x"}, "", RefusedError, id="to a login"),
        pytest.param(307, {"Location": "https://site.api.espn.com/x"}, "", RefusedError, id="in a circle"),
        pytest.param(301, {"Location": "/y"}, "", FetchError, id="to another place"),
        pytest.param(304, {}, "", FetchError, id="304"),
        pytest.param(400, {}, '{"code": 400}', FetchError, id="400"),
        pytest.param(400, {}, '{"message": "No upstream data: unavailable"}', FetchError, id="400 with a reason"),
        pytest.param(
            400, {}, PAGE.format("Invalid URL", "") + "Reference&#32;&#35;9&#46;bd", FetchError, id="400 of a gateway"
        ),
        pytest.param(
            400, {}, PAGE.format("Access Denied", "") + "Reference&#32;&#35;9&#46;bd", RefusedError, id="400 by a wall"
        ),
        pytest.param(400, {}, '{"message": "Request blocked"}', RefusedError, id="400 by a wall's JSON"),
        pytest.param(422, {}, '{"code": 403, "message": "no"}', RefusedError, id="422 that says 403"),
        pytest.param(405, {}, PAGE.format("405 Not Allowed", ""), FetchError, id="405"),
        pytest.param(405, {"x-amzn-waf-action": "captcha"}, "", RefusedError, id="405 with a challenge"),
        pytest.param(406, {}, PAGE.format("Are you a robot?", ""), RefusedError, id="406 with a wall"),
        pytest.param(414, {}, "", FetchError, id="414"),
        pytest.param(422, {}, "", FetchError, id="422"),
        pytest.param(407, {}, "", RefusedError, id="a proxy wants a login"),
        pytest.param(418, {}, "", RefusedError, id="418"),
        pytest.param(428, {}, '{"sec-cp-challenge": "true"}', RefusedError, id="Akamai's question"),
        pytest.param(451, {}, "", RefusedError, id="451"),
        pytest.param(463, {}, "", RefusedError, id="463"),
        pytest.param(511, {}, "", RefusedError, id="a captive portal by its status"),
        pytest.param(500, {}, PAGE.format("500 Internal Server Error", ""), HealingError, id="500"),
        pytest.param(502, {}, PAGE.format("502 Bad Gateway", ""), HealingError, id="502"),
        pytest.param(
            520,
            {},
            PAGE.format("520: Web server is down", "<div id=cf-error-details>"),
            HealingError,
            id="Cloudflare's 520",
        ),
        pytest.param(503, {}, PAGE.format("Just a moment...", ""), RefusedError, id="a wall with 503"),
        pytest.param(200, {"Content-Encoding": "br"}, "x", HealingError, id="packed as nobody asked"),
        pytest.param(200, {"Content-Encoding": "gzip"}, "not gzip", HealingError, id="packed and broken"),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], body: str, kind: type[FetchError]) -> None:
    async def work() -> FetchError:
        source = a_config().sources["espn"].model_copy(update={"base_url": "https://site.api.espn.com"})
        stream = httpx.ByteStream(body.encode())
        answers = httpx.MockTransport(lambda request: httpx.Response(status, headers=headers, stream=stream))
        espn = SourceClient("espn", source, FreeBucket(), None, transport=answers)  # type: ignore[arg-type]
        with pytest.raises(FetchError) as caught:
            await espn._get("https://site.api.espn.com/x", Permit(0), source, 1000)
        return caught.value

    error = _run(work())
    assert type(error) is kind, error
    if kind is RefusedError:
        assert error.shut_out  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["identity", "gzip", "x-gzip", "deflate", "bare deflate"])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_body_is_read_however_it_is_packed_up_to_its_largest_size(encoding: str, size: int) -> None:
    body = b"0123456789" * (size // 10) + b"x" * (size % 10)
    bits = {"gzip": 31, "x-gzip": 31, "deflate": 15, "bare deflate": -15}.get(encoding)
    packer = zlib.compressobj(wbits=bits or 15)
    packed = packer.compress(body) + packer.flush() if bits else body
    headers = {"Content-Encoding": encoding.split()[-1]}

    def answer() -> httpx.Response:
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed))

    assert _run(read_body(answer(), size)) == body
    if size:
        with pytest.raises(TooLargeError):
            _run(read_body(answer(), size - 1))
        assert _run(read_beginning(answer(), size - 1)) == body[:-1]
    if size and bits:
        packed = packed[: len(packed) // 2]
        with pytest.raises(UnpackError):
            _run(read_body(answer(), size))


def test_what_is_sent_counts_also_where_it_holds_nothing() -> None:
    packed = gzip.compress(b"whole") + bytes(4_000_000)
    pieces = [packed[at : at + 100_000] for at in range(0, len(packed), 100_000)]
    read: list[int] = []

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            read.append(len(piece))
            yield piece

    def answer() -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=stream())

    with pytest.raises(TooLargeError):
        _run(read_body(answer(), 1_000_000))
    assert sum(read) < 3_000_000
    assert _run(read_body(answer(), 4_000_000)) == b"whole"


def test_a_body_that_is_there_is_not_lost_when_the_ledger_cannot_be_told(
    client: Callable[..., SourceClient], sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    espn = client()
    _half_open(espn)
    outage = espn._outage = Outage(_nothing)

    def away(pauses: Pauses, name: str, change: Callable[[Pause], Pause]) -> Pause:
        raise LedgerError("the ledger is away")

    espn.on_request = lambda source: monkeypatch.setattr(Pauses, "change", away)
    first, second = _run(_fetch_in_turn(espn, 13, 14))
    assert isinstance(first, Fetched)
    assert [type(second), str(outage.final)] == [LedgerError, "the ledger is away"]
    assert len(sites.requests()) == 1


async def _nothing() -> None:
    pass


async def _fetch_in_turn(client: SourceClient, *days: int) -> list[Fetched | BaseException]:
    done = []
    for day in days:
        done += await asyncio.gather(
            client.fetch("espn_scoreboard", PATH.format(day), lambda body: None), return_exceptions=True
        )
    await client.close()
    return done


def test_a_server_error_that_asks_for_an_hour_holds_the_source_for_an_hour(ledger_url: str) -> None:
    answers = httpx.MockTransport(lambda request: httpx.Response(500, headers={"Retry-After": "3600"}))
    source = a_config().sources["espn"].model_copy(update={"backoff": QUICK})
    limiter = RateLimiter("espn", source, Budget(source.rates), BREAKER, Ledger(ledger_url))
    espn = SourceClient("espn", source, FreeBucket(), limiter, transport=answers)  # type: ignore[arg-type]
    (error,) = _run(_fetch(espn, 1))
    assert isinstance(error, PausedError)
    assert timedelta(minutes=59) < error.until - datetime.now(UTC) <= timedelta(hours=1)
    assert isinstance(error.refusal, RefusedError)
    assert len(espn.bucket.left) == 1, "asked once, and not again"  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ConnectTimeout, httpx.ConnectError])
def test_want_of_an_answer_pauses_the_source_and_is_no_refusal(
    ledger_url: str, error: type[httpx.TransportError]
) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise error("")

    retries = Retries(attempts=1)
    source = a_config().sources["espn"].model_copy(update={"backoff": QUICK, "retries": retries})
    ledger = Ledger(ledger_url)
    limiter = RateLimiter("espn", source, Budget(source.rates), BREAKER, ledger)
    espn = SourceClient("espn", source, FreeBucket(), limiter, transport=httpx.MockTransport(nobody))  # type: ignore[arg-type]
    failed = [found for found in _run(_fetch(espn, 1, 2, 3)) if not isinstance(found, PausedError)]
    assert {(found.failure, found.asking.refusals) for found in failed} == {(Failure.UNREACHABLE, 0)}
    assert {series.name for series in ledger.totals.current()} == {PAUSES.name}


async def _run_command(client: SourceClient) -> Fetched:
    """Runs a command that makes three requests and tells when it began."""
    argv = ["{python}", "-c", "import time; print(time.monotonic(), file=open('{id}', 'w'))"]
    espn = a_config().datasets["espn_summary"]
    command = Command(argv=argv, files=["{id}"], requests=3)
    prepared = prepare(
        espn.model_copy(update={"url": None, "command": command}), {"id": "401810001"}, a_config().sources["espn"]
    )
    try:
        return await client.fetch("espn_summary", "python", lambda body: None, command=prepared)
    finally:
        await client.close()


def test_a_command_begins_when_all_its_requests_may_have_left(client: Callable[..., SourceClient]) -> None:
    espn = client()
    latency = espn.latency
    fetched = _run(_run_command(espn))
    left = [at for at, _ in espn.bucket.left]  # type: ignore[attr-defined]
    assert len(left) == fetched.requests == 3
    assert max(left) < float(fetched.bodies[0])
    assert espn.latency == latency, "how long it takes says nothing of the site"


def test_a_request_whose_permission_has_lapsed_is_not_sent_and_waits_for_another(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    espn = client()
    lapsed = iter([True, True, False])
    espn.bucket.may_send = lambda permit: not next(lapsed)  # type: ignore[method-assign]
    (fetched,) = _run(_fetch(espn, 13))
    assert isinstance(fetched, Fetched)
    assert fetched.requests == len(sites.requests()) == 1
    assert len(espn.bucket.left) == 3  # type: ignore[attr-defined]


def test_a_run_that_may_have_lost_its_leases_asks_for_nothing(
    client: Callable[..., SourceClient], sites: SandboxProcess
) -> None:
    espn = client()
    espn.why_not = lambda: "its lease lapsed"
    results = _run(_fetch(espn, 13, 14))
    assert [(type(result), str(result)) for result in results] == [(PausedError, "its lease lapsed")] * 2
    assert sites.requests() == []


def test_a_command_of_a_source_that_is_paused_is_not_run(client: Callable[..., SourceClient]) -> None:
    espn = client()
    espn.limiter.refused(RefusedError("HTTP 403", timedelta(minutes=10), shut_out=True), datetime.now(UTC))
    with pytest.raises(PausedError, match=r"source paused until .* HTTP 403"):
        _run(_run_command(espn))
    assert espn.bucket.left == []  # type: ignore[attr-defined]


def test_a_rollout_asks_at_another_address_with_other_headers_and_its_own_patience(
    client: Callable[..., SourceClient],
) -> None:
    async def work() -> tuple[list[str], BaseException]:
        asked: list[str] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            espn = client()
            changes = {"base_url": f"http://127.0.0.1:{port}/v2", "headers": {"Accept": "text/new"}}
            settings = Changes.model_validate(changes | {"retries": {"attempts": 1}}).of_source(espn.settings)
            try:
                with pytest.raises(FetchError) as caught:
                    await espn.fetch("espn_scoreboard@x", "/scoreboard", lambda body: None, settings)
            finally:
                await espn.close()
            assert espn.limiter.pause("espn_scoreboard@x").failures
            assert not espn.limiter.pause("espn_scoreboard").failures
        return asked, caught.value

    asked, error = _run(work())
    assert len(asked) == 1, "it has one attempt, the source has three"
    assert asked[0].startswith("GET /v2/scoreboard HTTP/1.1")
    assert "accept: text/new" in asked[0].lower()
    assert "user-agent: adce" in asked[0].lower()
    assert str(error).endswith("/v2/scoreboard: HTTP 500")
