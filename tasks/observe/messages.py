"""Which messages does a file or a pipe hold? Each line is one: a body, or what the AWS command prints of a message."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tasks import clock
from tasks.domain.arrivals import LARGEST_MESSAGE

_LONGEST_LINE = 8 * LARGEST_MESSAGE  # bytes; escaping a body as a JSON string makes it longer
_WAITING = 4  # how many batches are read before the first of them is taken


class Line(NamedTuple):
    """One line that holds a message."""

    number: int  # from 1
    body: str
    received: float  # by tasks.clock


def batches(stream: BinaryIO, most: int) -> Iterator[list[Line]]:
    """The messages of a stream, at most `most` at once. A batch has what has come so far, without waiting for more."""
    lines: queue.Queue[Line | None] = queue.Queue(most * _WAITING)
    threading.Thread(target=_read, args=(stream, lines), daemon=True, name="messages").start()
    line = lines.get()
    while line is not None:
        batch = [line]
        try:
            while len(batch) < most and (line := lines.get_nowait()) is not None:
                batch.append(line)
        except queue.Empty:
            line = batch[-1]
        yield batch
        if line is not None:
            line = lines.get()


def _read(stream: BinaryIO, lines: queue.Queue[Line | None]) -> None:
    number = 0
    try:
        while text := stream.readline(_LONGEST_LINE):
            number += 1
            while not text.endswith(b"\n") and (more := stream.readline(_LONGEST_LINE)):
                text = text[:_LONGEST_LINE] + more[-1:]  # the rest of a line that is too long is passed over
            if text.strip():
                lines.put(Line(number, _body(text), clock.seconds()))
    finally:
        lines.put(None)


def _body(line: bytes) -> str:
    """The body of a message in a line. A line that cannot be read is returned as it is."""
    text = line.decode(errors="replace")
    if '"Body"' in text:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(message, dict) and "Body" in message:
            body = message["Body"]
            return body if isinstance(body, str) else json.dumps(body)
    return text
