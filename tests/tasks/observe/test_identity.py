"""A lake's mark and a ledger's knowledge of it, on a real folder and database."""

import asyncio
import logging
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from blocks.store import Store
from config import secrets
from config.secrets import register
from tasks.domain.access import Access
from tasks.domain.assess.states import Examination, LakeObject
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import LakeError, MismatchError
from tasks.domain.lakes import MARK_KEY, KnownLake, LakeKind, LakeMark, Pairing
from tasks.ledger import Ledger
from tasks.observe.identity import check_pairing, read_mark, write_mark


@pytest.fixture
def lake(tmp_path: Path) -> Store:
    return _lake(tmp_path / "lake")


def _lake(folder: Path) -> Store:
    lake = Store(folder.as_uri())
    lake.check(create=True)
    return lake


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        yield ledger


async def _use(lake: Store, ledger: Ledger) -> LakeMark:
    return await write_mark(lake, ledger, await check_pairing(lake, ledger, LakeKind.REAL))


def test_they_know_each_other_from_the_first_store_on(lake: Store, ledger: Ledger) -> None:
    async def story() -> LakeMark:
        await check_pairing(lake, ledger, LakeKind.REAL)
        assert await lake.is_empty(), "looking writes nothing"
        assert ledger.identity.lake() is None
        mark = await _use(lake, ledger)
        assert await _use(lake, ledger) == mark == await read_mark(lake)
        return mark

    mark = asyncio.run(story())
    known = ledger.identity.lake()
    assert known is not None
    assert (known.id, known.kind, known.url) == (mark.id, LakeKind.REAL, lake.address)


def test_of_two_that_mark_a_lake_at_once_the_first_prevails(lake: Store, ledger: Ledger, tmp_path: Path) -> None:
    async def story() -> list[LakeMark]:
        with closing(Ledger(f"sqlite:///{tmp_path / 'other.db'}")) as other:
            found = [await check_pairing(lake, each, LakeKind.REAL) for each in (ledger, other)]
            claims = await asyncio.gather(write_mark(lake, ledger, found[0]), write_mark(lake, other, found[1]))
            assert ledger.identity.lake() == other.identity.lake()
            return claims

    assert len(set(asyncio.run(story()))) == 1


