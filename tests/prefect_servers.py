"""Prefect servers that start at once, because a parent has imported everything and forks for each.

Each line on standard input has the environment of a process and the arguments of its `python -m`, as JSON. It is
answered by a line with the pid. The end of standard input ends the parent, and none of the servers.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys

gc.disable()  # until everything is imported, which takes a third less time

import prefect.context  # noqa: E402
import prefect.server.api.server  # noqa: E402
import uvicorn  # noqa: E402, F401


def _serve() -> None:
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    print("ready", flush=True)
    for line in sys.stdin:
        environment, arguments = json.loads(line)
        if pid := os.fork():
            print(pid, flush=True)
        else:
            _become(environment, arguments)


def _become(environment: dict[str, str], arguments: list[str]) -> None:
    """Does in this process what `python -m` does in a new one with this environment."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.environ.clear()
    os.environ.update(environment)
    prefect.context.GLOBAL_SETTINGS_CONTEXT = None  # it was that of the parent's environment
    prefect.context.GLOBAL_SETTINGS_CONTEXT = prefect.context.root_settings_context()
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    os._exit(0)


if __name__ == "__main__":
    _serve()
