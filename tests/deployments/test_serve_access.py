"""Who may ask the service for what, and how often?"""

from typing import get_args

import pytest

from config.models import Rate, Serve
from config.models.serve import PublicPath
from deployments.serve.access import Gate, Kind, Limiter, target_of
from deployments.serve.paths import BADGE, PATHS, PROBES
from deployments.serve.server import address_of, lacks_names

TOKEN = "0123456789abcdef"
RATE = Rate(requests=10, seconds=1)


@pytest.mark.parametrize(
    ("host", "is_named"),
    [
        ("localhost", True),
        ("localhost:8710", True),
        ("LOCALHOST:80", True),
        ("127.0.0.1:8710", True),
        ("[::1]:8710", True),
        ("[::1]", True),
        ("10.0.0.7:8710", True),
        ("adce.example.org", True),
        ("", False),
        ("evil.example.org", False),
        ("localhost.evil.example.org", False),
        ("adce.example.org@evil", False),
        ("localhost:\u00b2", False),
        ("localhost:", False),
    ],
)
def test_only_a_named_host_is_answered(host: str, is_named: bool) -> None:
    assert Gate(Serve(host="10.0.0.7", hosts=["adce.example.org"])).is_named(host) is is_named


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(Serve(host="0.0.0.0"), True), (Serve(host="0.0.0.0", hosts=["adce.example.org"]), False), (Serve(), False)],
)
def test_on_all_addresses_others_need_a_name_for_it(settings: Serve, expected: bool) -> None:
    assert lacks_names(settings) is expected


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8710"),
        ("0.0.0.0", "http://127.0.0.1:8710"),
        ("::", "http://[::1]:8710"),
        ("fd00::1", "http://[fd00::1]:8710"),
        ("192.0.2.7", "http://192.0.2.7:8710"),
    ],
)
def test_the_address_that_is_told_is_one_at_which_this_machine_reaches_the_service(host: str, address: str) -> None:
    assert address_of(Serve(host=host)) == address


def test_an_address_of_ipv6_is_named_in_brackets() -> None:
    assert Gate(Serve(host="fd00::7")).is_named("[fd00::7]:8710")


@pytest.mark.parametrize(
    ("authorization", "is_shown"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        ("", False),
        ("Bearer", False),
        ("Bearer ", False),
        (f"Bearer {TOKEN}0", False),
        (f"Bearer {TOKEN[:-1]}", False),
        (f"Bearer {TOKEN.upper()}", False),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        (f"Bearer {'x' * 100_000}", False),
        ("Bearer \u00e9\u00e9", False),
    ],
)
def test_the_token_has_to_be_right_as_a_whole(authorization: str, is_shown: bool) -> None:
    assert Gate(Serve(token=TOKEN)).is_shown(authorization, "") is is_shown


def test_a_cookie_counts_as_the_token_but_is_not_the_token_and_ends_with_it() -> None:
    gate = Gate(Serve(token=TOKEN))
    assert TOKEN not in gate.cookie
    for others in ("other=1", 'x={"a":1}', "\x00", "adce2=1;"):
        assert gate.is_shown("", f"{others}; adce={gate.cookie}; y=[")
    assert not gate.is_shown("", f"adce={TOKEN}")
    assert not gate.is_shown("", "adce=")
    assert not gate.is_shown("", "\x00;=;adce")
    assert not Gate(Serve(token="another-token-of-it")).is_shown("", f"adce={gate.cookie}")


def test_without_a_token_all_is_open_and_with_one_probes_and_what_is_public() -> None:
    paths = ["/", "/livez", "/readyz", "/health", "/login", "/metrics", "/badge/espn_summary.svg", "/anything"]
    assert all(map(Gate(Serve()).is_open, paths))
    gate = Gate(Serve(token=TOKEN, public=["/badge/*", "/health"]))
    assert [path for path in paths if gate.is_open(path)] == [
        "/livez",
        "/readyz",
        "/health",
        "/login",
        "/badge/espn_summary.svg",
    ]


