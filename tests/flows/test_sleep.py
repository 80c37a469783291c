"""A run that sleeps, and two Prefect servers: no file is asked for twice, and no rate is spent twice."""

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from deployments.sandbox.process import SandboxProcess
from tests import forks
from tests.servers import prefect_server

pytestmark = pytest.mark.xdist_group("sleep")

RECONCILE = [forks.ADCE, "reconcile", "--dataset", "espn_scoreboard", "--since", "2025-10-21", "--until", "2026-01-14"]
FILL = forks.fill(source="espn", dataset="espn_scoreboard", since="2025-10-21", until="2026-01-14")
LEASE = 3.0


def test_a_run_that_is_stopped_for_longer_than_its_leases_asks_for_nothing_before_it_has_them_again(
    adce_home: Path, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", f"{LEASE:g}s")
    log = adce_home / "log"
    with prefect_server(adce_home / "prefect") as env:
        forks.run([forks.ADCE, "setup"], env)
        sleeper, other = (forks.start(command, env, log, log) for command in (RECONCILE, FILL))
        _wait_for_requests(sites, 15)
        for run in (sleeper, other):
            run.send_signal(signal.SIGSTOP)
        time.sleep(0.5)  # for which the sandbox answers what it was asked
        stored = len(list((adce_home / "lake/espn_schedules").glob("*.json")))
        unanswered = len(sites.requests()) - stored
        other.send_signal(signal.SIGCONT)
        time.sleep(3 * LEASE)
        sleeper.send_signal(signal.SIGCONT)
        assert sleeper.wait() in (0, 1), log.read_text()[-3000:]
        other.wait()
        assert forks.start(RECONCILE, env, log, log).wait() == 0, log.read_text()[-3000:]
    asked = Counter(request["url"] for request in sites.requests())
    assert len(asked) == 86
    assert sum(asked.values()) - len(asked) <= unanswered, "but for what was under way when they were stopped"
    assert not any(request["limited"] for request in sites.requests())


def test_a_run_on_a_second_prefect_server_is_refused_while_the_buckets_of_the_first_are_in_use(
    adce_home: Path, sites: SandboxProcess
) -> None:
    log = adce_home / "log"
    with prefect_server(adce_home / "one") as first, prefect_server(adce_home / "two") as second:
        for env in (first, second):
            forks.run([forks.ADCE, "setup"], env)
        running = forks.start(RECONCILE, first, log, log)
        _wait_for_requests(sites, 5)
        assert forks.start(RECONCILE, second, log, log).wait() != 0
        told = " ".join(log.read_text().split())
        assert f"the rate buckets of {first['PREFECT_API_URL']} are in use" in told
        assert running.wait() == 0, told[-3000:]
        assert forks.start(RECONCILE, second, log, log).wait() == 0, "they are in use no more"
    asked = Counter(request["url"] for request in sites.requests())
    assert set(asked.values()) == {1}


def _wait_for_requests(sites: SandboxProcess, count: int) -> None:
    begun = time.monotonic()
    while len(sites.requests()) < count:
        assert time.monotonic() - begun < 120
        time.sleep(0.05)
