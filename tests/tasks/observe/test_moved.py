"""A file that was moved to its own name and a slash is missing, though S3 lists it as before."""

import asyncio
import logging
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from blocks.store import Store
from config.models import Collect
from tasks.domain.assess.states import Examination, Kind
from tasks.domain.assess.verdicts import whole
from tasks.domain.expected.cells import Selection, calendar_cells
from tasks.ledger import Ledger
from tasks.observe.listing import check_ids
from tasks.observe.look import Look, Reader, look_at_lake, objects_of
from tasks.observe.session import Session
from tests.builders import a_config
from tests.servers import use_s3

NOW = datetime(2026, 1, 9, 5, tzinfo=UTC)
DAYS = [date(2026, 1, 5) + timedelta(days=n) for n in range(4)]
CONFIG = a_config().model_copy(
    update={
        "datasets": {"espn_scoreboard": a_config().datasets["espn_scoreboard"]},
        "collect": Collect(since=DAYS[0]),
    }
)
MOVED, TOUCHED, UNKNOWN, SAME = KEYS = [f"espn_schedules/{day:%Y%m%d}.json" for day in DAYS]
BODY = b"{}".ljust(5000)


class Lake(Store):
    """A lake in S3 that remembers which files it was asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[str] = []

    async def files_among(self, keys: Collection[str]) -> tuple[Collection[str], int]:
        self.asked += keys
        found, requests = await super().files_among(keys)
        return [key for key in keys if key in found], requests


@pytest.fixture
def session(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A lake of which every file was read as it is listed, except that the time of one is not known."""
    use_s3(monkeypatch, s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="moved")
    for key in KEYS:
        client.put_object(Bucket="moved", Key=f"nba/{key}", Body=BODY)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    session = Session(CONFIG, Selection(), Lake("s3://moved/nba"), ledger, NOW, begun=NOW)
    listed = asyncio.run(session.lake.list(["espn_schedules"]))
    check = check_ids(CONFIG)["espn_scoreboard"]
    seen = {key: Examination(have.etag, have.size, check, whole(), have.modified, True) for key, have in listed.items()}
    ledger.objects.record(seen, objects={key: have for key, have in listed.items() if key != UNKNOWN})
    yield session
    ledger.close()


def _age(session: Session, *keys: str) -> None:
    """Makes the ledger know the files by a time that is long ago."""
    known = session.ledger.objects.known()
    session.ledger.objects.keep_times(known[key]._replace(modified=NOW - timedelta(days=9)) for key in keys)


def _look(session: Session) -> Look:
    assert isinstance(session.lake, Lake)
    session.lake.asked.clear()
    return asyncio.run(look_at_lake(session, Reader(session, 0), remember=True))


def _gaps(look: Look) -> dict[str, Kind | None]:
    return {gap.cell.key: gap.kind for gap in look.gaps()}


def test_a_file_with_another_time_is_asked_for_once(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    lake, client = session.lake, boto3.client("s3")
    assert isinstance(lake, Lake)
    assert (_gaps(_look(session)), lake.asked) == ({}, []), "at a first look, a time that is not known says nothing"
    _age(session, MOVED, TOUCHED)
    client.delete_object(Bucket="moved", Key=f"nba/{MOVED}")
    client.put_object(Bucket="moved", Key=f"nba/{MOVED}/", Body=BODY)
    before = session.ledger.judgements.ranges()
    with caplog.at_level(logging.WARNING, "tasks.observe.moved"):
        session.ledger.database.write(session.ledger.judgements.forget)
        look = _look(session)
    assert _gaps(look) == {MOVED: Kind.VANISHED}
    assert set(lake.asked) == {MOVED, TOUCHED}
    [said] = [record.message for record in caplog.records if record.name == "tasks.observe.moved"]
    assert said.startswith(f"{MOVED} is listed, but not there: ")
    assert before == session.ledger.judgements.ranges()
    assert _gaps(_look(session)) == {MOVED: Kind.VANISHED}
    assert set(lake.asked) == {MOVED, UNKNOWN}, "something has changed near the one whose time was not known"
    client.put_object(Bucket="moved", Key=f"nba/{MOVED}", Body=BODY)
    assert _gaps(_look(session)) == {}, "the name is that of a file again"
    _look(session)
    assert lake.asked == []


def test_files_that_are_listed_for_a_watch_are_asked_for_too(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    _age(session, MOVED)
    client = boto3.client("s3")
    client.delete_object(Bucket="moved", Key=f"nba/{MOVED}")
    client.put_object(Bucket="moved", Key=f"nba/{MOVED}/", Body=BODY)
    monkeypatch.setattr("tasks.observe.look._FEW_CELLS", 0)
    cells = {cell.key: cell for cell in calendar_cells(CONFIG, NOW) if cell.key in KEYS}
    found = asyncio.run(objects_of(session, cells))
    assert set(found) == set(KEYS) - {MOVED}
