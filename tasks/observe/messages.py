"""Which messages does a file or a pipe hold? Each line is one, or they are as the AWS command prints them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from tasks import clock
from tasks.domain.arrivals import LARGEST_MESSAGE

# Bytes of a line, or of what the AWS command prints of messages that SQS gives at once, and whose size it limits.
# Escaping bodies as JSON strings makes them longer.
_LONGEST_LINE = 8 * LARGEST_MESSAGE
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_READ_AT_ONCE = 64 * 1024  # bytes
_MOST_WAITING = 32 * 1024 * 1024  # bytes that are read before they are taken; one line may be more
_LINE_SIZE = 500  # bytes that a line takes beside its text


class Line(NamedTuple):
    """A message, and where it is."""

    place: str  # "line 1", or "line 1, message 2" if several messages begin there
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
        documents, rest, is_first = _Documents(), b"", True
        try:
            while chunk := stream.read(_READ_AT_ONCE):
                if is_first:
                    chunk, is_first = chunk.removeprefix(_BYTE_ORDER_MARK), False
                *whole, rest = (rest + chunk).split(b"\n")
                rest = rest[:_LONGEST_LINE]  # the rest of a line that is too long is passed over
                self._put(line for text in whole for line in documents.add(text))
        except OSError as error:
            self._error = error
        except ValueError:  # it was closed, because nobody takes any more
            return
        self._put(chain(documents.add(rest), documents.end()))
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


class _Documents:
    """Puts lines together that are one document, as the AWS command prints it: from a line "{" or "[" to its end."""

    def __init__(self) -> None:
        self._number = 0  # of the last line
        self._begun = 0  # the number of the line with which the document begins
        self._document = bytearray()  # empty outside of a document

    def add(self, line: bytes) -> Iterator[Line]:
        """The messages that are whole with the next line. An empty line holds none."""
        self._number += 1
        bracket = line.rstrip() if len(line) < 3 else b""
        if bracket in (b"{", b"["):  # what comes before the end of another document is cut off
            yield from self.end()
            self._begun = self._number
        elif not self._document:
            yield from _messages(line, self._number)
            return
        if len(self._document) < _LONGEST_LINE:
            self._document += line + b"\n"
        if bracket in (b"}", b"]"):
            yield from self.end()

    def end(self) -> Iterator[Line]:
        """The messages of the document, if there is one, although its end may lack."""
        yield from _messages(bytes(self._document), self._begun)
        self._document.clear()


def _messages(text: bytes, number: int) -> Iterator[Line]:
    """The messages in a text that begins in this line. An empty one holds none."""
    if text.strip():
        bodies, now = _bodies(text[:_LONGEST_LINE]), clock.seconds()
        for nth, body in enumerate(bodies, 1):
            yield Line(f"line {number}, message {nth}" if len(bodies) > 1 else f"line {number}", body, now)


def _size(line: Line) -> int:
    return len(line.body) + _LINE_SIZE


def _bodies(line: bytes) -> list[str]:
    """The bodies of the messages in a text: itself, or those that the AWS command has printed. Any text is a body."""
    text = line.decode(errors="replace")
    if '"Body"' in text or '"Messages"' in text or text.startswith("["):
        try:
            printed = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        messages = printed.get("Messages", [printed]) if isinstance(printed, dict) else printed
        if isinstance(messages, list):
            return [_body(message) for message in messages]
    return [text]


def _body(message: Any) -> str:
    body = message.get("Body", message) if isinstance(message, dict) else message
    return body if isinstance(body, str) else json.dumps(body)
