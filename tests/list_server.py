"""A stand-in for S3 on loopback that lists one bucket, and costs next to nothing.

Its arguments are the seconds that a page takes, and a file with the keys, one a line. Its process prints its port. The
path /requests answers how many pages were listed since it was asked last.
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_left, bisect_right
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2026-11-30T08:48:00.000Z</LastModified><ETag>&quot;{:032x}&quot;</ETag>"
    "<Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_LIST = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>lake</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>{}</IsTruncated>"
)


class Bucket:
    """Keys in order, with their objects as XML."""

    def __init__(self, keys: list[str]):
        self.requests = 0
        self._keys = sorted(keys)
        self._objects = [
            _OBJECT.format(escape(key), number, 2000 + number % 90_000).encode()
            for number, key in enumerate(self._keys)
        ]

    def page(self, query: dict[str, str]) -> bytes:
        """The answer to ListObjectsV2. A token is the key, or the common prefix, after which a page begins."""
        self.requests += 1
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        most = int(query.get("max-keys", 1000))
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        if delimiter and after.endswith(delimiter):
            start = bisect_left(self._keys, after[:-1] + chr(ord(delimiter) + 1), start)
        end = bisect_left(self._keys, prefix + "\U0010ffff", start)
        if not delimiter:
            found, last, at = self._objects[start : min(start + most, end)], "", min(start + most, end)
            last = self._keys[at - 1] if found else ""
        else:
            found, last, at = self._level(start, end, prefix, delimiter, most)
        head = _LIST.format(escape(prefix), len(found), str(at < end).lower())
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if at < end else ""
        return b"".join((head.encode(), token.encode(), *found, b"</ListBucketResult>"))

    def _level(self, at: int, end: int, prefix: str, delimiter: str, most: int) -> tuple[list[bytes], str, int]:
        found: list[bytes] = []
        last = ""
        while at < end and len(found) < most:
            key = self._keys[at]
            cut = key.find(delimiter, len(prefix))
            if cut < 0:
                found.append(self._objects[at])
                last, at = key, at + 1
            else:
                last = key[: cut + 1]
                found.append(f"<CommonPrefixes><Prefix>{escape(last)}</Prefix></CommonPrefixes>".encode())
                at = bisect_left(self._keys, last[:-1] + chr(ord(delimiter) + 1), at)
        return found, last, at


async def _serve(bucket: Bucket, latency: float) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                url = urlsplit(head.split(b" ", 2)[1].decode())
                if url.path == "/requests":
                    body, bucket.requests = str(bucket.requests).encode(), 0
                else:
                    await asyncio.sleep(latency)
                    body = bucket.page({name: values[0] for name, values in parse_qs(url.query).items()})
                kind = b"Content-Type: application/xml\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (kind, len(body)))
                writer.write(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Bucket(Path(sys.argv[2]).read_text().splitlines()), float(sys.argv[1])))
