"""Are the lines of a stream read as they come, and not more of them than there is room for?"""

import asyncio
import io
import os
from collections.abc import Iterator

import pytest

from tasks.observe.messages import Line, Lines


class Chunks(io.RawIOBase):
    """A stream that is read in these parts, and breaks after the last one."""

    def __init__(self, *parts: bytes):
        self._parts: Iterator[bytes] = iter(parts)
        self.read_so_far = 0

    def read(self, size: int = -1) -> bytes:
        if (part := next(self._parts, None)) is None:
            raise OSError(5, "Input/output error")
        self.read_so_far += len(part)
        return part


def test_lines_are_read_as_they_come_whatever_their_parts_and_an_error_comes_after_all_of_them() -> None:
    found: list[Line] = []

    async def story() -> None:
        lines = Lines(Chunks(b"a\n\n", b"b", b"b\nc\n", b"half"))  # type: ignore[arg-type]
        while not lines.are_taken:
            found.extend(await lines.next(2))

    with pytest.raises(OSError, match="Input/output error"):
        asyncio.run(asyncio.wait_for(story(), 10))
    assert [(line.number, line.body) for line in found] == [(1, "a"), (3, "bb"), (4, "c"), (5, "half")]


def test_a_stream_that_is_silent_holds_up_nothing_and_what_is_not_taken_stays_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.observe.messages._MOST_WAITING", 2000)
    given, taken = os.pipe()
    chunks = Chunks(*[b"x" * 999 + b"\n"] * 50)

    async def story() -> None:
        with os.fdopen(given, "rb") as silent, os.fdopen(taken, "wb") as feed:
            assert await Lines(silent).next(10, 0.01) == []
            feed.close()
        lines, count = Lines(chunks), 0  # type: ignore[arg-type]
        while count < 40:
            count += len(await lines.next(1))
            assert chunks.read_so_far / 1000 - count < 5

    asyncio.run(asyncio.wait_for(story(), 10))
