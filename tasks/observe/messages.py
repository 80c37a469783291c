"""Which messages does a file or a pipe hold? Each line is one: a body, or what the AWS command prints of a message."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from tasks import clock
from tasks.domain.arrivals import LARGEST_MESSAGE

_LONGEST_LINE = 8 * LARGEST_MESSAGE  # bytes; escaping a body as a JSON string makes it longer
_READ_AT_ONCE = 64 * 1024  # bytes
_MOST_WAITING = 32 * 1024 * 1024  # bytes that are read before they are taken; one line may be more
_LINE_SIZE = 500  # bytes that a line takes beside its text


class Line(NamedTuple):
    """One line that holds a message."""

    number: int  # from 1
    body: str
    received: float  # by tasks.clock


class Lines:
    """The messages of a stream, which a thread reads for an event loop as they come."""

    def __init__(self, stream: BinaryIO):
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Line] = deque()
        self._size = 0  # of those, in bytes
        self._lock = threading.Condition()  # for all of this; it is told when there is room
        self._came = asyncio.Event()
        self._has_ended = False
        self._error: OSError | None = None
        # Not through a buffer: a thread that waits for it would keep the interpreter from ending.
        raw = getattr(stream, "raw", stream)
        threading.Thread(target=self._read, args=(raw,), daemon=True, name="messages").start()

    @property
    def are_taken(self) -> bool:
        """Has all been taken that the stream holds?"""
        return self._has_ended and not self._waiting and not self._error

    async def next(self, most: int, seconds: float | None = None) -> list[Line]:
        """What has come, at most `most` lines; nothing if nothing comes within some seconds, or before the end.

        Raises OSError, after all that has come, if the stream cannot be read to its end.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._came.wait(), seconds)
        with self._lock:
            found = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._size -= sum(map(_size, found))
            self._lock.notify()
            if not found and self._error:
                raise self._error
            if not self._waiting and not self._error:
                self._came.clear()
        return found

    def _read(self, stream: BinaryIO) -> None:
        number, rest = 0, b""
        try:
            while chunk := stream.read(_READ_AT_ONCE):
                *whole, rest = (rest + chunk).split(b"\n")
                rest = rest[:_LONGEST_LINE]  # the rest of a line that is too long is passed over
                self._put(_lines(whole, number + 1))
                number += len(whole)
        except OSError as error:
            self._error = error
        except ValueError:  # it was closed, because nobody takes any more
            return
        self._put(_lines([rest], number + 1))
        self._has_ended = True
        self._tell()

    def _put(self, lines: Iterator[Line]) -> None:
        """Has lines taken, as soon as there is room for the first of them."""
        if not (found := list(lines)):
            return
        with self._lock:
            self._lock.wait_for(lambda: self._size < _MOST_WAITING)
            self._waiting += found
            self._size += sum(map(_size, found))
        self._tell()

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._came.set)


def _lines(texts: list[bytes], number: int) -> Iterator[Line]:
    """The messages in lines of which the first has this number. Empty lines hold none."""
    now = clock.seconds()
    for text in texts:
        if text.strip():
            yield Line(number, _body(text[:_LONGEST_LINE]), now)
        number += 1


def _size(line: Line) -> int:
    return len(line.body) + _LINE_SIZE


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
