"""Can an S3 Inventory stand in for a listing of the lake? Its manifest says what it lists, and as of when."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from tasks.domain.errors import AdceError
from tasks.domain.times import SKEW
from tasks.domain.wording import duration, utc

_DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\dZ")  # the folders in which AWS delivers manifests
# The columns by their names in Parquet; CSV has others.
_COLUMNS = {
    "Bucket": "bucket",
    "Key": "key",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
}
_NEEDED = ("Key", "Size", "LastModifiedDate", "ETag")


class InventoryError(AdceError):
    """The inventory cannot be used. The message says why in one line, and what to do."""


class Format(StrEnum):
    """The format of the files of an inventory."""

    CSV = "CSV"
    PARQUET = "Parquet"


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """A file of an inventory, as its manifest describes it."""

    key: str
    size: int
    md5: str


@dataclass(frozen=True)
class Manifest:
    """What an inventory consists of. The objects are listed from `begun` on, for hours perhaps."""

    bucket: str  # the one whose objects it lists
    begun: datetime
    format: Format
    columns: tuple[str, ...]  # as they are named in Parquet
    files: tuple[InventoryFile, ...]

    def check(self, bucket: str, now: datetime, max_age: timedelta) -> None:
        """Raises InventoryError if this is not an inventory of the bucket, or not a recent one."""
        if self.bucket != bucket:
            raise InventoryError(f"it lists the bucket {self.bucket}, and the lake is in {bucket}; name another one")
        if self.begun > now + SKEW:
            raise InventoryError(f"it is of {utc(self.begun)}, which is in the future; check the clocks")
        if now - self.begun > max_age:
            raise InventoryError(
                f"it is of {utc(self.begun)}, which is longer ago than inventory.max_age, {duration(max_age)}; "
                "look whether AWS still delivers it",
            )


def newest_first(folders: Iterable[str]) -> list[str]:
    """The dated folders among those of an inventory, the newest first."""
    return sorted((name for name in folders if _DATED.fullmatch(name)), reverse=True)


def manifest_of(body: bytes, checksum: bytes) -> Manifest:
    """The manifest in a file manifest.json, whose MD5 is in the file manifest.checksum. Raises InventoryError."""
    if hashlib.md5(body, usedforsecurity=False).hexdigest() != checksum.decode("ascii", "replace").strip().lower():
        raise InventoryError("manifest.json differs from its manifest.checksum; wait for the next one")
    try:
        content = json.loads(body)
        written, schema = str(content["fileFormat"]), str(content["fileSchema"])
        begun = datetime.fromtimestamp(int(content["creationTimestamp"]) / 1000, UTC)
        files = tuple(_file(one) for one in content["files"])
        bucket = str(content["sourceBucket"])
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        raise InventoryError("manifest.json is not the manifest of an S3 Inventory") from None
    if written not in tuple(Format):
        raise InventoryError(f"its files are {written}, which ADCE does not read; have it delivered as Parquet or CSV")
    return Manifest(bucket, begun, Format(written), _columns(Format(written), schema), files)


def _file(content: Any) -> InventoryFile:
    return InventoryFile(str(content["key"]), int(content["size"]), str(content["MD5checksum"]).lower())


def _columns(written: Format, schema: str) -> tuple[str, ...]:
    """The columns of a schema. Raises InventoryError if one is lacking that a listing needs."""
    if written is Format.CSV:
        names = tuple(_COLUMNS.get(name.strip(), name.strip()) for name in schema.split(","))
    else:
        names = tuple(re.findall(r"(?:required|optional)\s+\w+\s+(\w+)", schema))
    lacking = [name for name in _NEEDED if _COLUMNS[name] not in names]
    if "version_id" in names:  # then it lists all versions of an object
        lacking += [name for name in ("IsLatest", "IsDeleteMarker") if _COLUMNS[name] not in names]
    if lacking:
        raise InventoryError(f"it lacks the column {', '.join(lacking)}; add it to the inventory")
    return names
