"""What may somebody do with the ledger who only reads it, and who migrates it?"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from tasks.domain.access import Access
from tasks.domain.errors import LedgerError
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tests.builders import NOW, a_gap
from tests.old_ledger import make_old_ledger

READING = [Access.LOOK, Access.READ]


def _gaps(ledger: Ledger) -> int:
    return len(ledger.gaps.first_seen())


def _record(url: str, *numbers: int) -> None:
    with closing(Ledger(url)) as ledger:
        ledger.gaps.record([a_gap(n) for n in numbers])


@pytest.mark.parametrize("access", READING)
def test_who_reads_sees_the_ledger_as_it_was_when_it_was_opened_and_changes_nothing(url: str, access: Access) -> None:
    _record(url, 1)
    with closing(Ledger(url, access)) as ledger:
        assert _gaps(ledger) == 1
        _record(url, 2, 3)
        assert _gaps(ledger) == 1
        with pytest.raises(LedgerError, match=r"cannot be written: .*read-?only"):
            ledger.gaps.record([a_gap(4)])
    with closing(Ledger(url, access)) as ledger:
        assert _gaps(ledger) == 3


def test_what_is_read_together_is_as_of_one_moment_though_others_write_meanwhile(url: str) -> None:
    with closing(Ledger(url)) as ledger:

        def read() -> list[int]:
            before = _gaps(ledger)
            _record(url, 1)
            return [before, _gaps(ledger)]

        assert ledger.database.read_together(read) == [0, 0]
        assert _gaps(ledger) == 1


def test_what_is_read_together_may_read_together_itself(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        database = ledger.database

        def read() -> list[int]:
            before = database.read_together(lambda: _gaps(ledger))
            _record(url, 1)
            return [before, _gaps(ledger)]

        assert database.read_together(read) == [0, 0]


def test_only_a_value_that_cannot_be_read_means_that_the_ledger_is_damaged(url: str) -> None:
    def fail(*_: object) -> None:
        raise ValueError("13 is no dataset")

    with closing(Ledger(url)) as ledger:
        with pytest.raises(ValueError, match="13 is no dataset"):
            ledger.database.read_together(fail)
        with pytest.raises(LedgerError, match="malformed: 13 is no dataset"):
            ledger.database.read_together(lambda: ledger.database.read(fail))
        with pytest.raises(LedgerError, match="malformed: 13 is no dataset"):
            ledger.database.read(fail)


def test_a_look_without_a_ledger_sees_an_empty_one_and_makes_none(url: str, tmp_path: Path) -> None:
    with closing(Ledger(url, Access.LOOK)) as ledger:
        assert not ledger.database.is_there
        assert (_gaps(ledger), ledger.identity.lake(), ledger.objects.examined()) == (0, None, {})
        assert {*ledger.check().values()} == {0}
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.gaps.record([a_gap(1)])
    with pytest.raises(LedgerError, match=r"^there is no ledger at "):
        Ledger(url, Access.READ)
    assert list(tmp_path.iterdir()) == []
    nowhere = f"sqlite:///{tmp_path}/none/ledger.db"
    Ledger(nowhere, Access.LOOK).close()
    with pytest.raises(LedgerError, match=f"cannot be opened: there is no folder {tmp_path}/none; make it$"):
        Ledger(nowhere)


def test_only_who_may_migrate_an_older_ledger_does_and_a_copy_of_its_file_is_kept(url: str, tmp_path: Path) -> None:
    make_old_ledger(url, "0018")
    for access in (*READING, Access.CHANGE):
        for _ in range(2):
            with pytest.raises(LedgerError, match=r"its schema 0018 is older .*; stop .* `adce ledger migrate`$"):
                Ledger(url, access)
    assert list(tmp_path.glob("*.schema-*")) == []
    with closing(Ledger(url, Access.MIGRATE)) as ledger:
        migration = ledger.database.migration
        assert migration
        assert (migration.before, migration.after) == ("0018", ledger.database.schema)
    copies = list(tmp_path.glob("ledger.db.schema-0018.20*"))
    assert [migration.copy] == (copies if url.startswith("sqlite") else [None])
    for copy in copies:
        with pytest.raises(LedgerError, match="its schema 0018 is older"):
            Ledger(f"sqlite:///{copy}", Access.READ)
    with closing(Ledger(url)) as ledger:
        assert ledger.database.migration is None


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    rest = disk / "rest"
    with rest.open("wb", buffering=0) as file:
        for size in (100_000, 1000, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    yield
    rest.unlink()


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@pytest.mark.parametrize("trouble", [_full, _read_only])
def test_a_ledger_on_a_full_or_read_only_disk_is_read_and_who_writes_gets_a_line(
    small_disk: Path, trouble: Callable[[Path], AbstractContextManager[None]], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{small_disk}/ledger.db"
    _record(url, 1)
    log = small_disk / "ledger.db-wal"
    with closing(Ledger(url)):
        kept = log.read_bytes()
    assert not log.exists()
    with trouble(small_disk):
        with closing(Ledger(url, Access.LOOK)) as ledger:
            assert _gaps(ledger) == 1
        with pytest.raises(LedgerError, match=r"cannot be (opened|written): .*; make (room|the file|its folder)"):
            _record(url, *range(2, 2000))
    assert caplog.text == ""
    log.write_bytes(kept or b"x")
    (small_disk / "ledger.db-shm").unlink(missing_ok=True)
    with trouble(small_disk), closing(Ledger(url, Access.LOOK)) as ledger:
        assert _gaps(ledger) == 1
    assert "its last changes, in " in caplog.text


def test_claims_are_read_without_a_ledger(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/none.db", Access.LOOK)) as ledger:
        assert Leases(ledger.database, "run", NOW - NOW).claims() == {}
        with pytest.raises(LedgerError):
            ledger.database.write(lambda connection: connection.execute(sa.text("DELETE FROM leases")))
