"""Servers on loopback that record what they are sent, as those that are told of incidents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import Handler, serving


def takes(handler: Handler) -> None:
    """Answers as a service that has taken what it was sent."""
    handler.answer(200, b"ok")


class Received(list[dict[str, Any]]):
    """The requests that a server has got, each with `path`, `headers` and `body`."""

    @property
    def documents(self) -> list[Any]:
        """The bodies, as JSON."""
        return [json.loads(request["body"]) for request in self]

    @property
    def told(self) -> list[str]:
        """The ids of the messages."""
        return [request["headers"]["Idempotency-Key"] for request in self]


@contextmanager
def receiver(answer: Callable[[Handler], None] = takes) -> Iterator[tuple[str, Received]]:
    """A server that records what it gets before it answers. Yields its URL and the record."""
    received = Received()

    class Receiver(Handler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            received.append({"path": self.path, "headers": dict(self.headers), "body": body})
            answer(self)

    with serving(Receiver) as url:
        yield url, received