def test_each_path_may_be_public_but_those_that_need_no_token_anyway() -> None:
    paths = {one.path for one in PATHS if one.path not in PROBES} - {BADGE} | {"/badge/*", "/coverage/*", "/files/*"}
    assert set(Serve(token=TOKEN, public=sorted(paths)).public) == set(get_args(PublicPath)) == paths


def test_an_address_gets_its_rate_and_is_told_how_long_to_wait_beyond_it() -> None:
    limiter = Limiter(RATE)
    assert [limiter.wait("10.0.0.1", Kind.PAGE, 0.0) for _ in range(10)] == [0.0] * 10
    assert limiter.wait("10.0.0.1", Kind.PAGE, 0.0) == pytest.approx(0.1)
    assert limiter.wait("10.0.0.1", Kind.PROBE, 0.0) == 0.0, "probes have a limit of their own"
    assert limiter.wait("10.0.0.1", Kind.METRICS, 0.0) == 0.0
    assert limiter.wait("10.0.0.2", Kind.PAGE, 0.0) == 0.0, "so has another address"
    assert limiter.wait("10.0.0.1", Kind.PAGE, 0.11) == 0.0, "and time gives it back"
    assert limiter.wait("10.0.0.1", Kind.PAGE, 0.11) > 0.0


def test_wrong_tokens_are_limited_to_ten_a_minute() -> None:
    limiter = Limiter(RATE)
    assert [limiter.wait("10.0.0.1", Kind.GUESS, 0.0) for _ in range(10)] == [0.0] * 10
    assert limiter.wait("10.0.0.1", Kind.GUESS, 0.0) == pytest.approx(6.0)
    assert limiter.wait("10.0.0.1", Kind.PAGE, 0.0) == 0.0


@pytest.mark.parametrize(
    "addresses",
    [
        ["x1", "x2", "", "1.2.3", "7.7.7.7 ", "z" * 9000],
        ["7.7.7.7", "::ffff:7.7.7.7", "::ffff:707:707"],
        ["2001:db8::1", "2001:DB8:0::2", "2001:db8::3%eth0"],
    ],
    ids=["what is no address", "IPv4 within IPv6", "a subnet of IPv6"],
)
def test_an_address_counts_as_one_however_it_is_written(addresses: list[str]) -> None:
    limiter = Limiter(Rate(requests=1, seconds=1))
    waits = [limiter.wait(address, Kind.PAGE, 0.0) for address in addresses]
    assert waits[0] == 0.0
    assert all(waits[1:])
    assert limiter.wait("::ffff:7.7.7.8", Kind.PAGE, 0.0) == 0.0


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/status", ("/status", "of the header")),
        ("http://localhost/status", ("/status", "localhost")),
        ("HTTPS://localhost:1", ("/", "localhost:1")),
        ("http://evil@localhost/status", ("/status", "evil@localhost")),
        ("//localhost/status", ("//localhost/status", "of the header")),
        ("/http://localhost/status", ("/http://localhost/status", "of the header")),
    ],
)
def test_a_target_may_name_the_host(target: str, expected: tuple[str, str]) -> None:
    assert target_of(target, "of the header") == expected


def test_a_host_cannot_evade_its_limit_with_all_of_its_addresses_of_ipv6() -> None:
    limiter = Limiter(RATE)
    waits = [limiter.wait(f"2001:db8::{n:x}", Kind.PAGE, 0.0) for n in range(11)]
    assert waits[-1] > 0.0
    assert limiter.wait("2001:db8:0:1::1", Kind.PAGE, 0.0) == 0.0


def test_however_many_addresses_ask_few_are_remembered() -> None:
    limiter = Limiter(RATE)
    for n in range(25_000):
        limiter.wait(f"10.0.{n // 256}.{n % 256}", Kind.PAGE, n / 1000)
    assert len(limiter._taken) <= 10_000
