"""Do the processes of a system stay up, and does none outlive it? With real processes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.up.children import Child, Children, GivenUp, Need, RestartPolicy, error_in
from deployments.up.lines import Line

ROOT = Path(__file__).parents[2]
QUICK = RestartPolicy(first_wait=0.05, longest_wait=0.1, most_deaths=3)
# Notes its process group in a file, starts a process in it, and lets both sleep.
SLEEPER = """
import os, signal, subprocess, sys, time
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(signal.SIGTERM, signal.%s); time.sleep(60)"
subprocess.Popen([sys.executable, "-S", "-c", code])
open(sys.argv[1], "a").write(f"{os.getpgrp()}\\n")
time.sleep(60)
"""


def sleeper(file: Path, *, deaf: bool = False, stops_within: float = 10) -> Child:
    code = SLEEPER % ("SIG_IGN" if deaf else "SIG_DFL")
    return Child("sleeper", [sys.executable, "-S", "-c", code, str(file), "deaf" if deaf else ""], {}, stops_within)


def is_alive(group: int) -> bool:
    """Whether a process of the group runs."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


async def groups_in(file: Path, count: int) -> list[int]:
    for _ in range(1000):
        if file.exists() and len(lines := file.read_text().split()) >= count:
            return [int(line) for line in lines]
        await asyncio.sleep(0.02)
    raise AssertionError(f"{file} has not {count} lines")


def test_a_child_that_dies_is_started_again_and_what_it_left_behind_is_ended(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> list[int]:
        children = Children(said.append, QUICK)
        children.keep(sleeper(tmp_path / "groups"))
        [first] = await groups_in(tmp_path / "groups", 1)
        os.kill(first, signal.SIGKILL)  # its own child lives on in the group
        found = await groups_in(tmp_path / "groups", 2)
        assert not is_alive(found[0])
        await children.stop()
        return found

    assert not any(is_alive(group) for group in asyncio.run(story()))
    assert said == ["sleeper died with SIGKILL; it is started again in 0.05 s"]


def test_one_that_keeps_dying_ends_the_whole_with_what_it_said_last() -> None:
    said: list[str] = []

    code = "print('no ink'); print('An exception occurred.'); raise SystemExit(3)"  # as Prefect's command ends

    async def story() -> None:
        children = Children(said.append, QUICK)
        children.keep(Child("clerk", [sys.executable, "-S", "-c", code]))
        try:
            await children.given_up()
        finally:
            await children.stop()

    with pytest.raises(GivenUp, match=r"^clerk died 3 times in a row, now with status 3 \(no ink\)$"):
        asyncio.run(story())
    assert said[0] == "clerk died with status 3 (no ink); it is started again in 0.05 s"
    assert len(said) == 2


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], ""),
        (["+------+", "| full", "An exception occurred."], " (full)"),
        (["wrong: -1 + 2 | 3", "An exception occurred."], " (wrong: -1 + 2 | 3)"),
        (
            [
                "  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
                "  +-+---------------- 1 ----------------",
                "    | Traceback (most recent call last):",
                '    |   File "base.py", line 171, in raise_for_status',
                "    | prefect.exceptions.PrefectHTTPStatusError: Server error '503' for url 'http://x/api'",
                "    | Response: {'exception_message': 'Service Unavailable'}",
                "    | For more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/503",
                "    +------------------------------------",
                "An exception occurred.",
            ],
            " (PrefectHTTPStatusError: Server error '503' for url 'http://x/api')",
        ),
    ],
)
def test_the_reason_of_a_death_is_the_last_error_without_its_frame(lines: list[str], why: str) -> None:
    assert error_in(lines) == why


def test_the_log_of_a_command_of_adce_is_told_and_all_else_is_only_shown() -> None:
    lines = ["adce: info: begins", "adce: error: no ink; ask: again", "adce: no paper", "error: none", '{"at": 1}']
    document = {"at": "1970", "level": "error", "event": "log", "message": "no pens", "source": "espn"}
    lines.append(json.dumps(document))
    child = Child("clerk", [sys.executable, "-S", "-c", f"print({chr(10).join(lines)!r})"])
    told: list[Line] = []
    noted: list[Mapping[str, Any]] = []
    shown: list[str] = []

    async def story() -> None:
        children = Children(shown.append, show=lambda _, line: shown.append(line), tell=told.append, note=noted.append)
        await children.run(replace(child, is_adce=True))
        assert told == [
            Line("clerk: begins", logging.INFO),
            Line("clerk: no ink; ask: again", logging.ERROR),
            Line("clerk: no pens", logging.ERROR, fields={"source": "espn"}),
        ]
        assert (shown, noted) == (lines[2:-1], [])
        await children.run(child)
        assert (shown, noted) == (lines[2:-1] + lines, [document])

    asyncio.run(story())


