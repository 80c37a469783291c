"""S3 Inventories as AWS delivers them, made by tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

from arro3.core import Array, DataType, Field, RecordBatch, Schema
from arro3.io import write_parquet

from tasks.domain.assess.states import LakeObject

_TIME = DataType.timestamp("ms", tz="UTC")
_TYPES = {
    "bucket": (DataType.string(), "binary {} (STRING)"),
    "key": (DataType.string(), "binary {} (STRING)"),
    "version_id": (DataType.string(), "binary {} (STRING)"),
    "is_latest": (DataType.bool(), "boolean {}"),
    "is_delete_marker": (DataType.bool(), "boolean {}"),
    "size": (DataType.int64(), "int64 {}"),
    "last_modified_date": (_TIME, "int64 {} (TIMESTAMP(MILLIS,true))"),
    "e_tag": (DataType.string(), "binary {} (STRING)"),
    "storage_class": (DataType.string(), "binary {} (STRING)"),
}
_IN_CSV = {
    "bucket": "Bucket",
    "key": "Key",
    "version_id": "VersionId",
    "is_latest": "IsLatest",
    "is_delete_marker": "IsDeleteMarker",
    "size": "Size",
    "last_modified_date": "LastModifiedDate",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
}
COLUMNS = ("bucket", "key", "size", "last_modified_date", "e_tag", "storage_class")
ALL_VERSIONS = ("bucket", "key", "version_id", "is_latest", "is_delete_marker", *COLUMNS[2:])


def row_of(have: LakeObject, bucket: str = "lake", prefix: str = "", **change: Any) -> dict[str, Any]:
    """The row of an object of the lake."""
    row = {
        "bucket": bucket,
        "key": prefix + have.key,
        "version_id": "v1",
        "is_latest": True,
        "is_delete_marker": False,
        "size": have.size,
        "last_modified_date": have.modified,
        "e_tag": have.etag.strip('"'),
        "storage_class": "STANDARD",
    }
    return row | change


@dataclass
class Delivery:
    """An inventory as AWS delivers it, in the folder of one day. Its fields may be changed before it is delivered."""

    begun: datetime
    files: Sequence[Sequence[dict[str, Any]]]  # the rows of each file
    format: str = "Parquet"
    bucket: str = "lake"
    columns: Sequence[str] = COLUMNS
    prefix: str = "inventories/lake/daily"

    @property
    def folder(self) -> str:
        """The dated folder."""
        return f"{self.prefix}/{self.begun:%Y-%m-%dT%H-%MZ}"

    def objects(self) -> dict[str, bytes]:
        """The bodies of everything that is delivered, by key."""
        bodies = {self.key(number): self._body(rows) for number, rows in enumerate(self.files)}
        manifest = {
            "sourceBucket": self.bucket,
            "destinationBucket": "arn:aws:s3:::inventories",
            "version": "2016-11-30",
            "creationTimestamp": str(int(self.begun.timestamp() * 1000)),
            "fileFormat": self.format,
            "fileSchema": self._schema(),
            "files": [
                {"key": key, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()}
                for key, body in bodies.items()
            ],
        }
        return bodies | with_checksum(self.folder, json.dumps(manifest).encode())

    def key(self, number: int) -> str:
        """The key of a file."""
        return f"{self.prefix}/data/{self.begun:%d%H%M}-{number}.{'csv.gz' if self.format == 'CSV' else 'parquet'}"

    def _schema(self) -> str:
        if self.format == "CSV":
            return ", ".join(_IN_CSV[name] for name in self.columns)
        fields = " ".join(f"optional {_TYPES[name][1].format(name)};" for name in self.columns)
        return f"message s3.inventory {{  {fields}}}"

    def _body(self, rows: Sequence[dict[str, Any]]) -> bytes:
        if self.format == "CSV":
            lines = (",".join(f'"{_in_csv(name, row[name])}"' for name in self.columns) for row in rows)
            return gzip.compress("".join(f"{line}\n" for line in lines).encode())
        arrays = [_array(name, [row[name] for row in rows]) for name in self.columns]
        schema = Schema([Field(name, _TYPES[name][0]) for name in self.columns])
        file = io.BytesIO()
        write_parquet(
            RecordBatch.from_arrays(arrays, schema=schema), file, compression="snappy", skip_arrow_metadata=True
        )
        return file.getvalue()


def with_checksum(folder: str, manifest: bytes) -> dict[str, bytes]:
    """A manifest and its checksum, by key."""
    checksum = hashlib.md5(manifest).hexdigest().encode()
    return {f"{folder}/manifest.json": manifest, f"{folder}/manifest.checksum": checksum}


def _array(name: str, values: Iterable[Any]) -> Array:
    if name != "last_modified_date":
        return Array(list(values), _TYPES[name][0])
    times = [None if value is None else int(value.timestamp() * 1000) for value in values]
    return Array(times, DataType.int64()).cast(_TIME)


def _in_csv(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "key":
        return quote_plus(value, safe="/")
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value.year:04}-{value:%m-%dT%H:%M:%S.000Z}" if isinstance(value, datetime) else str(value)
