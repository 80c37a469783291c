"""Runs the sandbox: python -m deployments.sandbox --port 0"""

import argparse
import json
import os
import socket
import sys
import threading
from datetime import datetime
from pathlib import Path

import uvicorn

from deployments.sandbox.app import Connection, Sandbox, create_app, parse_clock
from deployments.sandbox.faults import Fault
from deployments.sandbox.league import League
from deployments.sandbox.limits import Rate
from deployments.sandbox.routes import Routes, RoutesError, read_routes
from deployments.sandbox.sites import PREFIXES, SOURCES, known

_HOST = "127.0.0.1"  # not reachable from other machines


def _arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same league and faults")
    parser.add_argument("--games-per-day", type=int, default=3, help="average on days with games")
    parser.add_argument("--odd-games", action="store_true", help="add short games, All-Star games and other odd ones")
    parser.add_argument("--rate", action="append", default=[], metavar="SOURCE=N/SECONDS", type=_rate)
    parser.add_argument("--hang-over-limit", action="append", default=[], metavar="SOURCE", choices=SOURCES)
    parser.add_argument("--fault", action="append", default=[], metavar="SOURCE:KIND:SHARE", type=_fault)
    parser.add_argument("--routes", type=_routes, default=Routes(), metavar="FILE", help="file of further answers")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--clock", type=_clock, metavar="ISO-TIME", help="stop the clock at this moment")
    parser.add_argument("--stay", action="store_true", help="keep running when standard input closes")
    return parser.parse_args(argv)


def _rate(text: str) -> tuple[str, Rate]:
    source, _, rate = text.partition("=")
    try:
        return known(source), Rate.parse(rate)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _fault(text: str) -> Fault:
    try:
        fault = Fault.parse(text)
        known(fault.source)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return fault


def _routes(text: str) -> Routes:
    try:
        return read_routes(Path(text))
    except RoutesError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _clock(text: str) -> datetime | None:
    try:
        return parse_clock(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _exit_with_parent() -> None:
    """Ends this process when standard input closes, which happens however the parent ends.

    The thread uses os.read, because a thread that holds the buffered reader sys.stdin breaks a normal exit.
    """

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    given = _arguments()
    sandbox = Sandbox(
        league=League(given.seed, given.games_per_day, given.odd_games),
        rates=dict(given.rate),
        hang_over_limit=frozenset(given.hang_over_limit),
        faults=given.fault,
        routes=given.routes,
        latency=given.latency,
        clock=given.clock,
    )
    # Rendering must not delay the event loop, which takes the time at which a request arrives.
    sys.setswitchinterval(0.0005)
    if not given.stay:
        _exit_with_parent()
    with socket.create_server((_HOST, given.port), backlog=1024) as listener:
        url = f"http://{_HOST}:{listener.getsockname()[1]}"
        bases = {source: f"{url}/{prefix}" for prefix, source in PREFIXES.items()}
        config = uvicorn.Config(
            create_app(sandbox),
            http=Connection,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
            # As nginx does. After uvicorn's five seconds, which are those of httpx too, a connection could be closed
            # while a request is on its way.
            timeout_keep_alive=75,
        )
        print(json.dumps({"url": url, "base_urls": bases, "pid": os.getpid()}), flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
