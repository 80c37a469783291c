"""A run that sleeps, and two Prefect servers: no file is asked for twice, and no rate is spent twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from deployments.sandbox.process import SandboxProcess
from tests.killable import starter
from tests.servers import prefect_server

pytestmark = pytest.mark.xdist_group("sleep")

ADCE = str(Path(sys.executable).with_name("adce"))
SPAN = ["--dataset", "espn_scoreboard", "--since", "2025-10-21", "--until", "2026-01-14"]
FILL = {"source": "espn", "dataset": "espn_scoreboard", "since": "2025-10-21", "until": "2026-01-14"}
LEASE = 3.0


def test_a_run_that_is_stopped_for_longer_than_its_leases_asks_for_nothing_before_it_has_them_again(
    adce_home: Path, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__LEASE", f"{LEASE:g}s")
    log = adce_home / "log"
    with prefect_server(adce_home / "prefect") as env:
        _set_up(env)
        with starter(env, log) as runs:
            sleeper, other = runs.start(["reconcile", *SPAN]), runs.start(FILL)
            _wait_for_requests(sites, 15)
            for pid in (sleeper, other):
                os.kill(pid, signal.SIGSTOP)
            time.sleep(0.5)  # for which the sandbox answers what it was asked
            stored = len(list((adce_home / "lake/espn_schedules").glob("*.json")))
            unanswered = len(sites.requests()) - stored
            os.kill(other, signal.SIGCONT)
            time.sleep(3 * LEASE)
            os.kill(sleeper, signal.SIGCONT)
            assert runs.wait(sleeper) in (0, 1), log.read_text()[-3000:]
            runs.wait(other)
            assert runs.wait(runs.start(["reconcile", *SPAN])) == 0, log.read_text()[-3000:]
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
            _set_up(env)
        with starter(first, log) as here, starter(second, log) as there:
            running = here.start(["reconcile", *SPAN])
            _wait_for_requests(sites, 5)
            assert there.wait(there.start(["reconcile", *SPAN])) != 0
            told = " ".join(log.read_text().split())
            assert f"the rate buckets of {first['PREFECT_API_URL']} are in use" in told
            assert here.wait(running) == 0, told[-3000:]
            assert there.wait(there.start(["reconcile", *SPAN])) == 0, "they are in use no more"
    asked = Counter(request["url"] for request in sites.requests())
    assert set(asked.values()) == {1}


def _set_up(env: dict[str, str]) -> None:
    subprocess.run([ADCE, "setup"], env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL)


def _wait_for_requests(sites: SandboxProcess, count: int) -> None:
    begun = time.monotonic()
    while len(sites.requests()) < count:
        assert time.monotonic() - begun < 120
        time.sleep(0.05)
