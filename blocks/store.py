"""How are the files of the lake listed, read and stored? In an S3 bucket or in a local folder."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import re
import stat
import tempfile
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Collection,
    Container,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

import obstore
from arro3.core import Array, DataType, RecordBatch
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, PreconditionError
from obstore.store import LocalStore, MemoryStore, S3Store

from blocks.aws_session import session_of_environment
from blocks.lake_keys import are_plain, is_valid
from blocks.listing import KeyRange, Listing
from blocks.packed_rows import batch_of
from blocks.part_files import part_file, remove_abandoned
from blocks.s3_pages import INVALID_NAME_ERRORS, S3Pages
from blocks.segments import Reading
from config.secrets import masked
from tasks.domain.assess.states import LakeObject
from tasks.domain.errors import HeadRefusedError, LakeError, NoObjectError, Reach, UnreadableError
from tasks.domain.expected.keys import outermost

if TYPE_CHECKING:  # importing boto3 takes half a second, and a local folder does not need it
    import boto3

log = logging.getLogger(__name__)

# Error numbers that concern one key, and those that concern its folder. All others concern the whole lake.
_OF_A_KEY = {errno.ENAMETOOLONG, errno.EISDIR, errno.ELOOP, errno.EILSEQ, errno.EFBIG, errno.EBUSY, errno.EINVAL}
_OF_A_FOLDER = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EROFS}
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_S3_OF_A_KEY = {"KeyTooLongError", "EntityTooLarge", "XMinioInvalidObjectName", "InvalidObjectState"}
_NO_BUCKET = "NoSuchBucket"
_MOST_CONFLICTS = 5  # attempts at storing an object that somebody else stores and removes meanwhile
_DOWNLOADED_TOGETHER = 4 * 1024 * 1024  # bytes of a large object that are written to a file at once
_MANY = 1000  # for this many names in one folder, listing the folder is faster than looking up each name
_PROBE = ".adce-probe"  # the key of a conditional write that always fails, so that nothing is ever stored there
_PROBE_BYTES = 64 * 1024  # size of the temporary file by which a local lake is tested
# Errors of S3 that concern one object. All others concern the lake or the caller's permissions.
_REFUSED_OBJECTS = {
    "InvalidObjectState": "it is archived; restore it",
    "AccessDenied": "access is denied; allow s3:GetObject, and kms:Decrypt if it is encrypted",
    "InvalidRequest": "S3 asks for an encryption key that ADCE does not have",  # SSE-C, server-side encryption
}
# What to do about the status of an answer that has no body
_REMEDIES = {
    "400": "the AWS credentials may have expired; renew them, and start again",
    "403": "allow s3:GetObject and s3:ListBucket",
}
# What to do if a HEAD request of one key is answered with such a status, and those of others are not
_REFUSED_HEADS = {
    "400": "it may be encrypted with a key that ADCE does not have (SSE-C); store it without",
    "403": "allow s3:GetObject of it, in the policies of the bucket and of the credentials",
}
_CONTENT_TYPES = {b"<": "text/html", b"{": "application/json", b"[": "application/json"}
_T = TypeVar("_T")
_Walked = tuple[list[LakeObject], list[str]]  # the objects, and the names that are not lake keys


class Put(NamedTuple):
    """The object under a key after an attempt at storing a body there."""

    have: LakeObject
    is_ours: bool  # False: the object is somebody else's, and was kept


class Store:
    """A lake at `file:///folder`, `file:relative/folder` or `s3://bucket/prefix`.

    Without a `session`, the credentials come from the standard AWS chain: environment, profile, role. `endpoint` is the
    address of an S3 service other than Amazon's. Every method that reads or writes raises LakeError.
    """

    def __init__(
        self, url: str, connections: int = 32, session: boto3.Session | None = None, endpoint: str | None = None
    ):
        self.url = url
        self.connections = connections
        self._session = session
        self._endpoint = endpoint
        self._store: Any = None
        self._list_requests = 0

    @property
    def folder(self) -> Path | None:
        """The local folder, or None for S3."""
        if not self.url.startswith("file:"):
            return None
        return Path(unquote(urlsplit(self.url).path)).absolute()

    @property
    def bucket(self) -> tuple[str, str] | None:
        """The S3 bucket and the prefix of the lake in it, which is empty or ends with a slash; None for a folder."""
        if self.folder is not None:
            return None
        parts = urlsplit(self.url)
        prefix = parts.path.strip("/")
        return parts.netloc.rpartition("@")[2], f"{prefix}/" if prefix else ""

    @property
    def address(self) -> str:
        """The URL in a canonical form, which is equal for all URLs of one lake. It contains no secret."""
        if self.folder is not None:
            return Path(os.path.abspath(self.folder)).as_uri()  # `..` is resolved, and links are not
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    def at(self, url: str) -> Store:
        """Another place of the same S3 service, read with the same credentials."""
        return Store(url, self.connections, self._session, self._endpoint)

    def take_list_requests(self) -> int:
        """How many LIST requests for files S3 has answered since this was asked last, even if a listing failed."""
        taken, self._list_requests = self._list_requests, 0
        return taken

    async def folder_names(self) -> Iterable[str]:
        """The names of the folders at the top."""
        with self._errors("listed"):
            level = await obstore.list_with_delimiter_async(self._open())
        return [folder.rstrip("/") for folder in level["common_prefixes"]]

    async def list(self, folders: Iterable[str], hints: Iterable[str] = ()) -> Listing:
        """All objects in these folders and the folders below.

        In S3, the folders are listed in many segments at once. `hints` are keys that divide them into segments of about
        a page, such as every 1,000th key of a former listing. They may be out of date, or any keys: it only takes
        longer. Names that are not valid lake keys are left out, with a warning in the log.
        """
        store = self._open()
        with self._errors("listed"):
            if isinstance(store, S3Store):
                return await self._list_s3(store, folders, hints)
            return await self._list_folders(folders, hints)

    async def list_ranges(self, folders: Iterable[str], ranges: Iterable[KeyRange]) -> Listing:
        """The objects in these folders, and the folders below, of which the keys lie in some ranges.

        The ranges are in order and have no key in common. The listing knows of no other keys. Only S3 lists in ranges:
        of a local folder, everything is listed.
        """
        store = self._open()
        if not isinstance(store, S3Store):
            return await self.list(folders)
        with self._errors("listed"):
            return await self._list_s3(store, folders, ranges=list(ranges))

    async def _list_s3(
        self,
        store: S3Store,
        folders: Iterable[str],
        hints: Iterable[str] = (),
        ranges: Sequence[KeyRange] | None = None,
    ) -> Listing:
        pages = self._pages(store)
        reading = Reading(pages.read, self.connections)
        try:
            if ranges is None:
                hints = sorted(hints)
                listing = Listing(await reading.read(folders, hints), reading.requests, hints)
            else:
                batches = await reading.read_ranges(folders, ranges)
                listing = Listing.of_ranges(ranges, batches, reading.requests)
            doubtful = pages.doubtful(listing)
            files = await self._files_among(doubtful, pages)
        finally:
            self._list_requests += reading.requests + pages.requests
        markers = [key for key in doubtful if key not in files]
        for key in markers:
            del listing[key]
        pages.settle(markers)
        for folder, odd in sorted(pages.odd.items()):
            self._warn_of_odd(folder, odd)
        listing.requests += pages.requests
        return listing

    async def files_among(self, keys: Collection[str]) -> tuple[Container[str], int]:
        """The names of files, as far as they are among these keys of a listing, and how many LIST requests that took.

        S3 may list an object as `a/1.json` of which the key is `a/1.json/`.
        """
        store = self._open()
        if not isinstance(store, S3Store):
            return keys, 0
        pages = self._pages(store)
        try:
            with self._errors("listed"):
                return await self._files_among(keys, pages), pages.requests
        finally:
            self._list_requests += pages.requests

    def _pages(self, store: S3Store) -> S3Pages:
        bucket, prefix, _, _ = self._s3_address()
        return S3Pages(store, self._boto_client, bucket, f"{prefix}/" if prefix else "")

    async def _files_among(self, keys: Collection[str], pages: S3Pages) -> Container[str]:
        """The names of files, as far as they are among these keys."""
        if len(keys) <= _MANY:
            with suppress(LakeError):  # a single object may be refused that is listed
                return await self.find_all(keys)
        return await asyncio.to_thread(pages.names_beside, keys)

    def _boto_client(self) -> Any:
        from botocore.config import Config as BotoConfig

        _, _, session, endpoint = self._s3_address()
        limits = BotoConfig(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 5})
        return session.client("s3", endpoint_url=endpoint, config=limits)

    async def _list_folders(self, folders: Iterable[str], hints: Iterable[str]) -> Listing:
        slots = asyncio.Semaphore(self.connections)
        batches = await _all_of(self._list_folder(folder, slots) for folder in outermost(folders))
        return Listing(batches, cuts=sorted(hints))

    async def _list_folder(self, folder: str, slots: asyncio.Semaphore) -> RecordBatch:
        """Lists a local folder."""
        odd: list[str] = []
        try:
            async with slots:
                batch = await self._open().list(prefix=folder + "/", return_arrow=True).collect_async()
        except BaseError as error:
            if not any(sign in str(error) for sign in INVALID_NAME_ERRORS):
                raise
            found, odd = await asyncio.to_thread(self._walk_folder, folder)
            batch = batch_of(found)
        keys = batch["path"].to_pylist()
        kept: Iterable[int] = range(len(keys))
        if not are_plain(keys):
            kept = [at for at, key in enumerate(keys) if is_valid(key)]
            odd += [key for key in keys if not is_valid(key)]
        self._warn_of_odd(folder, odd)
        places = sorted(kept, key=keys.__getitem__)  # a file system lists in any order
        in_order: RecordBatch = batch.take(Array(places, type=DataType.uint64()))
        return in_order

    def _warn_of_odd(self, folder: str, names: Collection[str]) -> None:
        if names:
            text = "lake %s: names in %s that are not lake keys are left out: %d, such as %r"
            log.warning(text, self.address, folder, len(names), min(names))

    def _walk_folder(self, folder: str) -> _Walked:
        """Lists a local folder in which a name is not a lake key, so that obstore cannot list it."""
        assert self.folder is not None
        if _is_loop(self.folder / folder):
            return [], [folder]
        found, odd = [], []
        for base, inner, names in os.walk(self.folder / folder, onerror=_raise_unless_missing, followlinks=True):
            here = Path(base).relative_to(self.folder)
            loops = {name for name in (*inner, *names) if _is_loop(Path(base, name))}
            inner[:] = [name for name in inner if name not in loops]
            odd += [(here / name).as_posix() for name in sorted(loops)]
            for key in ((here / name).as_posix() for name in names if name not in loops):
                if not is_valid(key):
                    odd.append(key)
                elif (self.folder / key).is_file():
                    with suppress(FileNotFoundError):  # it has been removed meanwhile
                        found.append(_object(key, obstore.head(self._open(), key)))
        return found, odd

    async def get(self, key: str) -> tuple[bytes, LakeObject]:
        """The body of an object, and the version that was read.

        Raises NoObjectError or UnreadableError for an error that concerns only this key, and LakeError for any other.
        """
        try:
            answer = await obstore.get_async(self._open(), valid_key(key))
            body = bytes(await answer.bytes_async())
        except (BaseError, OSError) as error:
            raise self._read_error(key, error) from None
        return body, _object(key, answer.meta)

    async def download(self, key: str, file: Path) -> str:
        """Writes the body of an object to a local file, and returns its MD5.

        Raises the same errors as `get`, and OSError if the local file cannot be written.
        """
        digest = hashlib.md5(usedforsecurity=False)
        with file.open("wb") as local:
            async with aclosing(self._chunks(key)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(digest.update, chunk)
                    await asyncio.to_thread(local.write, chunk)
        return digest.hexdigest()

    async def _chunks(self, key: str) -> AsyncGenerator[bytes]:
        """The body of an object, in parts. Raises the same errors as `get`."""
        try:
            answer = await obstore.get_async(self._open(), valid_key(key))
            async for chunk in answer.stream(min_chunk_size=_DOWNLOADED_TOGETHER):
                yield chunk
        except (BaseError, OSError) as error:
            raise self._read_error(key, error) from None

    async def get_many(self, keys: Iterable[str]) -> AsyncIterator[tuple[str, bytes | LakeError, LakeObject | None]]:
        """The bodies of many objects, in the order in which they arrive. At most `connections` are read at a time.

        If an object cannot be read, its error is returned instead of a body.
        """
        pending: set[asyncio.Task[tuple[str, bytes | LakeError, LakeObject | None]]] = set()

        async def one(key: str) -> tuple[str, bytes | LakeError, LakeObject | None]:
            try:
                return key, *(await self.get(key))
            except LakeError as error:
                return key, error, None

        try:
            for key in keys:
                pending.add(asyncio.create_task(one(key)))
                if len(pending) >= self.connections:
                    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            for future in asyncio.as_completed(pending):
                yield await future
        finally:
            for task in pending:
                task.cancel()

    async def put(self, key: str, body: bytes, replaces: LakeObject | None = None) -> Put:
        """Stores a body, completely or not at all. A reader never sees a part of it.

        The body replaces only the version `replaces`. If that is None or was removed, the body is stored if there is no
        object. If somebody else has stored another version meanwhile, that version is kept. A local folder has no
        conditional write, so the version is compared immediately before it is replaced.
        """
        valid_key(key)
        if self.folder is not None:
            return await asyncio.to_thread(self._put_file, key, body, replaces)
        for _ in range(_MOST_CONFLICTS):
            stored_as = await self._put_object(key, body, replaces)
            have = await self.find(key)
            if have is not None:
                return Put(have, have.etag == stored_as or await self._holds(have, body))
            replaces = None
        raise self._always_removed(key)

    async def _put_object(self, key: str, body: bytes, replaces: LakeObject | None) -> str | None:
        """Stores a body in S3. Returns its ETag, or None if the object under the key is not the version to replace."""
        mode: Any = {"e_tag": replaces.etag} if replaces is not None and replaces.etag else "create"
        kind = _CONTENT_TYPES.get(body.lstrip()[:1], "application/octet-stream")
        try:
            put = await obstore.put_async(self._open(), key, body, mode=mode, attributes={"Content-Type": kind})
        except (BaseError, OSError) as error:
            if _is_conflict(error):
                return None
            raise self._error(f"written at {key}", error) from None
        return put["e_tag"]

    async def _holds(self, have: LakeObject, body: bytes) -> bool:
        """Does an object have this body? It does if an earlier attempt succeeded and only its answer was lost."""
        if have.size != len(body):
            return False
        try:
            return (await self.get(have.key))[0] == body
        except LakeError:
            return False

    def _put_file(self, key: str, body: bytes, replaces: LakeObject | None) -> Put:
        """Stores a body in a local folder: writes a temporary file, and gives it its name at the end."""
        assert self.folder is not None
        path = self.folder / key
        with self._errors(f"written at {key}"):
            if not self.folder.is_dir():
                raise LakeError(f"lake {self.address}: the folder is not there any more")
            path.parent.mkdir(parents=True, exist_ok=True)
            with part_file(path, body) as part:
                mine = part.stat().st_ino
                for _ in range(_MOST_CONFLICTS):
                    self._rename(part, path, key, replaces)
                    with suppress(FileNotFoundError):  # it has been removed meanwhile
                        have = _object(key, obstore.head(self._open(), key))
                        is_ours = path.stat().st_ino == mine or (have.size == len(body) and path.read_bytes() == body)
                        return Put(have, is_ours)
                    replaces = None
        if obstacle := _obstacle_at(path):
            raise LakeError(f"lake {self.address}: {obstacle} stands at {key}; remove it", Reach.KEY)
        raise self._always_removed(key)

    def _always_removed(self, key: str) -> LakeError:
        return LakeError(f"lake {self.address}: {key} is removed as soon as it is written; find out by whom", Reach.KEY)

    def _rename(self, part: Path, path: Path, key: str, replaces: LakeObject | None) -> None:
        """Gives a temporary file its final name, if no file has that name or that file is the version to replace."""
        if replaces is not None:
            with suppress(FileNotFoundError):
                if _object(key, obstore.head(self._open(), key)).etag == replaces.etag:
                    part.replace(path)
            return
        try:
            path.hardlink_to(part)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if not path.exists():
                part.replace(path)

    async def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Removes what writers that have died have left half-written in these folders. S3 keeps nothing like that."""
        for folder in folders:
            if self.folder and (count := await asyncio.to_thread(remove_abandoned, self.folder / folder)):
                log.info("lake %s: half-written files of killed runs removed from %s: %s", self.address, folder, count)

    async def check_writable(self, folders: Iterable[str]) -> None:
        """Raises LakeError if none of the folders can be written. Nothing is left behind in the lake."""
        if self.folder is not None:
            await asyncio.to_thread(self._check_folder_writable, self.folder)
            return
        denied = None
        for folder in folders:
            try:  # S3 first checks the permission, and then fails because no object has this ETag
                await obstore.put_async(self._open(), f"{folder}/{_PROBE}", b"", mode={"e_tag": '"0"'})
            except (BaseError, OSError) as error:
                if _is_conflict(error):
                    return
                denied = self._error("written", error)
                if denied.reach is not Reach.FOLDER:
                    break
        if denied:
            raise LakeError(str(denied))

    async def check_usable(self, folders: Iterable[str]) -> None:
        """Raises LakeError if this cannot become a lake: it cannot be read and written, or its folder cannot be made.

        Nothing is left behind.
        """
        self.check()
        if self.folder is not None and not self.folder.exists():
            nearest = next(path for path in self.folder.parents if path.exists())
            await asyncio.to_thread(self._check_folder_writable, nearest)
        else:
            await self.check_writable(folders)

    def _check_folder_writable(self, folder: Path) -> None:
        """Writes a temporary file to a folder and removes it. Raises LakeError if that fails."""
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
        except OSError as error:
            what = "the folder" if folder == self.folder else f"its folder cannot be made, because {folder}"
            raise LakeError(f"lake {self.address}: {what} cannot be written: {error.strerror}") from None

    async def is_empty(self) -> bool:
        """Is the lake completely empty, even of files that are not ADCE's?"""
        if self.folder is not None:
            return not self.folder.is_dir() or not any(self.folder.iterdir())
        with self._errors("listed"):
            level = await obstore.list_with_delimiter_async(self._open())
        return not (level["objects"] or level["common_prefixes"])

    async def holds_any(self, folders: Iterable[str]) -> bool:
        """Does one of the folders contain an object? At most one page of each folder is listed."""
        with self._errors("listed"):
            for folder in folders:
                if await (asyncio.to_thread(self._any_file, folder) if self.folder else self._any_object(folder)):
                    return True
        return False

    def _any_file(self, folder: str) -> bool:
        assert self.folder is not None
        return any(names for _, _, names in os.walk(self.folder / folder, onerror=_raise_unless_missing))

    async def _any_object(self, folder: str) -> bool:
        try:
            async for batch in self._open().list(prefix=folder + "/", chunk_size=1):
                if batch[0]["path"] != folder:  # some programs store an object for the folder itself
                    return True
        except BaseError as error:
            if not any(sign in str(error) for sign in INVALID_NAME_ERRORS):
                raise
            return True
        return False

    async def find(self, key: str) -> LakeObject | None:
        """The object under a key; None if there is none."""
        with self._errors(f"read at {key}"), suppress(FileNotFoundError):
            return _object(key, await obstore.head_async(self._open(), valid_key(key)))
        return None

    async def find_all(self, keys: Iterable[str]) -> dict[str, LakeObject]:
        """The objects under these keys, by key. Keys without an object are left out."""
        slots = asyncio.Semaphore(self.connections)

        async def one(key: str) -> LakeObject | None:
            async with slots:
                return await self.find(key)

        return {have.key: have for have in await asyncio.gather(*map(one, keys)) if have}

    async def find_each(self, keys: Iterable[str]) -> tuple[dict[str, LakeObject], dict[str, HeadRefusedError]]:
        """The objects under these keys, and the refusals of S3 to tell of one, both by key. Other errors are raised."""
        slots = asyncio.Semaphore(self.connections)
        refused: dict[str, HeadRefusedError] = {}

        async def one(key: str) -> LakeObject | None:
            async with slots:
                try:
                    return await self.find(key)
                except HeadRefusedError as error:
                    refused[key] = error
                    return None

        return {have.key: have for have in await asyncio.gather(*map(one, keys)) if have}, refused

    def obstacles(self, keys: Iterable[str]) -> dict[str, str]:
        """For each key, what stands at it instead of a file, such as "a folder". Keys without an obstacle are left out.

        It is slow for keys under which there is a file. S3 has no obstacles.
        """
        if self.folder is None:
            return {}
        names: dict[str, set[str]] = {}  # by folder
        for key in keys:
            folder, _, name = key.rpartition("/")
            names.setdefault(folder, set()).add(name)
        found = {}
        for folder, wanted in names.items():
            place = self.folder / folder
            if not place.is_dir():  # the folder may not exist before the first fill
                continue
            for name in wanted if len(wanted) < _MANY else wanted & _no_files(place):
                if obstacle := _obstacle_at(place / name):
                    found[f"{folder}/{name}"] = obstacle
        return found

    def check(self, *, create: bool = False) -> None:
        """Raises LakeError if this cannot be a lake. With `create`, a local folder that is missing is created."""
        if self.folder is not None:
            nearest = next(path for path in (self.folder, *self.folder.parents) if path.exists())
            if not nearest.is_dir():
                raise LakeError(f"lake {self.address}: {nearest} is a file, not a folder")
        if self.folder is not None and create:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LakeError(f"lake {self.address}: the folder cannot be written: {error.strerror}") from None
            self._check_folder_writable(self.folder)
        if self.folder is not None and self.folder.exists() and not os.access(self.folder, os.R_OK | os.X_OK):
            raise LakeError(f"lake {self.address}: the folder cannot be read; check its permissions")
        self._open()

    def _open(self) -> Any:
        if self._store is None or (isinstance(self._store, MemoryStore) and self.folder and self.folder.exists()):
            self._store = self._local() if self.folder is not None else self._s3()
        return self._store

    def _local(self) -> Any:
        assert self.folder is not None
        if not self.folder.exists():
            return MemoryStore()  # an empty lake: reading does not create the folder
        return LocalStore(self.folder)

    def _s3_address(self) -> tuple[str, str, boto3.Session, str | None]:
        """The bucket, the prefix, the session with credentials, and the endpoint if it is not Amazon's."""
        parts = urlsplit(self.url)
        session = self._session or session_of_environment()
        endpoint = self._endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", endpoint):
            raise LakeError(f"lake {self.address}: the endpoint {endpoint!r} is no http address; see AWS_ENDPOINT_URL")
        return parts.netloc, parts.path.strip("/"), session, endpoint

    def _s3(self) -> S3Store:
        from obstore.auth.boto3 import Boto3CredentialProvider

        bucket, prefix, session, endpoint = self._s3_address()
        if session.get_credentials() is None:
            raise LakeError(f"lake {self.address}: no AWS credentials; set them in the environment or name a block")
        return S3Store(
            bucket,
            prefix=prefix or None,
            region=session.region_name or "us-east-1",
            credential_provider=Boto3CredentialProvider(session),
            client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(minutes=1)},
            config={"endpoint": endpoint} if endpoint else None,
        )

    def _read_error(self, key: str, error: Exception) -> LakeError:
        """The error for a body that could not be read. It concerns only this object if the cause is known to."""
        lake_error, message = self._error(f"read at {key}", error), _message(error)
        if isinstance(error, FileNotFoundError):
            return lake_error
        if self.folder is not None:
            cause = f"{_cause(error)}; look at its permissions and its disk"
        elif message in _REFUSED_OBJECTS or "KMS" in message:
            cause = f"{_REFUSED_OBJECTS.get(message, 'its encryption key cannot be used')} ({message})"
        else:
            return lake_error
        return UnreadableError(str(lake_error), cause)

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        """A block whose errors of the file system and of S3 become a LakeError; see `_error` for the `action`."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise self._error(action, error) from None

    def _error(self, action: str, error: Exception) -> LakeError:
        """The LakeError for a failed action: "listed", "written", "written at KEY" or "read at KEY"."""
        text = f"lake {self.address} cannot be {action}: {_message(error)}"
        reach = _reach(error)
        if action.startswith("read at"):
            if isinstance(error, FileNotFoundError) and _NO_BUCKET not in str(error):
                return NoObjectError(
                    f"lake {self.address} cannot be {action}: {self._why_missing(action.removeprefix('read at '))}"
                )
            reach = Reach.KEY if reach is Reach.FOLDER else reach
            if (status := _status(error)) and (remedy := _REFUSED_HEADS.get(status[:3])):
                alone = f"lake {self.address} cannot be {action}, but other files can: S3 answers {status}; {remedy}"
                return HeadRefusedError(text, reach, alone)
        return LakeError(text, reach)

    def _why_missing(self, key: str) -> str:
        """Why there is no object under a key."""
        if self.folder is None:
            return "there is no such object"
        if not self.folder.exists():
            return f"there is no folder {self.folder}"
        obstacle = _obstacle_at(self.folder / key)
        return f"{obstacle} stands there" if obstacle else "there is no such file"


def _object(key: str, meta: Any) -> LakeObject:
    return LakeObject(key, meta["size"], meta["last_modified"], meta["e_tag"] or "")


async def _all_of(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Runs coroutines concurrently, waits for all of them, and then raises the first error, if there was one.

    Unlike plain gather, no coroutine is still running when this raises.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(list[_T], results)


def _is_loop(path: Path) -> bool:
    """Is this path a link to itself or to a folder that contains it?"""
    if not path.is_symlink():
        return False
    try:
        return path.parent.resolve().is_relative_to(path.resolve(strict=True))
    except FileNotFoundError:
        return False
    except (OSError, RuntimeError):
        return True


def _no_files(folder: Path) -> set[str]:
    """The names in a folder that are not those of files."""
    with suppress(OSError), os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.is_file(follow_symlinks=False)}
    return set()


def _obstacle_at(path: Path) -> str | None:
    """What is at a path instead of a file, in words; None if there is a file or nothing."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None
    kind = "a folder"
    if stat.S_ISLNK(mode):
        try:
            mode, kind = os.stat(path).st_mode, "a link to a folder"
        except OSError:
            return "a dangling link"
    if stat.S_ISDIR(mode):
        return kind
    return None if stat.S_ISREG(mode) else "something that is not a file"


