"""What a manifest says is read, and an inventory that cannot be used is refused, and it is said why."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.domain.inventories import Format, InventoryError, InventoryFile, Manifest, manifest_of, newest_first

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
# As AWS documents it:
CONTENT = {
    "sourceBucket": "example-source-bucket",
    "destinationBucket": "arn:aws:s3:::example-inventory-destination-bucket",
    "version": "2016-11-30",
    "creationTimestamp": "1514944800000",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass",
    "files": [
        {"key": "Inventory/data/939c6d46.csv.gz", "size": 2147483647, "MD5checksum": "F11166069F1990ABEB9C97ACE"}
    ],
}
PARQUET = (
    "message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); optional int64 size; "
    "optional int64 last_modified_date (TIMESTAMP(MILLIS,true)); optional binary e_tag (UTF8); }"
)


def _read(**change: Any) -> Manifest:
    body = json.dumps(CONTENT | change).encode()
    return manifest_of(body, hashlib.md5(body).hexdigest().encode() + b"\n")


def test_a_manifest_says_what_is_listed_as_of_when_and_where() -> None:
    manifest = _read()
    assert manifest.bucket == "example-source-bucket"
    assert manifest.begun == datetime(2018, 1, 3, 2, tzinfo=UTC)
    assert manifest.format is Format.CSV
    assert manifest.columns[1:8] == (
        *("key", "version_id", "is_latest", "is_delete_marker", "size", "last_modified_date", "e_tag"),
    )
    assert manifest.files == (InventoryFile("Inventory/data/939c6d46.csv.gz", 2147483647, "f11166069f1990abeb9c97ace"),)
    assert _read(fileFormat="Parquet", fileSchema=PARQUET).columns == (
        *("bucket", "key", "size", "last_modified_date", "e_tag"),
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"fileFormat": "ORC"}, "its files are ORC"),
        ({"fileSchema": "Bucket, Key"}, "it lacks the column Size, LastModifiedDate, ETag"),
        ({"fileSchema": "Bucket, Key, VersionId, Size, LastModifiedDate, ETag"}, "IsLatest, IsDeleteMarker"),
        ({"fileFormat": "Parquet", "fileSchema": PARQUET.replace("e_tag", "tag")}, "it lacks the column ETag"),
        ({"creationTimestamp": "yesterday"}, "not the manifest of an S3 Inventory"),
        ({"creationTimestamp": "9" * 30}, "not the manifest of an S3 Inventory"),
        ({"files": None}, "not the manifest of an S3 Inventory"),
        ({"files": [{"key": "x"}]}, "not the manifest of an S3 Inventory"),
    ],
)
def test_what_is_no_manifest_of_a_listing_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(InventoryError, match=why):
        _read(**change)


def test_a_manifest_with_another_checksum_is_refused() -> None:
    with pytest.raises(InventoryError, match=r"differs from its manifest\.checksum"):
        manifest_of(json.dumps(CONTENT).encode(), b"\xff")


@pytest.mark.parametrize(
    ("bucket", "age", "why"),
    [
        ("lake", timedelta(), None),
        ("lake", 2 * DAY, None),
        ("lake", 2 * DAY + timedelta(seconds=1), "longer ago than inventory.max_age"),
        ("lake", -timedelta(minutes=2), None),
        ("lake", -timedelta(minutes=3), "in the future"),
        ("lake2", DAY, "it lists the bucket lake, and the lake is in lake2"),
    ],
)
def test_only_a_recent_inventory_of_the_lakes_bucket_is_used(bucket: str, age: timedelta, why: str | None) -> None:
    manifest = Manifest("lake", NOW - age, Format.CSV, (), ())
    if why is None:
        manifest.check(bucket, NOW, 2 * DAY)
        return
    with pytest.raises(InventoryError, match=why):
        manifest.check(bucket, NOW, 2 * DAY)


def test_of_the_folders_the_dated_ones_count_and_the_newest_comes_first() -> None:
    folders = ["2026-01-02T01-00Z", "data", "hive", "2026-01-10T01-00Z", "2026-01-10T01-00Z-old"]
    assert newest_first(folders) == ["2026-01-10T01-00Z", "2026-01-02T01-00Z"]