def test_a_lake_that_moves_with_its_mark_keeps_its_ledger_and_one_that_lost_it_gets_it_back(
    lake: Store, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = asyncio.run(_use(lake, ledger))
    (tmp_path / "lake").rename(tmp_path / "moved")
    moved = _lake(tmp_path / "moved")
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(_use(moved, ledger)) == mark
        assert asyncio.run(_use(moved, ledger)) == mark, "said once"
        (tmp_path / "moved" / MARK_KEY).write_text("junk")
        (tmp_path / "moved" / MARK_KEY).unlink()
        again = asyncio.run(_use(moved, ledger))
    assert (again.id, again.kind) == (mark.id, mark.kind)
    assert [record.getMessage() for record in caplog.records] == [
        f"lake {lake.address} is at {moved.address} now",
        f"lake {moved.address} has no mark ({MARK_KEY}) any more",
    ]


def test_another_lake_is_refused_and_a_ledger_keeps_its_own_id(lake: Store, ledger: Ledger, tmp_path: Path) -> None:
    asyncio.run(_use(lake, ledger))
    other = _lake(tmp_path / "other")
    for kind in (LakeKind.REAL, None):
        with pytest.raises(MismatchError, match="use another ledger"):
            asyncio.run(check_pairing(other, ledger, kind))
    again = Ledger(str(ledger.database.url))
    with closing(Ledger(f"sqlite:///{tmp_path / 'other.db'}")) as second, closing(again) as same:
        assert same.id == ledger.id != second.id
        known = ledger.identity.lake()
        assert known is not None
        planned = ("somewhere else", ledger.id)
        with pytest.raises(MismatchError, match=r"^the lake here, "):
            asyncio.run(check_pairing(other, second, LakeKind.REAL, planned))
        with pytest.raises(MismatchError, match=r"^the ledger here, "):
            asyncio.run(check_pairing(lake, second, LakeKind.REAL, (known.id, ledger.id)))
        assert second.identity.lake() is None
    assert asyncio.run(other.is_empty())


def test_two_lakes_that_are_begun_at_once_with_one_ledger_do_not_share_it(
    lake: Store, ledger: Ledger, tmp_path: Path
) -> None:
    other = _lake(tmp_path / "other")

    async def story() -> LakeMark:
        found = [await check_pairing(each, ledger, LakeKind.REAL) for each in (lake, other)]
        mark = await write_mark(lake, ledger, found[0])
        with pytest.raises(MismatchError, match="use another ledger"):
            await write_mark(other, ledger, found[1])
        return mark

    known = ledger.identity.lake()
    assert known is None
    mark = asyncio.run(story())
    assert ledger.identity.remember(KnownLake("another", LakeKind.REAL, "file:///another")).id == mark.id
    known = ledger.identity.lake()
    assert known is not None
    assert (known.id, known.url) == (mark.id, lake.address)


def test_where_a_lake_is_does_not_depend_on_where_one_is_nor_on_what_is_masked(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_known", set())
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    mark = asyncio.run(_use(_lake(tmp_path / "one/lake"), ledger))
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        register([str(tmp_path / name)])
        assert asyncio.run(_use(Store("file:../one/lake"), ledger)) == mark
        known = ledger.identity.lake()
        assert known is not None
        assert known.url == (tmp_path / "one/lake").as_uri()
    with pytest.raises(MismatchError, match="use another ledger"):
        asyncio.run(check_pairing(_lake(tmp_path / "two/lake"), ledger, LakeKind.REAL))


def test_an_address_that_was_written_down_masked_is_mended_by_the_mark_and_fits_no_other_lake(
    lake: Store, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = asyncio.run(_use(lake, ledger))
    ledger.identity.remember(KnownLake(mark.id, mark.kind, "file://***/lake"))
    (tmp_path / "two").mkdir()
    with pytest.raises(MismatchError, match="use another ledger"):
        asyncio.run(check_pairing(_lake(tmp_path / "two/lake"), ledger, LakeKind.REAL))
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(_use(lake, ledger)) == mark
    known = ledger.identity.lake()
    assert known is not None
    assert known.url == lake.address
    assert caplog.records == [], "it has not moved"


def test_a_lake_that_lost_all_its_files_with_its_mark_is_not_filled_unless_the_ledger_forgets_it(
    lake: Store, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = asyncio.run(_use(lake, ledger))
    asyncio.run(lake.put("a/deep/1.json", b"{}"))
    ledger.objects.record({"a/deep/1.json": Examination("etag", 2, "check", whole())})

    async def look(kind: LakeKind | None) -> Pairing:
        return await check_pairing(lake, ledger, kind, folders=["a", "b"])

    (tmp_path / "lake" / MARK_KEY).unlink()
    assert not asyncio.run(look(LakeKind.REAL)).is_marked, "one that lost its mark only gets it back"
    shutil.rmtree(tmp_path / "lake")
    for make in (lambda: None, lambda: (tmp_path / "lake/a/deep").mkdir(parents=True)):
        make()
        caplog.clear()
        with pytest.raises(MismatchError, match=r"is empty, but ledger .* knows a file of it: is the disk mounted.*\?"):
            asyncio.run(look(LakeKind.REAL))
        with caplog.at_level(logging.WARNING):
            asyncio.run(look(None))
        [told] = [record.getMessage() for record in caplog.records]
        assert told.startswith(f"lake {lake.address} is empty, but ledger")
    assert ledger.forget_lake() == 1
    assert asyncio.run(_use(lake, ledger)).id == mark.id
    known = ledger.identity.lake()
    assert known is not None
    assert known.url == lake.address
    with pytest.raises(MismatchError, match="use another ledger"):
        asyncio.run(check_pairing(_lake(tmp_path / "other"), ledger, LakeKind.REAL))


def test_a_ledger_that_has_forgotten_its_lake_may_be_of_another_one_of_that_kind(
    lake: Store, ledger: Ledger, tmp_path: Path
) -> None:
    mark = asyncio.run(_use(lake, ledger))
    ledger.forget_lake()
    other = _lake(tmp_path / "other")
    with pytest.raises(MismatchError, match="neither empty nor a sandbox's"):
        asyncio.run(check_pairing(other, ledger, LakeKind.SANDBOX))
    assert asyncio.run(_use(other, ledger)).id == mark.id


def test_looking_at_a_folder_that_is_not_there_says_so_once(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    none = Store((tmp_path / "none").as_uri())
    with caplog.at_level(logging.WARNING):
        asyncio.run(check_pairing(none, ledger, None, folders=["a"]))
    [told] = [record.getMessage() for record in caplog.records]
    assert told == f"lake {none.address}: there is no such folder yet; a run that fetches makes it"
    assert not (tmp_path / "none").exists()


def test_looking_without_a_ledger_says_so_in_one_line(
    lake: Store, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told(looked_at: Store) -> str:
        caplog.clear()
        with closing(Ledger(f"sqlite:///{tmp_path}/none.db", Access.LOOK)) as none, caplog.at_level(logging.WARNING):
            asyncio.run(check_pairing(looked_at, none, None))
        return "\n".join(record.getMessage() for record in caplog.records).replace(none.name, "HERE")

    makes_both = "there is no such folder yet, and no ledger at HERE; a run that fetches makes both"
    assert told(Store((tmp_path / "new").as_uri())) == f"lake {(tmp_path / 'new').as_uri()}: {makes_both}"
    assert told(lake) == "", "no run has stored anything in it"
    mark = asyncio.run(_use(lake, ledger))
    begun = f"lake {lake.address} was begun on {mark.made:%Y-%m-%d}, so the ledger is lost, or elsewhere"
    assert told(lake) == f"there is no ledger at HERE: {begun}; the next run makes one"


@pytest.mark.parametrize("first", LakeKind)
def test_a_sandbox_and_a_real_run_that_begin_one_lake_at_once_do_not_share_it(
    lake: Store, ledger: Ledger, tmp_path: Path, first: LakeKind
) -> None:
    [second] = set(LakeKind) - {first}

    async def story() -> None:
        with closing(Ledger(f"sqlite:///{tmp_path / 'other.db'}")) as other:
            found = {kind: await check_pairing(lake, ledger, kind) for kind in LakeKind}
            await write_mark(lake, ledger, found[first])
            with pytest.raises(MismatchError, match="invented"):
                await write_mark(lake, other, found[second])
            assert other.identity.lake() is None

    asyncio.run(story())


def test_only_a_sandbox_needs_to_know_that_a_lake_is_empty(
    lake: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied() -> bool:
        raise LakeError("who may read some folders only cannot list all of the bucket")

    monkeypatch.setattr(lake, "is_empty", denied)
    for kind in (None, LakeKind.REAL):
        assert not asyncio.run(check_pairing(lake, ledger, kind)).is_marked
    with pytest.raises(LakeError):
        asyncio.run(check_pairing(lake, ledger, LakeKind.SANDBOX))


def test_a_lake_that_does_not_answer_soon_is_said_to_be_waited_for(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowLake(Store):
        async def get(self, key: str) -> tuple[bytes, LakeObject]:
            async with asyncio.timeout(10):
                while not caplog.records:  # until it is told
                    await asyncio.sleep(0)
            return await super().get(key)

    monkeypatch.setattr("tasks.observe.slowness._SOON", timedelta(0))
    slow = SlowLake(tmp_path.as_uri())
    asyncio.run(check_pairing(slow, ledger, None))
    [told] = [record.getMessage() for record in caplog.records]
    assert told == f"lake {slow.address} has not answered for 0s; waiting for it"
