"""Is it told when others than this machine can use the Prefect API?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

from deployments.setup import exposure
from deployments.setup.exposure import is_loopback, own_addresses, warnings
from tests.servers import Handler, prefect_server, serving

OWN = next((address for address in own_addresses() if ":" not in address), None)


@contextmanager
def _api(host: str, status: int, body: bytes = b"3") -> Iterator[str]:
    """Something that answers like a Prefect API, or like the proxy before one; gives its address."""

    class Api(Handler):
        def respond(self) -> None:
            assert self.command == "POST"
            assert "Authorization" not in self.headers, "a stranger has no credentials"
            self.answer(status, body)

    with serving(Api, host) as url:
        yield f"{url}/api"


@contextmanager
def _proxy(api: str, key: str) -> Iterator[str]:
    """A proxy before a Prefect API that lets those in who bring the key, as the runbook has one; gives its address."""

    class Proxy(Handler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = 401, b""
            if self.headers.get("Authorization") == f"Bearer {key}":
                kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
                answer = httpx.request(self.command, api.removesuffix("/api") + self.path, content=body, headers=kind)
                status, content = answer.status_code, answer.content
            self.answer(status, content)

    with serving(Proxy) as url:
        yield f"{url}/api"


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost", True),
        ("prefect.localhost", True),
        ("10.0.0.7", False),
        ("0.0.0.0", False),
        ("prefect.invalid", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_a_name_is_loopback_when_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"here": {"127.0.0.1", "::1"}, "both": {"127.0.0.1", "10.0.0.7"}, "notlocalhost": {"10.0.0.7"}}
    monkeypatch.setattr(exposure, "_addresses", known.get)
    assert [is_loopback(name) for name in known] == [True, False, False]


@pytest.mark.skipif(OWN is None, reason="this machine has no address but loopback")
def test_an_api_that_answers_strangers_is_told_of_and_one_behind_a_proxy_is_not() -> None:
    assert OWN is not None
    with _api(OWN, 200) as api:
        [line] = asyncio.run(warnings(api))
        assert f"answers without credentials at {api}: " in line
        [password, line] = asyncio.run(warnings(api.replace("//", "//me:s3cret@")))
        assert "has a password in it" in password
        assert f"at {api}: " in line, "asked as a stranger"
        assert "s3cret" not in password + line
    for status, body in ((401, b""), (302, b""), (200, b"<html>Sign in</html>")):
        with _api(OWN, status, body) as api:
            assert asyncio.run(warnings(api)) == []


@pytest.mark.skipif(OWN is None, reason="this machine has no address but loopback")
def test_a_server_on_loopback_may_answer_at_the_other_addresses_too() -> None:
    assert OWN is not None
    with _api(OWN, 200) as api:
        loopback = api.replace(OWN, "127.0.0.1")
        assert len(asyncio.run(warnings(loopback))) == 1
        assert asyncio.run(warnings(loopback, own=[])) == []


def test_nobody_there_and_no_server_at_all_are_no_warning() -> None:
    assert asyncio.run(warnings("http://127.0.0.1:1/api", own=["127.0.0.2"])) == []
    assert asyncio.run(warnings(None)) == []


def test_a_check_warns_and_its_exit_status_is_about_the_set_up_alone(
    adce: Callable[..., Result], adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_WORK_POOLS", "[]")
    with prefect_server(adce_home / "prefect") as server, ExitStack() as stack:
        for name, value in server.items():
            monkeypatch.setenv(name, value)
        address = server["PREFECT_API_URL"]
        stack.enter_context(temporary_settings({PREFECT_API_URL: address}))
        # A server on loopback stands in for one elsewhere: to send nothing elsewhere, only the judgement differs.
        monkeypatch.setattr(exposure, "is_loopback", lambda host: False)
        assert adce("setup").exit_code == 0
        check = adce("setup", "--check")
        assert (check.exit_code, check.stdout) == (0, "everything is as configured\n")
        assert check.stderr.startswith(f"adce: warning: the Prefect API answers without credentials at {address}: ")
        monkeypatch.setattr(exposure, "is_loopback", lambda host: True)
        monkeypatch.setattr(exposure, "own_addresses", list)
        assert "warning" not in adce("setup", "--check").stderr


def test_a_proxy_that_wants_a_key_lets_us_in_by_it_and_nobody_else(
    adce: Callable[..., Result], adce_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_WORK_POOLS", "[adce]")
    monkeypatch.setattr(exposure, "is_loopback", lambda host: False)
    key = "a-long-random-key-0123456789"
    with prefect_server(adce_home / "prefect") as server, _proxy(server["PREFECT_API_URL"], key) as api:
        monkeypatch.setenv("PREFECT_API_URL", api)
        with temporary_settings({PREFECT_API_URL: api, PREFECT_API_KEY: key}):
            assert "work pool adce: created" in adce("setup").stdout
            assert "warning" not in adce("setup", "--check").stderr, "no stranger gets in"
        with temporary_settings({PREFECT_API_URL: api, PREFECT_API_KEY: "another-key"}):
            check = adce("setup", "--check")
        assert check.exit_code == 2
        assert (
            check.stderr == f"adce: the Prefect API at {api} refuses access with HTTP 401; is PREFECT_API_KEY right?\n"
        )
