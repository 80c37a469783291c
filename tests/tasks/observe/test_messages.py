"""Are the lines of a stream read as they come, and not more of them than there is room for?"""

import asyncio
import io
import json
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
    assert [(line.place, line.body) for line in found] == [
        ("line 1", "a"),
        ("line 3", "bb"),
        ("line 4", "c"),
        ("line 5", "half"),
    ]


MESSAGES = [{"MessageId": "1", "Body": '{"a": 1}'}, {"MessageId": "2", "Body": "b"}]
PRINTED = json.dumps({"Messages": MESSAGES}, indent=4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PRINTED, {"line 1, message 1": '{"a": 1}', "line 1, message 2": "b"}),
        (json.dumps({"Messages": MESSAGES}), {"line 1, message 1": '{"a": 1}', "line 1, message 2": "b"}),
        (json.dumps(MESSAGES, indent=2), {"line 1, message 1": '{"a": 1}', "line 1, message 2": "b"}),
        (json.dumps(["a", "b"]), {"line 1, message 1": "a", "line 1, message 2": "b"}),
        (json.dumps(MESSAGES[1], indent="\t"), {"line 1": "b"}),
        (
            f"x\n\n{PRINTED}\n{PRINTED}\ny",
            {
                "line 1": "x",
                "line 3, message 1": '{"a": 1}',
                "line 3, message 2": "b",
                "line 15, message 1": '{"a": 1}',
                "line 15, message 2": "b",
                "line 27": "y",
            },
        ),
        (PRINTED.replace("\n", "\r\n"), {"line 1, message 1": '{"a": 1}', "line 1, message 2": "b"}),
        (
            f'{{\n  "cut": \n{PRINTED}',
            {"line 1": '{\n  "cut": \n', "line 3, message 1": '{"a": 1}', "line 3, message 2": "b"},
        ),
        ("{", {"line 1": "{\n"}),
        ("[\n]\n" * 2, {}),
        ('{"Messages": []}', {}),
        ('{"Messages": 1}', {"line 1": '{"Messages": 1}'}),
        ('{"Records": [{"Body": 1}]}', {"line 1": '{"Records": [{"Body": 1}]}'}),
        ("\ufeffa", {"line 1": "a"}),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, str) else "",
)
def test_what_the_aws_command_prints_is_read_however_it_is_broken_into_lines(text: str, found: dict[str, str]) -> None:
    async def story() -> list[Line]:
        lines, got = Lines(io.BytesIO(text.encode())), []
        while not lines.are_taken:
            got += await lines.next(100)
        return got

    assert [(line.place, line.body) for line in asyncio.run(story())] == list(found.items())


def test_a_document_without_an_end_takes_no_more_memory_than_the_longest_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.observe.messages._LONGEST_LINE", 100)

    async def story() -> list[Line]:
        lines, got = Lines(io.BytesIO(b"{\n" + b"  x\n" * 999)), []
        while not lines.are_taken:
            got += await lines.next(100)
        return got

    [line] = asyncio.run(story())
    assert len(line.body) == 100


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
