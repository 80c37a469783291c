"""The lake on both of its stores: a local folder, and the S3 API of moto's server."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from blocks.lake import Lake, valid_key
from tasks.domain.errors import LakeError


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    if request.param == "folder":
        lake = Lake(url=tmp_path.as_uri())
    else:
        _aws(monkeypatch, request.getfixturevalue("s3"))
        bucket = "lake-" + tmp_path.name.replace("_", "-").lower()[-40:]
        boto3.client("s3").create_bucket(Bucket=bucket)
        lake = Lake(url=f"s3://{bucket}/nba")
    lake.check(create=True)
    return lake


def _aws(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


def test_what_is_put_is_listed_and_read(lake: Lake) -> None:
    async def story() -> tuple[Any, Any, Any]:
        stored = await lake.put("espn_schedules/20240105.json", b'{"a": 1}')
        await lake.put("foreign/x.json", b"{}")
        return stored, await lake.list(["espn_schedules", "nothing_here"]), await lake.get(stored.key)

    stored, listed, (body, read) = asyncio.run(story())
    assert listed == {"espn_schedules/20240105.json": stored}
    assert stored.size == 8
    assert (body, read) == (b'{"a": 1}', stored)


def test_a_body_goes_over_nothing_or_over_the_version_it_replaces(lake: Lake) -> None:
    async def story() -> tuple[bytes, bytes]:
        first = await lake.put("a/1.json", b"first")
        await lake.put("a/1.json", b"over nothing")
        kept, _ = await lake.get("a/1.json")
        await lake.put("a/1.json", b"second", replaces=first)
        return kept, (await lake.get("a/1.json"))[0]

    assert asyncio.run(story()) == (b"first", b"second")


def test_on_s3_a_version_that_somebody_else_stored_meanwhile_is_kept(lake: Lake) -> None:
    if lake.folder is not None:
        pytest.skip("a local folder cannot compare versions")

    async def story() -> bytes:
        seen = await lake.put("a/1.json", b"seen")
        await lake.put("a/1.json", b"newer", replaces=seen)
        await lake.put("a/1.json", b"late", replaces=seen)
        return (await lake.get("a/1.json"))[0]

    assert asyncio.run(story()) == b"newer"


def test_a_reader_never_sees_half_a_file(lake: Lake) -> None:
    if lake.folder is None:
        pytest.skip("a PUT to S3 is atomic by contract")
    path = lake.folder / "a/big.json"
    bodies = [bytes([letter]) * 3_000_000 for letter in b"xy"]
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            if path.exists():
                seen.add(len(set(path.read_bytes())))

    watcher = threading.Thread(target=watch)

    async def story() -> None:
        have = await lake.put("a/big.json", bodies[0])
        for n in range(30):
            have = await lake.put("a/big.json", bodies[n % 2], replaces=have)

    watcher.start()
    asyncio.run(story())
    stop.set()
    watcher.join()
    assert seen == {1}


def test_many_bodies_come_with_an_error_in_place_of_the_unreadable(lake: Lake) -> None:
    async def story() -> dict[str, Any]:
        for n in range(100):
            await lake.put(f"a/{n}.json", str(n).encode())
        return {key: body async for key, body, _ in lake.get_many([f"a/{n}.json" for n in range(101)])}

    bodies = asyncio.run(story())
    assert [bodies[f"a/{n}.json"] for n in range(100)] == [str(n).encode() for n in range(100)]
    assert isinstance(bodies["a/100.json"], LakeError)


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a//b", "a/./b", "a\nb", "a/\x00", "a\\b", "a/" + "x" * 1000])
def test_a_key_that_could_leave_the_lake_is_refused(key: str) -> None:
    with pytest.raises(LakeError, match="is not a lake key"):
        valid_key(key)


def test_a_folder_that_is_not_there_is_empty_and_looking_does_not_make_it(tmp_path: Path) -> None:
    lake = Lake(url=(tmp_path / "none").as_uri())
    lake.check()
    assert asyncio.run(lake.list(["a"])) == {}
    assert not (tmp_path / "none").exists()


def test_a_file_in_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(LakeError, match=r"lake file:.*/lake is a file, not a folder"):
        Lake(url=(tmp_path / "lake").as_uri()).check()


def test_a_bucket_that_is_not_there_is_one_clear_line(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _aws(monkeypatch, s3)
    with pytest.raises(LakeError, match=r"^lake s3://no-such-bucket cannot be listed: .+$"):
        asyncio.run(Lake(url="s3://no-such-bucket").list(["a"]))
