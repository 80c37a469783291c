"""The lake: an S3 bucket or a local folder, behind four verbs."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterable
from datetime import UTC
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

import boto3
import obstore
from botocore.exceptions import BotoCoreError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, S3Store
from prefect.blocks.core import Block
from prefect_aws import AwsCredentials
from pydantic.v1 import Field, PrivateAttr  # blocks are models of pydantic 1 in Prefect 2

from tasks.domain.errors import LakeError
from tasks.domain.states import LakeObject

log = logging.getLogger(__name__)

# What the store says when it meets a name that is no path of its own: an empty or dotted segment, a control
# character, a link to itself.
_FOREIGN_NAMES = ("invalid path", "path segment", "llegal character", "Too many levels", "loop")
_CONTENT_TYPES = {b"<": "text/html", b"{": "application/json", b"[": "application/json"}


class Lake(Block):
    """Where the files are kept. `file:///folder`, `file:relative/folder` or `s3://bucket/prefix`."""

    _block_type_name = "ADCE Lake"
    _block_type_slug = "adce-lake"

    url: str = Field(..., description="file:///folder or s3://bucket/prefix")
    aws_credentials: Optional[AwsCredentials] = Field(  # noqa: UP045 (pydantic 1 reads no `X | None` of models)
        default=None, description="Without them, the standard AWS chain: environment, profile, role."
    )
    connections: int = Field(default=32, ge=1, le=256)

    _store: Any = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """The local folder, or None for S3."""
        if not self.url.startswith("file:"):
            return None
        return Path(unquote(urlsplit(self.url).path)).absolute()

    async def list(self, folders: Iterable[str]) -> dict[str, LakeObject]:
        """All objects under the folders, by key. The folders are listed in parallel."""
        store = self._open()
        found: dict[str, LakeObject] = {}

        async def one(folder: str) -> None:
            try:
                async for batch in store.list(prefix=folder + "/", chunk_size=1000):
                    for meta in batch:
                        found[meta["path"]] = _object(meta["path"], meta)
            except BaseError as error:
                if not any(sign in str(error) for sign in _FOREIGN_NAMES):
                    raise
                log.warning("lake %s: an odd name in %s is passed over: %s", self.url, folder, _first_line(error))
                found.update(await asyncio.to_thread(self._list_by_name, folder))

        try:
            async with asyncio.TaskGroup() as group:  # when one fails, the others are stopped
                for folder in folders:
                    group.create_task(one(folder))
        except ExceptionGroup as errors:
            if not isinstance(first := errors.exceptions[0], BaseError | OSError | BotoCoreError):
                raise
            raise self._error("listed", first) from None
        return found

    def _list_by_name(self, folder: str) -> dict[str, LakeObject]:
        """A folder in which the store stumbles over somebody else's odd name: every valid name is looked at."""
        if self.folder is not None:
            names = (
                Path(base, name).relative_to(self.folder).as_posix()
                for base, _, names in os.walk(self.folder / folder)
                for name in names
                if Path(base, name).is_file()
            )
        else:
            bucket, prefix, session, endpoint = self._s3_address()
            root = f"{prefix}/" if prefix else ""
            pages = session.client("s3", endpoint_url=endpoint).get_paginator("list_objects_v2")
            names = (
                item["Key"].removeprefix(root)
                for page in pages.paginate(Bucket=bucket, Prefix=f"{root}{folder}/")
                for item in page.get("Contents", [])
            )
        valid = [name for name in names if _is_valid(name)]
        return {name: _object(name, obstore.head(self._open(), name)) for name in valid}

    async def get(self, key: str) -> tuple[bytes, LakeObject]:
        """The body of a key, and what was read."""
        try:
            answer = await obstore.get_async(self._open(), valid_key(key))
            body = bytes(await answer.bytes_async())
        except (BaseError, OSError) as error:
            raise self._error(f"read at {key}", error) from None
        return body, _object(key, answer.meta)

    async def get_many(self, keys: Iterable[str]) -> AsyncIterator[tuple[str, bytes | LakeError, LakeObject | None]]:
        """The bodies of many keys as they come, `connections` at a time; an error in place of an unreadable one."""
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

    async def put(self, key: str, body: bytes, replaces: LakeObject | None = None) -> LakeObject:
        """Stores a body whole or not at all; a reader never sees a part of it.

        It is stored over the version `replaces` (None: over nothing) and over no other: what somebody else
        stored meanwhile stays, and is returned. A local folder cannot compare versions when it replaces.
        """
        store = self._open()
        mode: Any = "create" if replaces is None else "overwrite"
        if replaces is not None and replaces.etag and isinstance(store, S3Store):
            mode = {"e_tag": replaces.etag}
        kind = _CONTENT_TYPES.get(body.lstrip()[:1], "application/octet-stream")
        attributes = {"Content-Type": kind} if isinstance(store, S3Store) else None
        try:
            await obstore.put_async(store, valid_key(key), body, mode=mode, attributes=attributes)
        except (AlreadyExistsError, PreconditionError):
            pass
        except (BaseError, OSError) as error:
            raise self._error(f"written at {key}", error) from None
        return await self.head(key)

    async def head(self, key: str) -> LakeObject:
        try:
            meta = await obstore.head_async(self._open(), valid_key(key))
        except (BaseError, OSError) as error:
            raise self._error(f"read at {key}", error) from None
        return _object(key, meta)

    def check(self, *, create: bool = False) -> None:
        """Raises LakeError when this cannot be a lake; with `create`, makes a local folder that is not there yet."""
        if self.folder is not None:
            nearest = next(path for path in (self.folder, *self.folder.parents) if path.exists())
            if not nearest.is_dir():
                raise LakeError(f"lake {self.url}: {nearest} is a file, not a folder")
        if self.folder is not None and create:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.folder):
                    pass
            except OSError as error:
                raise LakeError(f"lake {self.url}: the folder cannot be written: {error.strerror}") from None
        if self.folder is not None and self.folder.exists() and not os.access(self.folder, os.R_OK | os.X_OK):
            raise LakeError(f"lake {self.url}: the folder cannot be read; check its permissions")
        self._open()

    def _open(self) -> Any:
        if self._store is None:
            self._store = self._local() if self.folder is not None else self._s3()
        return self._store

    def _local(self) -> Any:
        assert self.folder is not None
        if not self.folder.exists():
            return obstore.store.MemoryStore()  # nothing there yet, and looking does not make it
        return LocalStore(self.folder)

    def _s3_address(self) -> tuple[str, str, boto3.Session, str | None]:
        """Bucket, prefix, and how to reach them."""
        parts = urlsplit(self.url)
        credentials = self.aws_credentials
        session = credentials.get_boto3_session() if credentials else boto3.Session()
        endpoint = credentials.aws_client_parameters.endpoint_url if credentials else None
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return parts.netloc, parts.path.strip("/"), session, endpoint

    def _s3(self) -> S3Store:
        bucket, prefix, session, endpoint = self._s3_address()
        if session.get_credentials() is None:
            raise LakeError(f"lake {self.url}: no AWS credentials; set them in the environment or name a block")
        return S3Store(
            bucket,
            prefix=prefix or None,
            region=session.region_name or "us-east-1",
            credential_provider=Boto3CredentialProvider(session),
            client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
            retry_config={"max_retries": 4},
            config={"endpoint": endpoint} if endpoint else None,
        )

    def _error(self, what: str, error: Exception) -> LakeError:
        code = re.search(r"<Code>(\w+)</Code>", str(error))  # S3 says in XML what it means
        return LakeError(f"lake {self.url} cannot be {what}: {code[1] if code else _first_line(error)}")


def _object(key: str, meta: Any) -> LakeObject:
    return LakeObject(key, meta["size"], meta["last_modified"].astimezone(UTC), meta["e_tag"] or "")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def valid_key(key: str) -> str:
    """The key itself. Raises LakeError for one that could leave the lake or hide in a listing."""
    if not _is_valid(key):
        raise LakeError(f"{key!r} is not a lake key")
    return key


def _is_valid(key: str) -> bool:
    parts = key.split("/")
    return (
        0 < len(key) <= 900
        and not any(part in ("", ".", "..") for part in parts)
        and key.isprintable()
        and "\\" not in key
    )
