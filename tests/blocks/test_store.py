"""The lake on both of its stores: a local folder, and the S3 API of moto's server."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from blocks.store import Put, Store, valid_key
from deployments.up.ports import free_port
from tasks.domain.assess.ranges import KeyRanges
from tasks.domain.errors import LakeError, NoObjectError, Reach, UnreadableError
from tests.list_server import Bucket
from tests.servers import Handler, http_server, serving, use_s3


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "folder":
        lake = Store(tmp_path.as_uri())
    else:
        use_s3(monkeypatch, request.getfixturevalue("s3"))
        bucket = "lake-" + tmp_path.name.replace("_", "-").lower()[-40:]
        boto3.client("s3").create_bucket(Bucket=bucket)
        lake = Store(f"s3://{bucket}/nba")
    lake.check(create=True)
    return lake


def test_what_is_put_is_listed_and_read(lake: Store) -> None:
    async def story() -> tuple[Any, Any, Any]:
        stored = (await lake.put("espn_schedules/20240105.json", b'{"a": 1}')).have
        await lake.put("foreign/x.json", b"{}")
        return stored, await lake.list(["espn_schedules", "nothing_here"]), await lake.get(stored.key)

    stored, listed, (body, read) = asyncio.run(story())
    assert listed == {"espn_schedules/20240105.json": stored}
    assert stored.size == 8
    assert (body, read) == (b'{"a": 1}', stored)


def test_a_listing_is_in_the_order_of_the_keys_whatever_the_order_of_the_folders(lake: Store) -> None:
    keys = ["a-/1.json", "a/1.json", "a/1.json-", "a/b-/1.json", "a/b.json", "a/b/1.json", "a/\uff5e", "a/\U0001f3c0"]

    async def story() -> list[str]:
        await asyncio.gather(*(lake.put(key, b"{}") for key in keys))
        return list(await lake.list(["nothing_here", "a/b", "a", "a-"]))

    assert asyncio.run(story()) == keys == sorted(keys, key=str.encode)


def test_a_body_goes_over_nothing_or_over_the_version_it_replaces(lake: Store) -> None:
    async def story() -> tuple[bytes, bytes]:
        first = await lake.put("a/1.json", b"first")
        other = await lake.put("a/1.json", b"over nothing")
        assert (first.is_ours, other) == (True, Put(first.have, is_ours=False))
        kept, _ = await lake.get("a/1.json")
        second = await lake.put("a/1.json", b"second", replaces=first.have)
        assert second == Put(await lake.find("a/1.json"), is_ours=True)
        return kept, (await lake.get("a/1.json"))[0]

    assert asyncio.run(story()) == (b"first", b"second")


def test_a_version_that_somebody_else_stored_meanwhile_is_kept_and_that_is_said(lake: Store) -> None:
    async def story() -> tuple[Put, Put, bytes]:
        seen = (await lake.put("a/1.json", b"seen")).have
        newer = await lake.put("a/1.json", b"newer", replaces=seen)
        late = await lake.put("a/1.json", b"late", replaces=seen)
        return newer, late, (await lake.get("a/1.json"))[0]

    newer, late, body = asyncio.run(story())
    assert (newer.is_ours, late) == (True, Put(newer.have, is_ours=False))
    assert body == b"newer"


def test_what_has_vanished_meanwhile_is_replaced_all_the_same(lake: Store) -> None:
    async def story() -> tuple[Put, bytes]:
        seen = (await lake.put("a/1.json", b"seen")).have
        _remove(lake, "a/1.json")
        return await lake.put("a/1.json", b"new", replaces=seen), (await lake.get("a/1.json"))[0]

    put, body = asyncio.run(story())
    assert (put.is_ours, body) == (True, b"new")


def test_the_very_same_body_is_ours_whoever_stored_it(lake: Store) -> None:
    async def story() -> list[bool]:
        return [(await lake.put("a/1.json", b"one and the same")).is_ours for _ in range(2)]

    assert asyncio.run(story()) == [True, True], "the answer to the first may have been lost on its way"


def test_of_many_who_store_one_key_at_once_one_is_told_that_it_did(lake: Store) -> None:
    async def story() -> tuple[list[Put], bytes]:
        puts = await asyncio.gather(*(lake.put("a/1.json", b"%d" % n) for n in range(8)))
        return puts, (await lake.get("a/1.json"))[0]

    puts, body = asyncio.run(story())
    assert [n for n, put in enumerate(puts) if put.is_ours] == [int(body)]


def test_looking_whether_a_lake_can_be_written_and_is_empty_leaves_it_so(lake: Store) -> None:
    async def story() -> list[bool]:
        await lake.check_writable(["a", "b"])
        before = await lake.is_empty()
        await lake.put("a/1.json", b"{}")
        await lake.check_writable(["a", "b"])
        return [before, await lake.is_empty(), set(await lake.list(["a", "b"])) == {"a/1.json"}]

    assert asyncio.run(story()) == [True, False, True]


def test_one_file_somewhere_in_its_folders_is_enough_for_a_lake_to_hold_any(lake: Store) -> None:
    async def story() -> list[bool]:
        before = await lake.holds_any(["a", "b"])
        await lake.put("foreign/1.json", b"{}")
        foreign = await lake.holds_any(["a", "b"])
        await lake.put("b/deep/1.json", b"{}")
        return [before, foreign, await lake.holds_any(["a", "b"]), await lake.holds_any([])]

    assert asyncio.run(story()) == [False, False, True, False]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://bucket/nba/", "s3://bucket/nba"),
        ("s3://bucket", "s3://bucket"),
        ("s3://me:hunter2@bucket/nba?token=hunter2", "s3://bucket/nba"),
        ("file:///data/one/../lake/", "file:///data/lake"),
        ("file:lake", (Path.cwd() / "lake").as_uri()),
    ],
)
def test_the_address_of_a_lake_is_one_whatever_its_url_and_has_no_secret(url: str, address: str) -> None:
    assert Store(url).address == address


@pytest.mark.parametrize(
    ("spoil", "key", "reach"),
    [
        pytest.param(lambda folder: None, "a/" + "x" * 300, Reach.KEY, id="name too long"),
        pytest.param(lambda folder: (folder / "a").write_text(""), "a/1.json", Reach.FOLDER, id="a file for a folder"),
        pytest.param(lambda folder: _a_folder(folder / "a/1.json"), "a/1.json", Reach.KEY, id="a folder"),
        pytest.param(Path.rmdir, "a/1.json", Reach.LAKE, id="lake gone"),
    ],
)
def test_an_error_says_how_far_it_reaches(tmp_path: Path, spoil: Callable[[Path], Any], key: str, reach: Reach) -> None:
    lake = Store((tmp_path / "lake").as_uri())
    lake.check(create=True)
    spoil(tmp_path / "lake")
    with pytest.raises(LakeError, match=r"^lake file:.*/lake") as raised:
        asyncio.run(lake.put(key, b"{}"))
    assert raised.value.reach is reach
    assert "\n" not in str(raised.value)


def _a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def _a_dangling_link(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to("nowhere")


def _a_link_to_a_folder(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(path.parent)


def _a_pipe(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


OBSTACLES = [
    (_a_folder, "a folder"),
    (_a_dangling_link, "a dangling link"),
    (_a_link_to_a_folder, "a link to a folder"),
    (_a_pipe, "something that is not a file"),
]


@pytest.mark.parametrize(("make", "what"), OBSTACLES)
def test_what_stands_at_a_key_in_place_of_a_file_is_named(
    tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    lake = Store(tmp_path.as_uri())
    make(tmp_path / "a/1.json")
    (tmp_path / "a/2.json").touch()
    (tmp_path / "a/3.json").symlink_to("2.json")
    for more in (0, 2000):
        keys = [f"a/{n}.json" for n in range(5 + more)] + ["b/1.json", "1.json"]
        assert lake.obstacles(keys) == {"a/1.json": what}


@pytest.mark.parametrize(("make", "what"), OBSTACLES[:3])
def test_storing_and_reading_say_what_stands_in_the_way(
    tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    lake = Store(tmp_path.as_uri())
    make(tmp_path / "a/1.json")
    with pytest.raises(LakeError, match=f"{what} stands at a/1.json; remove it$") as raised:
        asyncio.run(lake.put("a/1.json", b"{}"))
    assert raised.value.reach is Reach.KEY
    with pytest.raises(NoObjectError, match=f"cannot be read at a/1.json: {what} stands there$"):
        asyncio.run(lake.get("a/1.json"))


def test_what_is_not_there_is_said_of_the_file_or_of_the_folder(lake: Store, tmp_path: Path) -> None:
    with pytest.raises(NoObjectError, match=r"^lake \S+ cannot be read at a/1\.json: there is no such (file|object)$"):
        asyncio.run(lake.get("a/1.json"))
    with pytest.raises(NoObjectError, match=f"there is no folder {tmp_path}/none$"):
        asyncio.run(Store((tmp_path / "none").as_uri()).get("a/1.json"))


def test_a_full_disk_is_the_lakes_trouble(small_disk: Path) -> None:
    lake = Store((small_disk / "lake").as_uri())
    lake.check(create=True)

    async def story() -> None:
        for n in range(1000):
            await lake.put(f"a/{n}.json", bytes(50_000))

    with pytest.raises(LakeError, match="No space left on device") as raised:
        asyncio.run(story())
    assert raised.value.reach is Reach.LAKE
    (small_disk / "lake/rest").write_bytes(b"")
    with suppress(OSError):
        (small_disk / "lake/rest").write_bytes(bytes(1_000_000))
    with pytest.raises(LakeError, match="the folder cannot be written: No space left on device"):
        lake.check(create=True)
    assert not list(small_disk.rglob(".adce#*")), "nothing is left half-written"


def test_an_s3_that_is_gone_or_knows_no_such_bucket_is_the_lakes_trouble(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for endpoint in (s3, f"http://127.0.0.1:{free_port()}"):
        use_s3(monkeypatch, endpoint)
        for work in (
            Store("s3://no-such-bucket").put("a/1.json", b"{}"),
            Store("s3://no-such-bucket").check_writable(["a", "b"]),
        ):
            with pytest.raises(LakeError, match=r"^lake s3://no-such-bucket cannot be written") as raised:
                asyncio.run(work)
            assert raised.value.reach is Reach.LAKE


@pytest.mark.parametrize(
    ("status", "code", "reach"),
    [
        (403, "AccessDenied", Reach.FOLDER),
        (403, "InvalidAccessKeyId", Reach.LAKE),
        (403, "SignatureDoesNotMatch", Reach.LAKE),
        (400, "KeyTooLongError", Reach.KEY),
        (400, "ExpiredToken", Reach.LAKE),
        (507, "XMinioStorageFull", Reach.LAKE),
    ],
)
def test_how_far_a_refusal_of_s3_reaches(status: int, code: str, reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with http_server(status, body) as endpoint:
        use_s3(monkeypatch, endpoint)
        with pytest.raises(LakeError, match=f"written at a/1.json: {code}$") as raised:
            asyncio.run(Store("s3://lake").put("a/1.json", b"{}"))
        assert raised.value.reach is reach
        with pytest.raises(LakeError, match=code) as probed:
            asyncio.run(Store("s3://lake").check_writable(["a", "b"]))
        assert probed.value.reach is Reach.LAKE


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (403, "S3 answers 403 Forbidden; allow s3:GetObject and s3:ListBucket"),
        (400, "S3 answers 400 Bad Request; the AWS credentials may have expired; renew them, and start again"),
        (501, "S3 answers 501 Not Implemented"),
    ],
)
def test_a_refusal_without_a_body_says_what_to_do(status: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(status, b"") as endpoint:
        use_s3(monkeypatch, endpoint)
        with pytest.raises(LakeError) as raised:
            asyncio.run(Store("s3://lake").find("a/1.json"))
    assert str(raised.value) == f"lake s3://lake cannot be read at a/1.json: {line}"


def test_a_reader_never_sees_half_a_file(lake: Store) -> None:
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
        have = (await lake.put("a/big.json", bodies[0])).have
        for n in range(30):
            have = (await lake.put("a/big.json", bodies[n % 2], replaces=have)).have

    watcher.start()
    asyncio.run(story())
    stop.set()
    watcher.join()
    assert seen == {1}


def test_many_bodies_come_with_an_error_in_place_of_the_unreadable(lake: Store) -> None:
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
    lake = Store((tmp_path / "none").as_uri())
    lake.check()
    assert asyncio.run(lake.list(["a"])) == {}
    assert not (tmp_path / "none").exists()


def test_a_file_in_place_of_the_folder_is_one_clear_line_with_the_whole_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lake").write_text("")
    for url in ((tmp_path / "lake").as_uri(), "file:lake"):
        with pytest.raises(LakeError) as raised:
            Store(url).check()
        assert str(raised.value) == f"lake file://{tmp_path}/lake: {tmp_path}/lake is a file, not a folder"


def test_a_bucket_that_is_not_there_is_one_clear_line(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(monkeypatch, s3)
    with pytest.raises(LakeError, match=r"^lake s3://no-such-bucket cannot be listed: .+$"):
        asyncio.run(Store("s3://no-such-bucket").list(["a"]))


def test_an_endpoint_that_is_no_address_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(monkeypatch, "minio:9000")
    with pytest.raises(LakeError, match=r"^lake s3://b: the endpoint 'minio:9000' is no http address; see AWS_"):
        Store("s3://b").check()


KEYS = ["a/1.json", "a/deep/2.json", "b/3.json"]


def _put(lake: Store, key: str) -> None:
    """Puts what `put` would refuse."""
    if lake.folder is not None:
        (lake.folder / key).parent.mkdir(parents=True, exist_ok=True)
        (lake.folder / key).write_text("{}")
    else:
        bucket, prefix = lake.url.removeprefix("s3://").split("/")
        body = b"" if key.endswith("/") else b"{}"  # the marker of a folder is empty
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=body)


def _remove(lake: Store, key: str) -> None:
    if lake.folder is not None:
        (lake.folder / key).unlink()
    else:
        bucket, prefix = lake.url.removeprefix("s3://").split("/")
        boto3.client("s3").delete_object(Bucket=bucket, Key=f"{prefix}/{key}")


def _lists_the_keys_and_warns_of(odd: str, lake: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Each key is listed as a look at it alone says it is, nothing else is, and one warning has the odd name."""

    async def story() -> tuple[Any, Any]:
        return {key: await lake.find(key) for key in KEYS}, await lake.list(["a", "b"])

    with caplog.at_level(logging.WARNING, "blocks.store"):
        expected, listed = asyncio.run(story())
    assert listed == expected
    [warning] = [record.getMessage() for record in caplog.records if record.name == "blocks.store"]
    assert warning.startswith(f"lake {lake.url}: ")
    assert warning.endswith(f"left out: 1, such as {odd!r}")


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("a/x\\y.json", id="backslash"),
        pytest.param("a/x\x01y.json", id="control character"),
        pytest.param("a/x\u202ey.json", id="character that turns the text around"),
    ],
)
def test_an_odd_name_is_said_and_passed_over(lake: Store, odd: str, caplog: pytest.LogCaptureFixture) -> None:
    for key in [*KEYS, odd]:
        _put(lake, key)
    _lists_the_keys_and_warns_of(odd, lake, caplog)


