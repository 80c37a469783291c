"""Is the refusal of one key told from that of all, whose HEAD requests S3 answers in the same way?"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from blocks.store import Store
from tasks.domain.errors import LakeError
from tasks.domain.lakes import MARK_KEY
from tasks.observe.heads import ask
from tests.servers import Handler, serving, use_s3

KEYS = ("a/refused.json", "a/there.json", "a/gone.json")


@contextmanager
def _s3(refusal: int, *, mark: int) -> Iterator[str]:
    """An S3 that refuses one key, or if it refuses the lake's mark too, every key."""

    class S3(Handler):
        def respond(self) -> None:
            if self.command == "HEAD":
                is_refused = self.path.endswith(KEYS[0]) or mark != 404
                self._answer(refusal if is_refused else 200 if self.path.endswith(KEYS[1]) else 404)
            else:
                assert (self.command, self.path) == ("GET", f"/lake/{MARK_KEY}")
                self._answer(mark, b"<Error><Code>AccessDenied</Code></Error>" if mark == 403 else b"")

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.answer(status, body, {"Last-Modified": "Thu, 15 Jan 2026 12:00:00 GMT", "ETag": '"1"'})

    with serving(S3) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (403, "S3 answers 403 Forbidden; allow s3:GetObject of it"),
        (400, "S3 answers 400 Bad Request; it may be encrypted with a key that ADCE does not have"),
    ],
)
def test_one_key_that_is_refused_costs_no_other(status: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with _s3(status, mark=404) as endpoint:
        use_s3(monkeypatch, endpoint)
        lake = Store("s3://lake")
        found, alone = (asyncio.run(ask(lake, keys)) for keys in (KEYS, KEYS[:1]))
    assert (found.objects.keys(), found.refused.keys()) == ({KEYS[1]}, {KEYS[0]})
    assert alone == ({}, found.refused)
    assert f"lake s3://lake cannot be read at {KEYS[0]}, but other files can: {line}" in found.refused[KEYS[0]]


@pytest.mark.parametrize("status", [400, 403])
def test_a_lake_that_refuses_everything_cannot_be_read(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with _s3(status, mark=403) as endpoint:
        use_s3(monkeypatch, endpoint)
        with pytest.raises(LakeError, match=f"read at {MARK_KEY}: AccessDenied"):
            asyncio.run(ask(Store("s3://lake"), KEYS))
