"""Does a run survive that its Prefect server goes away and comes back? With a real server, from the command line."""

import json
import re
import time
from pathlib import Path

from deployments.sandbox.process import SandboxProcess
from tests import forks
from tests.servers import free_port, prefect_server

SPAN = ["--dataset", "espn_scoreboard", "--since", "2025-10-01", "--until", "2025-12-20"]
AS_OF = ["--as-of", "2026-01-15T12:00:00Z"]


def test_a_run_waits_for_its_prefect_server_and_asks_for_nothing_meanwhile(
    adce_home: Path, sites: SandboxProcess, tmp_path: Path
) -> None:
    home, port = tmp_path / "prefect", free_port()
    with prefect_server(home, port=port) as env:
        forks.run([forks.ADCE, "setup"], env)
        command = [forks.ADCE, "reconcile", "--json", *SPAN, *AS_OF]
        run = forks.start(command, env, tmp_path / "output", tmp_path / "said")
        while len(sites.requests()) < 15:
            assert run.poll() is None
            time.sleep(0.1)
    try:
        away = time.monotonic()
        time.sleep(8)
        with prefect_server(home, port=port):
            back = time.monotonic()
            assert run.wait(120) == 0
    finally:
        run.kill()
    document = json.loads((tmp_path / "output").read_text())
    assert len(document["filled"]) == document["cells"]["present"] == document["cells"]["total"] > 50
    requests = sites.requests()
    assert not any(request["limited"] for request in requests)
    assert not [r for r in requests if away + 5.5 < r["monotonic"] < back], "a lease ends, and then no request leaves"
    # Prefect's own errors, of what it could not log, end in no line.
    assert re.findall(r"adce: warning: the Prefect API (.*)$", (tmp_path / "said").read_text(), re.MULTILINE) == [
        "does not answer (ConnectError); calls to it are repeated until they succeed",
        "answers again",
    ]
