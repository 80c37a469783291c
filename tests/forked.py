"""Stands in for `python`, with the arguments of that: its work is done by a process that tests/forks.py forks.

It ends as that process ends, and passes signals on to it. The variable FORKS names the parent of the forks. Few modules
are imported here, because the start of this process is the only cost.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from typing import Any

PARENT = "FORKS"  # the environment variable


def ask(parent: str, order: object) -> Any:
    """The answer of a parent of forks to one order."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{parent}")
        connection.sendall(json.dumps(order).encode() + b"\n")
        with connection.makefile() as answer:
            return json.loads(answer.readline())


def main() -> None:
    parent = os.environ[PARENT]
    mine = [f"/proc/{os.getpid()}/fd/{descriptor}" for descriptor in (1, 2)]
    order = {"argv": sys.argv[1:], "env": dict(os.environ), "folder": os.getcwd(), "output": mine}
    pid = ask(parent, order)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    while (status := ask(parent, pid)) is None:
        time.sleep(0.05)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
