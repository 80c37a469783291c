"""How is the body of an answer read, and decompressed, within a limit of bytes?"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import httpx

# The encodings that a request accepts. httpx by itself would accept those of every library that happens to be
# installed, and decompress them without a limit.
ACCEPTED = "gzip, deflate"

_PIECE = 1024 * 1024  # bytes


class TooLargeError(Exception):
    """A body is larger than the limit."""


class UnpackError(Exception):
    """A body has an encoding that the request did not accept, or cannot be decompressed."""


async def read_body(response: httpx.Response, at_most: int) -> bytes:
    """The whole body. Raises TooLargeError once it exceeds `at_most` bytes, and stops reading then.

    The limit holds for the received bytes and for the decompressed bytes, because a long compressed stream may contain
    nothing. Raises UnpackError for a body that cannot be decompressed.
    """
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > at_most:
        raise TooLargeError
    body = bytearray()
    async for piece in _pieces(response):
        if max(len(body) + len(piece), response.num_bytes_downloaded - _PIECE) > at_most:
            raise TooLargeError
        body += piece
    return bytes(body)


async def read_beginning(response: httpx.Response, at_most: int) -> bytes:
    """The first bytes of a body, at most `at_most`; fewer if the rest cannot be decompressed."""
    body = bytearray()
    try:
        async for piece in _pieces(response):
            body += piece[: at_most - len(body)]
            if len(body) >= at_most:
                break
    except UnpackError:
        pass
    return bytes(body)


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.is_stream_consumed:
        yield response.content
        return
    unpack = _unpacker(response.headers.get("Content-Encoding", ""))
    try:
        async for raw in response.aiter_raw():
            for piece in unpack(raw):
                yield piece
        for piece in unpack(b""):
            yield piece
    except zlib.error as error:
        raise UnpackError(str(error)) from None


def _unpacker(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """A function that decompresses piece by piece, into pieces of at most 1 MB. Call it with b"" at the end."""
    match encoding.strip().lower():
        case "" | "identity":
            return lambda raw: iter([raw])
        case "gzip" | "x-gzip" | "deflate" as known:
            return _Inflater(known != "deflate")
        case other:
            raise UnpackError(f"Content-Encoding {other[:40]!r}, which was not asked for")


class _Inflater:
    """Decompresses gzip, or deflate. Some servers leave out the zlib header of deflate (RFC 9110, 8.4.1.2)."""

    def __init__(self, is_gzip: bool):
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16 if is_gzip else zlib.MAX_WBITS)
        self._may_be_bare = not is_gzip
        self._has_begun = False

    def __call__(self, raw: bytes) -> Iterator[bytes]:
        if not raw:
            yield from self._end()
            return
        self._has_begun = True
        while raw:
            yield self._inflate(raw)
            raw = self._stream.unconsumed_tail

    def _inflate(self, raw: bytes) -> bytes:
        try:
            piece = self._stream.decompress(raw, _PIECE)
        except zlib.error:
            if not self._may_be_bare:
                raise
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
            piece = self._stream.decompress(raw, _PIECE)
        self._may_be_bare = False
        return piece

    def _end(self) -> Iterator[bytes]:
        if not self._has_begun:
            return
        yield self._stream.flush()
        if not self._stream.eof:
            raise zlib.error("it ends too early")
