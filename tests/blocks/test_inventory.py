"""An S3 Inventory is read as a listing would be, or it is said why it cannot be used."""

import asyncio
import errno
import gzip
import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from blocks import inventory
from blocks.inventory import Inventory, read_inventory
from blocks.store import Store
from tasks.domain.assess.states import LakeObject
from tasks.domain.inventories import InventoryError
from tests.inventories import ALL_VERSIONS, Delivery, row_of, with_checksum
from tests.servers import http_server, use_s3

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PLACE = "s3://inventories/inventories/lake/daily"
HAVE = [
    LakeObject(f"{folder}/{n}.json", 1000 + n, NOW - 30 * DAY + n * DAY, f'"{n:032x}"')
    for folder in ("boards", "games/a", "games/b é+%20", "other")
    for n in range(10)
]
ROWS = [row_of(have, prefix="nba/") for have in HAVE]


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, bytes]], None]]:
    """Puts bodies into the bucket of inventories, which is empty again afterwards."""
    use_s3(monkeypatch, s3)
    client, keys = boto3.client("s3"), list[str]()
    client.create_bucket(Bucket="inventories")

    def put(bodies: dict[str, bytes]) -> None:
        for key, body in bodies.items():
            client.put_object(Bucket="inventories", Key=key, Body=body)
            keys.append(key)

    yield put
    for key in keys:
        client.delete_object(Bucket="inventories", Key=key)


def _read(
    lake: str = "s3://lake/nba", address: str = PLACE, folders: tuple[str, ...] = ("games", "boards")
) -> Inventory:
    return asyncio.run(read_inventory(Store(lake), address, folders, NOW, 2 * DAY))


def _why_not(lake: str = "s3://lake/nba", address: str = PLACE) -> str:
    """Why the inventory cannot be used."""
    with pytest.raises(InventoryError) as error:
        _read(lake, address)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("written", ["Parquet", "CSV"])
def test_the_newest_complete_inventory_is_read_like_a_listing_of_some_folders(
    bucket: Callable[[dict[str, bytes]], None], written: str
) -> None:
    """Keys, sizes, times and ETags are those of a listing, whichever files the rows are in, and in whichever order."""
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    marker = row_of(HAVE[0], key="nba/games/c/")
    delivered = Delivery(NOW - DAY, [ROWS[::3], ROWS[1::3], [], [*shuffled, marker]], written)
    bucket(delivered.objects())
    bucket(Delivery(NOW - 1.5 * DAY, [ROWS[:1]], written).objects())
    incomplete = Delivery(NOW, [ROWS[:1]], written)
    bucket({key: body for key, body in incomplete.objects().items() if not key.endswith(".checksum")})
    found = _read()
    assert found.as_of == NOW - DAY
    assert found.objects == {have.key: have for have in HAVE if not have.key.startswith("other/")}
    assert list(found.objects) == sorted(found.objects)
    assert _read(address=f"{PLACE}/{delivered.folder.rpartition('/')[2]}/manifest.json").objects == found.objects


def test_folders_of_which_one_name_continues_the_other_come_in_the_order_of_keys(
    bucket: Callable[[dict[str, bytes]], None],
) -> None:
    rows = [row_of(HAVE[0], key=f"nba/{folder}/{n}.json") for folder in ("box-advanced", "box") for n in range(3)]
    bucket(Delivery(NOW - DAY, [rows]).objects())
    found = _read(folders=("box", "box-advanced")).objects
    assert list(found) == sorted(row["key"].removeprefix("nba/") for row in rows)
    assert all(key in found for key in list(found))


@pytest.mark.parametrize("written", ["Parquet", "CSV"])
def test_of_all_versions_only_the_latest_counts_unless_it_is_a_delete_marker(
    bucket: Callable[[dict[str, bytes]], None], written: str
) -> None:
    former = [row | {"is_latest": False, "size": 1, "version_id": "v0"} for row in ROWS]
    gone = {"version_id": "v2", "is_delete_marker": True, "size": None, "e_tag": None}
    rows = [ROWS[0] | {"is_latest": False}, ROWS[0] | gone, *ROWS[1:], *former]
    bucket(Delivery(NOW - DAY, [rows], written, columns=ALL_VERSIONS).objects())
    assert _read(folders=("boards",)).objects == {have.key: have for have in HAVE[1:10]}


def test_a_lake_without_a_prefix_is_the_whole_bucket(bucket: Callable[[dict[str, bytes]], None]) -> None:
    bucket(Delivery(NOW - DAY, [ROWS]).objects())
    assert set(_read("s3://lake", folders=("nba/boards",)).objects) == {f"nba/boards/{n}.json" for n in range(10)}