def _raise_unless_missing(error: OSError) -> None:
    """Raises the error, unless it says that a file or folder does not exist."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_conflict(error: Exception) -> bool:
    """Did a conditional write fail because the object under the key is not the version to replace?"""
    return isinstance(error, AlreadyExistsError | PreconditionError) and _NO_BUCKET not in str(error)


def _reach(error: Exception) -> Reach:
    """How much of the lake an error concerns: a key, its folder, or the whole lake."""
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(found[1])
    if number in _OF_A_KEY:
        return Reach.KEY
    code = re.search(r"<Code>(\w+)</Code>", str(error))
    if code and code[1] in _S3_OF_A_KEY:
        return Reach.KEY
    is_denied = isinstance(error, PermissionDeniedError) and (code is None or code[1] == "AccessDenied")
    return Reach.FOLDER if is_denied or number in _OF_A_FOLDER else Reach.LAKE


def _message(error: Exception) -> str:
    """The message of an error, without the details that obstore adds to it, and without secrets."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = masked(str(error))  # masked before it is cut, because half a secret would not be recognised
    if code := re.search(r"<Code>([\w.]+)</Code>", text):  # the XML of an S3 error
        return code[1]
    if status := _status(error):
        remedy = _REMEDIES.get(status[:3])
        return f"S3 answers {status}{f'; {remedy}' if remedy else ''}"
    if "error sending request" in text and (host := re.search(r"https?://[^\s/?]+", text)):
        cause = re.search(r'\b(?:message|error): "([^"]+)"', text)
        return f"{host[0]} does not answer: {cause[1] if cause else 'the time is up'}"
    return _first_line(error)


def _status(error: Exception) -> str | None:
    """The status in an error of S3, as of the answer to a HEAD request, which has no body: "403 Forbidden"."""
    found = re.search(r"non-2xx status code: (\d+ [\w ]*\w)", str(error))
    return found[1] if found else None


def _cause(error: Exception) -> str:
    """The operating system's message in an error, without the path before it and the number after it."""
    return _first_line(error).rpartition(": ")[2].partition(" (os error")[0]


def _first_line(error: Exception) -> str:
    return (masked(str(error)).strip() or type(error).__name__).splitlines()[0][:300]


def valid_key(key: str) -> str:
    """Returns the key. Raises LakeError for a key that would lie outside the lake, or that a listing would not show."""
    if not is_valid(key):
        raise LakeError(f"{key!r} is not a lake key")
    return key