def test_one_that_is_stopped_hears_that_it_is_to_end(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import os, signal, sys; open(sys.argv[1], 'w').write('1'); os.kill(os.getpid(), signal.SIGSTOP)"

    async def story() -> None:
        children = Children(said.append)
        children.keep(Child("sleeper", [sys.executable, "-S", "-c", code, str(tmp_path / "started")], stops_within=2))
        await groups_in(tmp_path / "started", 1)
        await children.stop()

    asyncio.run(story())
    assert said == []


def test_one_that_is_ended_before_the_others_is_not_started_again(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> tuple[list[int], list[bool]]:
        children = Children(said.append, QUICK)
        first, other = sleeper(tmp_path / "first"), replace(sleeper(tmp_path / "other"), name="other")
        for child in (other, first):
            children.keep(child)
        groups = [*await groups_in(tmp_path / "first", 1), *await groups_in(tmp_path / "other", 1)]
        await children.end(first)
        alive = [is_alive(group) for group in groups]
        await children.stop()
        return groups, alive

    groups, alive = asyncio.run(story())
    assert alive == [False, True]
    assert not any(map(is_alive, groups))
    assert (said, len((tmp_path / "first").read_text().split())) == ([], 1)


def test_one_that_runs_once_returns_what_it_said_and_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> None:
        children = Children(said.append)
        assert await children.run(Child("clerk", [sys.executable, "-S", "-c", "print(1); print(2)"])) == ["1", "2"]
        for within in (0.2, 1.0, 5.0, 25.0):
            with pytest.raises(TimeoutError):
                await children.run(sleeper(tmp_path / "groups", deaf=True), within)
            if (tmp_path / "groups").exists():  # it has lived long enough to be deaf
                break
        await children.stop()

    asyncio.run(story())
    assert said == [], "it had to be killed at the end"


def test_one_that_dies_while_what_it_needs_is_away_waits_for_it_and_is_not_given_up(tmp_path: Path) -> None:
    said: list[str] = []
    note = "import sys, time; open(sys.argv[1], 'a').write('1\\n'); time.sleep(60)"

    async def story() -> None:
        need = Need("the shop is open", asyncio.Event())
        children = Children(said.append, RestartPolicy(first_wait=0.01, most_deaths=2))
        children.keep(Child("clerk", [sys.executable, "-S", "-c", note, str(tmp_path / "starts")], needs=need))
        for count in (1, 2, 3):
            need.is_met.set()
            await groups_in(tmp_path / "starts", count)
            need.is_met.clear()
            children.kill()
            while len(said) < count:
                await asyncio.sleep(0.01)
        await children.stop()

    asyncio.run(asyncio.wait_for(story(), 60))
    assert said == ["clerk died with SIGKILL; it is started again when the shop is open"] * 3


def test_one_that_is_not_vital_is_started_again_now_and_then_and_the_others_go_on() -> None:
    said: list[str] = []

    async def story() -> None:
        children = Children(said.append, RestartPolicy(first_wait=0.01, most_deaths=2, rarely=0.05))
        children.keep(Child("helper", [sys.executable, "-S", "-c", "import sys; sys.exit(2)"], is_vital=False))
        while len(said) < 4:
            await asyncio.sleep(0.01)
        await children.stop()

    asyncio.run(asyncio.wait_for(story(), 60))
    waits = [line.rpartition(" in ")[2] for line in said[:4]]
    assert waits == ["0.01 s", "0.05 s", "0.05 s", "0.05 s"]


def test_one_that_does_not_listen_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> int:
        children = Children(said.append, QUICK)
        children.keep(sleeper(tmp_path / "groups", deaf=True, stops_within=0.3))
        [group] = await groups_in(tmp_path / "groups", 1)
        await children.stop()
        return group

    assert not is_alive(asyncio.run(story()))
    assert said == ["sleeper has not stopped within 0.3 s and is killed"]


def test_who_does_not_want_to_wait_any_longer_ends_all_at_once(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> int:
        children = Children(said.append, QUICK)
        children.keep(sleeper(tmp_path / "groups", deaf=True, stops_within=600))
        [group] = await groups_in(tmp_path / "groups", 1)
        stopping = asyncio.create_task(children.stop())
        await asyncio.sleep(0)
        children.kill()
        await asyncio.wait_for(stopping, 60)
        return group

    assert not is_alive(asyncio.run(story()))
    assert said == []


def test_one_whose_guard_is_killed_dies_with_it(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> list[int]:
        children = Children(said.append, QUICK)
        children.keep(sleeper(tmp_path / "groups"))
        [first] = await groups_in(tmp_path / "groups", 1)
        guard = psutil.Process(first).parent()
        assert guard
        guard.kill()
        found = await groups_in(tmp_path / "groups", 2)
        assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
        os.killpg(first, signal.SIGKILL)  # its own child is nobody's any more
        await children.stop()
        return found

    assert not is_alive(asyncio.run(story())[1])
    assert said == ["sleeper died with SIGKILL; it is started again in 0.05 s"]


def test_a_system_that_is_killed_takes_its_children_and_theirs_with_it(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from deployments.up.children import Children\n"
        "from tests.deployments.test_children import sleeper\n"
        "async def main():\n"
        "    children = Children(print)\n"
        f"    [children.keep(sleeper(Path({str(tmp_path / 'groups')!r}))) for _ in range(2)]\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    system = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT)
    found = asyncio.run(groups_in(tmp_path / "groups", 2))
    system.kill()
    system.wait()
    for _ in range(500):
        if not any(is_alive(group) for group in found):
            break
        time.sleep(0.02)
    else:
        raise AssertionError("a child is an orphan")