def _without(ending: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda bodies: {key: body for key, body in bodies.items() if not key.endswith(ending)}


def _changed(ending: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda bodies: {key: change(body) if key.endswith(ending) else body for key, body in bodies.items()}


def _with_manifest(change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def changed(bodies: dict[str, bytes]) -> dict[str, bytes]:
        key = next(key for key in bodies if key.endswith("manifest.json"))
        return bodies | with_checksum(key.rpartition("/")[0], change(bodies[key]))

    return changed


def _with_file(change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Changes the first file. Its size and its checksum are right."""

    def changed(bodies: dict[str, bytes]) -> dict[str, bytes]:
        key = next(key for key in bodies if "-0." in key)
        was, now = bodies[key], change(bodies[key])

        def described(manifest: bytes) -> bytes:
            content = json.loads(manifest)
            [file] = [one for one in content["files"] if one["key"] == key]
            file |= {"size": len(now), "MD5checksum": hashlib.md5(now).hexdigest()}
            return json.dumps(content).encode()

        return _with_manifest(described)(bodies | {key: now}) if was != now else bodies

    return changed


def _with_rows(change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Changes the rows of the first file of CSV."""
    return _with_file(lambda body: gzip.compress(change(gzip.decompress(body))))


GOOD = Delivery(NOW - DAY, [ROWS[::2], ROWS[1::2]])
CSV = replace(GOOD, format="CSV")
SAME: Callable[[dict[str, bytes]], dict[str, bytes]] = dict
NO_PARQUET, NO_CSV = (
    f"the file {GOOD.begun:%d%H%M}-0.{ending} is not {written} as its manifest describes it; wait for the next"
    for written, ending in (("Parquet", "parquet"), ("CSV", "csv.gz"))
)


@pytest.mark.parametrize(
    ("delivered", "change", "why"),
    [
        pytest.param(GOOD, lambda _: {}, "there is no folder such as 2026-11-29T01-00Z", id="nothing is there"),
        pytest.param(GOOD, _without("manifest.json"), "there is no folder such as", id="no manifest"),
        pytest.param(GOOD, _without("manifest.checksum"), "there is no folder such as", id="no checksum"),
        pytest.param(replace(GOOD, begun=NOW - 3 * DAY), SAME, "longer ago than inventory.max_age, 2d", id="old"),
        pytest.param(replace(GOOD, begun=NOW + DAY), SAME, "which is in the future", id="from the future"),
        pytest.param(GOOD, _without("-1.parquet"), "there is no such object", id="a file is gone"),
        pytest.param(GOOD, _changed("-1.parquet", lambda body: body[:-100]), "by the manifest", id="a file is shorter"),
        pytest.param(GOOD, _changed("-1.parquet", lambda body: bytes(len(body))), "checksum", id="another file"),
        pytest.param(GOOD, _changed("manifest.json", lambda body: body + b" "), "checksum", id="another manifest"),
        pytest.param(replace(GOOD, bucket="lake2"), SAME, "it lists the bucket lake2", id="another bucket"),
        pytest.param(
            replace(GOOD, files=[[r | {"key": "x"} for r in ROWS]]), SAME, "nothing below nba/", id="another prefix"
        ),
        pytest.param(GOOD, _with_manifest(lambda _: b"<html>"), "not the manifest of an S3 Inventory", id="no JSON"),
        pytest.param(GOOD, _with_manifest(lambda _: b"[1]"), "not the manifest of an S3 Inventory", id="other JSON"),
        pytest.param(GOOD, _with_manifest(lambda _: b"[" * 99999), "not the manifest of", id="JSON without an end"),
        pytest.param(replace(GOOD, columns=("bucket", "key", "size")), SAME, "ETag; add it", id="no ETag and time"),
        pytest.param(
            replace(CSV, columns=("bucket", "key", "size", "e_tag")), SAME, "LastModifiedDate", id="CSV without time"
        ),
        pytest.param(GOOD, _with_manifest(lambda body: body.replace(b'"Parquet"', b'"ORC"')), "ORC", id="ORC"),
        pytest.param(GOOD, _with_file(lambda body: b"PAR1" + bytes(len(body)) + b"PAR1"), NO_PARQUET, id="not Parquet"),
        # With this byte, arro3 ends the process that reads the file.
        pytest.param(GOOD, _with_file(lambda body: body[:-725] + b"\x03" + body[-724:]), NO_PARQUET, id="fatal"),
        pytest.param(CSV, _changed("-1.csv.gz", lambda body: body[:40]), "by the manifest", id="half of a CSV"),
        pytest.param(CSV, _with_file(lambda body: b"no gzip"), NO_CSV, id="no gzip"),
        pytest.param(CSV, _with_file(lambda body: body[:-20]), NO_CSV, id="gzip without an end"),
        pytest.param(CSV, _with_file(lambda body: body[:30] + bytes(9) + body[39:]), NO_CSV, id="damaged gzip"),
        pytest.param(CSV, _with_rows(lambda rows: rows.replace(b'","', b'"', 1)), NO_CSV, id="a comma is missing"),
        pytest.param(CSV, _with_rows(lambda rows: rows.replace(b'"\n', b"\n", 1)), NO_CSV, id="a quote is missing"),
        pytest.param(CSV, _with_rows(lambda rows: rows.replace(b"T12:00", b"", 1)), NO_CSV, id="not a time"),
        pytest.param(CSV, _with_rows(lambda rows: rows.replace(b"STANDARD", b"\xff", 1)), NO_CSV, id="not UTF-8"),
        pytest.param(CSV, _with_rows(lambda rows: rows + b'"' + bytes(2_000_000)), NO_CSV, id="an endless row"),
    ],
)
def test_an_inventory_with_a_flaw_is_not_used_and_a_line_says_why(
    bucket: Callable[[dict[str, bytes]], None],
    capfd: pytest.CaptureFixture[str],
    delivered: Delivery,
    change: Any,
    why: str,
) -> None:
    """Nothing else is printed: where arro3 fails, it may write on standard error, and end the process."""
    bucket(change(delivered.objects()))
    capfd.readouterr()
    assert why in _why_not()
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("decode", "why"),
    [
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "takes more memory than there is", id="killed"),
        pytest.param("raise MemoryError", "takes more memory than there is", id="limit"),
        pytest.param("os.abort()", "is not Parquet as its manifest describes it", id="damaged"),
        pytest.param("time.sleep(600)", "does not read its files within 1 s", id="endless"),
    ],
)
def test_what_this_machine_cannot_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decode: str, why: str
) -> None:
    (tmp_path / "0-a.parquet").touch()
    monkeypatch.setattr(inventory, "_CHECK_SECONDS", 1.0 if "sleep" in decode else 60.0)
    program = f"import os, signal, time; print('0-a.parquet', flush=True); {decode}"
    monkeypatch.setattr(inventory, "_DECODE_ALL", program)
    with pytest.raises(InventoryError, match=why):
        inventory._check_parquet(str(tmp_path))


@pytest.mark.parametrize("written", ["Parquet", "CSV"])
def test_rows_that_make_no_sense_are_unknown_files(bucket: Callable[[dict[str, bytes]], None], written: str) -> None:
    """So the lake is asked for these files, and a single row keeps nobody from using the others."""
    times = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC))
    wrong = [{"size": -1}, {"size": 2**62}, *({"last_modified_date": time} for time in times)]
    rows = [row | change for row, change in zip(ROWS, wrong, strict=False)]
    bucket(Delivery(NOW - DAY, [[*rows, *ROWS[len(rows) :]]], written).objects())
    assert _read(folders=("boards",)).objects == {have.key: have for have in HAVE[len(rows) : 10]}