@pytest.mark.parametrize(
    ("odd", "make"),
    [
        pytest.param("a/x\ny.json", Path.touch, id="newline"),
        pytest.param("a/\udcff.json", Path.touch, id="not UTF-8"),
        pytest.param("a/loop", lambda path: path.symlink_to("loop"), id="link to itself"),
        pytest.param("a/loop", lambda path: path.symlink_to(path.parent), id="link to its own folder"),
        pytest.param("a/deep/loop", lambda path: path.symlink_to(path.parents[1]), id="link to a folder above"),
    ],
)
def test_in_a_folder_an_odd_name_hides_no_other(
    tmp_path: Path, odd: str, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    lake = Store(tmp_path.as_uri())
    for key in KEYS:
        _put(lake, key)
    make(tmp_path / odd)
    _lists_the_keys_and_warns_of(odd, lake, caplog)


def test_in_a_folder_an_odd_name_hides_nothing_behind_a_link_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/2.json").touch()
    (tmp_path / "lake/a").mkdir(parents=True)
    (tmp_path / "lake/a/deep").symlink_to(tmp_path / "elsewhere")
    lake = Store((tmp_path / "lake").as_uri())
    before = asyncio.run(lake.list(["a"]))
    (tmp_path / "lake/a/x\ny.json").touch()
    assert asyncio.run(lake.list(["a"])) == before
    assert list(before) == ["a/deep/2.json"]


def test_a_folder_that_is_a_link_to_itself_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/3.json").touch()
    assert list(asyncio.run(Store(tmp_path.as_uri()).list(["a", "b"]))) == ["b/3.json"]


@pytest.mark.parametrize(
    "odd",
    [
        "a//x.json",
        "a//1.json",
        "a/./1.json",
        "a/../b/3.json",
        "a/",
        "a/deep/",
        "a/1.json/",
        "a/4.json/",
        "a/deep/4.json/",
    ],
)
def test_on_s3_an_odd_key_hides_no_other_and_is_taken_for_none(
    s3: str, tmp_path: Path, odd: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_s3(monkeypatch, s3)
    bucket = "odd-" + "".join(letter if letter.isalnum() else f"{ord(letter):x}" for letter in odd)
    boto3.client("s3").create_bucket(Bucket=bucket)
    lake = Store(f"s3://{bucket}/nba")
    for key in [*KEYS, odd]:
        _put(lake, key)
    _lists_the_keys_and_warns_of(odd, lake, caplog)


@pytest.fixture
def bucket(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a bucket."""
    use_s3(monkeypatch, s3)
    name = "b-" + tmp_path.name.replace("_", "-").lower()[-40:]
    boto3.client("s3").create_bucket(Bucket=name)
    return name


MARKED = {
    "a/": b"",
    "a/0.json": b"{}",
    "a/1.json": b"{}",
    "a/1.json-x": b"{}",
    "a/1.json/": b"a marker beside a file, out of order",
    "a/2.json": b"{}",
    "a/2.json/": b"a marker beside a file, in order",
    "a/3.json/": b"a marker with a body and something below it",
    "a/3.json/x": b"{}",
    "a/4.json/": b"",
    "a/5": b"{}",
    "a/5/x": b"a file under the name of a file",
    "a/6.json": b"",
    "b/": b"",
    "b/deep/": b"",
    "b/deep/1.json": b"{}",
}


def _list_requests(caplog: pytest.LogCaptureFixture) -> int:
    """The LIST requests that the S3 server has answered since the test began."""
    return sum("list-type=2" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("refused", [False, True])
def test_on_s3_the_markers_of_folders_are_no_files(
    bucket: str, refused: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = boto3.client("s3")
    for key, body in MARKED.items():
        client.put_object(Bucket=bucket, Key=f"nba/{key}", Body=body)
    lake = Store(f"s3://{bucket}/nba")
    files = {key for key in MARKED if not key.endswith("/")}
    if refused:  # whoever may list objects may not be allowed to look at one

        async def refuse(_: object) -> None:
            raise LakeError("S3 answers 403 Forbidden", Reach.FOLDER)

        monkeypatch.setattr(lake, "find", refuse)
    with caplog.at_level(logging.INFO):
        for hints in ([], ["a/1.json", "a/1.json-"], ["a/2.json", "a/3.json", "a/4.json", "b/a"]):
            before = _list_requests(caplog)
            listed = asyncio.run(lake.list(["a", "b"], hints))
            assert listed.requests == lake.take_list_requests() == _list_requests(caplog) - before
            assert dict(listed) == {key: asyncio.run(Store(lake.url).find(key)) for key in files}
    said = [record.getMessage() for record in caplog.records if record.name == "blocks.store"]
    assert said[-2:] == [
        f"lake {lake.url}: names in a that are not lake keys are left out: 5, such as 'a/'",
        f"lake {lake.url}: names in b that are not lake keys are left out: 2, such as 'b/'",
    ]
    starts = ["", "a/", "a/1.json", "a/1.json/", "a/3.json", "a/5", "a/5/x", "b/"]
    for chosen in (starts[::2], starts[1::2], starts[2:4], starts[-1:]):
        ranges = KeyRanges(starts)
        found = asyncio.run(lake.list_ranges(["a", "b"], ranges.spans(chosen)))
        assert dict(found) == {key: listed[key] for key in files if ranges.of(key) in chosen}
        assert found.requests <= 2 * len(chosen)


def test_on_s3_a_marker_with_a_body_that_stands_alone_has_nothing_to_read(bucket: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="nba/a/1.json/", Body=b"{}")
    lake = Store(f"s3://{bucket}/nba")
    assert list(asyncio.run(lake.list(["a"]))) == ["a/1.json"]
    with pytest.raises(NoObjectError):
        asyncio.run(lake.get("a/1.json"))
    assert asyncio.run(lake.put("a/1.json", b"a file")).is_ours


@pytest.mark.parametrize(
    ("status", "code", "which", "error"),
    [
        (503, "SlowDown", lambda number: number in (2, 4, 5), None),
        (403, "AccessDenied", lambda number: number >= 4, "lake s3://lake cannot be listed: AccessDenied"),
    ],
    ids=["now and then", "from the fourth page on"],
)
def test_on_s3_a_page_that_fails_is_tried_again_and_no_part_is_taken_for_the_whole(
    status: int, code: str, which: Callable[[int], bool], error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"a/{number:06}" for number in range(6500)]
    bucket, numbers = Bucket(keys), count(1)

    class S3(Handler):
        def respond(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            fails = which(next(numbers))
            body = f"<Error><Code>{code}</Code></Error>".encode() if fails else bucket.page(query)
            self.answer(status if fails else 200, body)

    with serving(S3) as url:
        use_s3(monkeypatch, url)
        listing = Store("s3://lake").list(["a"])
        if error:
            with pytest.raises(LakeError, match=f"^{error}$"):
                asyncio.run(listing)
        else:
            assert list(asyncio.run(listing)) == keys


def test_on_s3_odd_names_on_some_pages_hide_no_other(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside the pages that obstore refuses, it lists the others."""
    monkeypatch.setattr("blocks.s3_pages.FULL", 3)
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    names = [f"a/{number:02}" for number in range(20)]
    for key in [*names, "a/03//x", "a/05/../x", "a/10//x", "a/10//y", "a/10//z", "a/10//z1", "a/19/./1"]:
        _put(lake := Store(f"s3://{bucket}/nba"), key)
    for hints in ([], ["a/04", "a/05/x", "a/10//y", "a/11"]):
        before = _list_requests(caplog)
        listed = asyncio.run(lake.list(["a"], hints))
        assert list(listed) == names
        assert listed.requests == _list_requests(caplog) - before >= 7
        assert all(have == listed[have.key] for have in listed.values())


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of somebody who has no rights but those that files give."""
    with TemporaryDirectory(dir="/tmp") as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def test_a_file_without_permission_is_unreadable_and_the_lake_is_not(as_nobody: Path) -> None:
    lake = Store(as_nobody.as_uri())
    (as_nobody / "a").mkdir()
    for n, mode in ((1, 0o600), (2, 0)):
        (as_nobody / f"a/{n}.json").write_text("{}")
        (as_nobody / f"a/{n}.json").chmod(mode)

    async def read() -> dict[str, bytes | LakeError]:
        return {key: body async for key, body, _ in lake.get_many([f"a/{n}.json" for n in (1, 2, 3)])}

    found = asyncio.run(read())
    assert found["a/1.json"] == b"{}"
    assert isinstance(found["a/2.json"], UnreadableError)
    assert found["a/2.json"].cause == "Permission denied; look at its permissions and its disk"
    assert isinstance(found["a/3.json"], NoObjectError)
