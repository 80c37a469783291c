"""Do the lines of `adce up` about runs have the ids that the runs have in the ledger?"""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.up import run_ids as module
from deployments.up.lines import Line
from deployments.up.run_ids import RunIds
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases

ENDED = Line("it ended", event="run_ended", fields={"flow_run": "f1", "run_name": "everything"})
NEVER = Line("it is late", event="run_late", fields={"flow_run": "f2"})
NAMED = Line("a file failed", event="log", fields={"flow_run": "f1", "run": "as its process says"})
OTHER = Line("a worker starts")


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """The address of a ledger with a run, which is at work."""
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(Ledger(address)) as one:
        Leases(one.database, "r1", timedelta(minutes=1)).begin("reconcile", "everything", "f1", lambda why: None)
    return address


def test_a_line_about_a_flow_run_gets_the_id_of_its_run(ledger: str) -> None:
    lines = asyncio.run(RunIds(ledger).added([ENDED, NEVER, NAMED, OTHER]))
    assert [line.fields.get("run") for line in lines] == ["r1", None, "as its process says", None]
    assert [line.text for line in lines] == [line.text for line in (ENDED, NEVER, NAMED, OTHER)]


def test_without_a_ledger_lines_are_said_as_they_are(tmp_path: Path) -> None:
    assert asyncio.run(RunIds(f"sqlite:///{tmp_path / 'none.db'}").added([ENDED])) == [ENDED]


def test_a_ledger_that_hangs_holds_up_one_line_for_a_moment_and_no_other(
    ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WITHIN", 0.1)
    answers, asked = threading.Event(), []

    def hang(self: RunIds, flow_runs: set[str]) -> dict[str, str]:
        asked.append(flow_runs)
        answers.wait()
        return {"f1": "r1"}

    monkeypatch.setattr(RunIds, "_read", hang)

    async def story() -> None:
        ids = RunIds(ledger)
        assert await ids.added([ENDED]) == await ids.added([ENDED]) == [ENDED]
        assert asked == [{"f1"}], "the second line has asked nothing"
        answers.set()
        while (lines := await ids.added([ENDED])) == [ENDED]:
            await asyncio.sleep(0.01)
        assert lines[0].fields["run"] == "r1"

    asyncio.run(asyncio.wait_for(story(), 60))
