"""Upstream that records when each request arrived at the kernel, and when a plain asyncio server read it.

The kernel takes its time before any process is scheduled, so that time shows what a client did even on a busy machine.
A site with a busy server may count by the other time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from config.models import Rate

_ROOT = Path(__file__).parents[1]
_SO_TIMESTAMPNS = 35  # Linux: TCP sockets have it since 4.13
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_ARRIVALS = "/arrivals"


@dataclass(frozen=True)
class Arrival:
    """Times of a request's arrival, in seconds since 1970."""

    kernel: float
    read: float


@dataclass(frozen=True)
class Upstream:
    """A running upstream."""

    url: str

    def arrivals(self) -> list[Arrival]:
        rows = httpx.get(self.url + _ARRIVALS, trust_env=False, timeout=60).json()
        return [Arrival(*row) for row in rows]


def one_too_many(times: Sequence[float], rate: Rate) -> int:
    """Number of requests that a strict site would refuse: those that exceed the rate together with accepted ones."""
    accepted: list[float] = []
    refused = 0
    for at in sorted(times):
        if len(accepted) >= rate.requests and at - accepted[-rate.requests] < rate.seconds:
            refused += 1
        else:
            accepted.append(at)
    return refused


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Runs an upstream in another process."""
    command = [sys.executable, "-m", "tests.upstream"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Upstream(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class _Connection:
    """A client's connection: records the arrival of each request, and answers it."""

    def __init__(self, connection: socket.socket, arrivals: list[tuple[float, float]]):
        self._connection = connection
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        connection.setblocking(False)
        self._loop.add_reader(connection, self._read)

    def _read(self) -> None:
        try:
            request, ancillary, _, _ = self._connection.recvmsg(65536, socket.CMSG_SPACE(16))
        except ConnectionError:
            request, ancillary = b"", []
        read = time.time()
        if not request:
            self._loop.remove_reader(self._connection)
            self._connection.close()
            return
        if request.startswith(f"GET {_ARRIVALS} ".encode()):
            body = json.dumps(self._arrivals).encode()
            self._connection.setblocking(True)
            self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self._connection.setblocking(False)
            return
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        self._arrivals.append((seconds + nanoseconds / 1e9, read))
        self._connection.send(_ANSWER)


async def _serve() -> None:
    arrivals: list[tuple[float, float]] = []
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # accepted connections inherit it
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _Connection(connection, arrivals)


if __name__ == "__main__":
    asyncio.run(_serve())
