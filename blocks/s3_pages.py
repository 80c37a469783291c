"""What is on a page of an S3 listing? The files; obstore does not tell whether a key ends with a slash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from functools import cache
from itertools import pairwise
from operator import ge
from typing import Any

from arro3.core import Array, DataType, RecordBatch
from obstore.exceptions import BaseError
from obstore.store import S3Store

from blocks.lake_keys import are_plain, is_valid
from blocks.listing import Listing
from blocks.packed_rows import batch_of
from blocks.segments import FULL, Page
from tasks.domain.assess.states import LakeObject

# Texts in obstore's errors for a name that it does not accept as a path: one with an empty or dotted segment or a
# control character, or a link to itself.
INVALID_NAME_ERRORS = (
    "Encountered object with invalid path",
    "Too many levels of symbolic links",
    "File system loop found",
)
_SAMPLE = 50  # one of so many keys is shown to those who divide the keys


class S3Pages:
    """Lists the pages of folders in S3, and notes which names are not lake keys.

    A key may end with a slash: that of the marker of a folder, or `a/1.json/`. obstore lists such a marker without the
    slash, as if it were a file. S3 lists in the order of the real keys, so a name that is out of order is a marker.
    Any other that is empty, or that is also the name of a folder, is doubtful. A marker that has a body and stands
    alone cannot be told from a file before somebody reads it; there is nothing to read under its name then.
    """

    def __init__(self, store: S3Store, client: Callable[[], Any], bucket: str, prefix: str):
        """`client` makes a client of boto3. `prefix` is that of the lake: empty, or with a slash at its end."""
        self.odd: dict[str, set[str]] = {}  # names that are not lake keys, by folder
        self.requests = 0  # LIST requests of which `read` has given no page
        self._doubtful: dict[str, str] = {}  # folders of keys that may be markers, by key
        self._store = store
        self._client = cache(client)
        self._bucket, self._prefix = bucket, prefix

    async def read(self, folder: str, after: str) -> AsyncGenerator[Page]:
        """The pages of a folder after a key. For a page with a name that obstore refuses, boto3 is used."""
        prefix = f"{folder}/"
        while True:
            offset = after if after > prefix else None
            try:
                stream = self._store.list(prefix, offset=offset, chunk_size=FULL, return_arrow=True)
                async for batch in stream:
                    page = self._page(folder, batch, after)
                    after = page.last
                    yield page
                return
            except BaseError as error:
                if not any(sign in str(error) for sign in INVALID_NAME_ERRORS):
                    raise
                self.requests += 1
            is_offset, has_more = False, True
            while has_more and not is_offset:
                listed, has_more = await asyncio.to_thread(self._list_names, prefix, after)
                if not listed:
                    return
                yield self._raw_page(folder, listed, has_more)
                after = listed[-1].key
                is_offset = is_valid(after)
            if not has_more:
                return

    def doubtful(self, listing: Listing) -> list[str]:
        """Those keys of a listing that may be markers."""
        return [key for key in self._doubtful if listing.knows(key) and key in listing]

    def settle(self, markers: Iterable[str]) -> None:
        """Notes which of the doubtful keys are markers."""
        for key in markers:
            self._note(self._doubtful[key], f"{key}/")

    def names_beside(self, keys: Iterable[str]) -> set[str]:
        """The names of all objects that are in the same folders as these keys."""
        prefixes = {key.rpartition("/")[0] + "/" for key in keys}
        pages = self._client().get_paginator("list_objects_v2")
        found: set[str] = set()
        with _boto_errors():
            for prefix in prefixes:
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, Delimiter="/"):
                    self.requests += 1
                    found.update(item["Key"].removeprefix(self._prefix) for item in page.get("Contents", []))
        return found

    def _page(self, folder: str, batch: RecordBatch, after: str) -> Page:
        """A page as obstore has listed it, without the names that are not lake keys."""
        keys, sizes = batch["path"].to_pylist(), batch["size"].to_pylist()
        last, is_full = max(after, *keys), len(keys) >= FULL
        if not are_plain(keys) or any(map(ge, [after, *keys], keys)):
            kept = self._lake_keys(folder, keys, after)
            batch = batch.take(Array(kept, type=DataType.uint64()))
            keys, sizes = [keys[at] for at in kept], [sizes[at] for at in kept]
        if 0 in sizes:
            self._doubtful |= {key: folder for key, size in zip(keys, sizes, strict=True) if not size}
        if any(map(str.startswith, keys[1:], keys)):
            self._doubtful |= {key: folder for key, below in pairwise(keys) if below.startswith(f"{key}/")}
        return Page(batch, [*keys[::_SAMPLE], *keys[-1:]], last, is_full)

    def _lake_keys(self, folder: str, keys: Sequence[str], after: str) -> list[int]:
        """The places of the lake keys among the names of a page, which come after a key."""
        kept = []
        for at, key in enumerate(keys):
            if key <= after:  # it is a marker, and the segment before this one may have listed it
                self._note(folder, f"{key}/")
                self._doubtful[key] = folder
            elif is_valid(key):
                kept.append(at)
            else:
                self._note(folder, key)
            after = max(after, key)
        return kept

    def _raw_page(self, folder: str, listed: Sequence[LakeObject], has_more: bool) -> Page:
        """A page as boto3 has listed it, without the names that are not lake keys."""
        kept = [have for have in listed if is_valid(have.key)]
        self._note(folder, *(have.key for have in listed if not is_valid(have.key)))
        return Page(batch_of(kept), [have.key for have in kept[::_SAMPLE]], listed[-1].key, has_more)

    def _list_names(self, prefix: str, after: str) -> tuple[list[LakeObject], bool]:
        """One page of the names as they are, and whether there are more. boto3 is slower than obstore."""
        start = {"StartAfter": self._prefix + after} if after > prefix else {}
        with _boto_errors():
            page = self._client().list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + prefix, **start)
        found = []
        for item in page.get("Contents", []):
            key, modified = item["Key"].removeprefix(self._prefix), item["LastModified"].astimezone(UTC)
            found.append(LakeObject(key, item["Size"], modified, item.get("ETag", "")))
        return found, page["IsTruncated"]

    def _note(self, folder: str, *names: str) -> None:
        """Notes names that are not lake keys."""
        if names:
            self.odd.setdefault(folder, set()).update(names)


@contextmanager
def _boto_errors() -> Iterator[None]:
    """A block whose errors of boto3 become an OSError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from None