@pytest.mark.parametrize("written", ["Parquet", "CSV"])
def test_a_file_whose_etag_has_a_line_break_is_unknown_and_the_others_keep_theirs(
    bucket: Callable[[dict[str, bytes]], None], written: str
) -> None:
    rows = [ROWS[0] | {"e_tag": "a\nb"}, *ROWS[1:], ROWS[10] | {"key": "nba/boards/a\nb"}]
    bucket(Delivery(NOW - DAY, [rows], written).objects())
    assert _read(folders=("boards",)).objects == {have.key: have for have in HAVE[1:10]}


def test_a_file_that_begins_behind_the_folders_of_the_lake_and_is_not_in_order_is_read_too(
    bucket: Callable[[dict[str, bytes]], None],
) -> None:
    bucket(Delivery(NOW - DAY, [[row_of(HAVE[0], key="zzz/1"), *ROWS[:10]], ROWS[10:20]]).objects())
    assert set(_read().objects) == {have.key for have in HAVE[:20]}


def test_rows_of_csv_are_read_a_few_at_a_time(
    bucket: Callable[[dict[str, bytes]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.inventory._ROW_OF_CSV", 1)
    monkeypatch.setattr("blocks.sorted_rows._ROWS", 40)
    bucket(CSV.objects())
    assert _read().objects == {have.key: have for have in HAVE if not have.key.startswith("other/")}


def test_an_inventory_that_cannot_be_reached_is_not_used(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(monkeypatch, s3)
    assert "NoSuchBucket" in _why_not(address="s3://no-such-bucket/x")
    assert "only S3 has inventories" in _why_not(lake="file:///tmp")
    with http_server(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>") as endpoint:
        use_s3(monkeypatch, endpoint)
        assert _why_not().endswith("; allow s3:ListBucket and s3:GetObject there")
        assert _why_not(address=f"{PLACE}/manifest.json").endswith("; allow s3:ListBucket and s3:GetObject there")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_an_error_of_this_machines_disk_names_the_temporary_folder(
    bucket: Callable[[dict[str, bytes]], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    usual = Path.open

    def refuse(path: Path, mode: str = "r", *rest: Any) -> Any:
        if mode == "wb":
            raise OSError(number, os.strerror(number))
        return usual(path, mode, *rest)

    bucket(GOOD.objects())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InventoryError, match=rf"{tmp_path} .*{os.strerror(number)}.*TMPDIR"):
        _read()


def test_a_temporary_folder_that_is_not_there_is_said_to_be_so(
    bucket: Callable[[dict[str, bytes]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(GOOD.objects())
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    assert "the folder for temporary files /no/such/folder cannot be used" in _why_not()
