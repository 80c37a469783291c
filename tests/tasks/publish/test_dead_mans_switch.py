"""What does a dead man's switch hear of a run, and does a run ever wait for it?"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tasks.publish import dead_mans_switch as module
from tasks.publish.dead_mans_switch import pinging
from tests.receivers import Received, receiver
from tests.servers import Handler

SECRET = "/ping/2f6ee4b0-uuid-of-a-check"


@pytest.fixture(autouse=True)
def all_sent() -> Iterator[None]:
    """Waits for the threads of the switches of a test."""
    yield
    wait_until_sent()


def wait_until_sent() -> None:
    for thread in threading.enumerate():
        if thread.name == "dead man's switch":
            thread.join(60)


def paths(received: Received) -> list[str]:
    return [urlsplit(request["path"]).path for request in received]


def test_it_hears_of_start_and_success_by_one_run_id() -> None:
    with receiver() as (url, received):
        with pinging(f"{url}{SECRET}/?a=1") as switch:
            switch.started()
            switch.succeeded()
        wait_until_sent()
    assert paths(received) == [f"{SECRET}/start", SECRET]
    queries = [parse_qs(urlsplit(request["path"]).query) for request in received]
    assert queries[0] == queries[1]
    assert queries[0]["a"] == ["1"]
    assert len(queries[0]["rid"][0]) == 36


def test_it_hears_of_an_error_without_secrets() -> None:
    with receiver() as (url, received):
        with pytest.raises(ValueError, match="hunter2"), pinging(f"{url}{SECRET}"):
            raise ValueError("https://me:hunter2@h\nis away")
        wait_until_sent()
    assert paths(received) == [f"{SECRET}/fail"]
    assert received[-1]["body"] == b"https://***@h is away"


def test_it_hears_nothing_of_a_run_that_leaves_its_work_to_another() -> None:
    with receiver() as (url, received):
        with pinging(f"{url}{SECRET}"):
            pass
        wait_until_sent()
    assert received == []


def test_without_a_url_nothing_happens() -> None:
    before = threading.active_count()
    with pinging(None) as switch:
        switch.succeeded()
        assert threading.active_count() == before


def test_a_switch_that_hangs_delays_no_run_and_its_thread_ends_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(module, "WITHIN", 0.3)
    answered = threading.Event()

    def hang(_: Handler) -> None:
        answered.wait(60)

    with receiver(hang) as (url, received):
        with pinging(f"{url}{SECRET}") as switch:
            switch.started()
            while not received:
                time.sleep(0.01)
            switch.succeeded()
        assert len(received) == 1, "the run has ended, and the first ping hangs"
        wait_until_sent()
        answered.set()
    assert caplog.messages[0] == "alerts.ping: the run's /start is not heard: it has not answered within 0 s"
    assert "success is not heard" in caplog.messages[1]
    assert SECRET not in caplog.text


def test_a_switch_that_refuses_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with receiver(lambda handler: handler.answer(404, b"no such check")) as (url, _):
        with pinging(f"{url}{SECRET}") as switch:
            switch.started()
        wait_until_sent()
    assert caplog.messages == ["alerts.ping: the run's /start is not heard: HTTP 404: no such check"]
