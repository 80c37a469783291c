"""Are the LIST requests of a session counted, whatever becomes of what it lists for?"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest

from config.models import Config
from tasks.domain.access import Access
from tasks.domain.errors import LakeError
from tasks.domain.expected.cells import Selection
from tasks.domain.metrics import LIST_REQUESTS, series_of
from tasks.ledger import Ledger
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.session import open_session
from tests.builders import a_config
from tests.servers import Handler, serving, use_s3

EMPTY = (
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>lake</Name><KeyCount>0</KeyCount>'
    b"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)
LISTED, REFUSED = "espn_summary", "nba_playbyplay"


class S3(Handler):
    """An S3 that lists the empty folders of a lake, and refuses one of them."""

    answered: ClassVar[list[str]] = []

    def respond(self) -> None:
        if "list-type=2" not in self.path:
            self.answer(404)
        elif f"{REFUSED}/" in unquote(self.path):
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        else:
            self.answered.append(self.path)
            self.answer(200, EMPTY)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """The configuration with such a lake, of which one folder is listed after another."""
    S3.answered.clear()
    with serving(S3) as url:
        use_s3(monkeypatch, url)
        one_by_one = a_config().reconcile.model_copy(update={"lake_connections": 1})
        yield a_config(lake="s3://lake", ledger=f"sqlite:///{tmp_path / 'ledger.db'}", reconcile=one_by_one)


def _counted(config: Config) -> float:
    with closing(Ledger(config.ledger)) as ledger:
        return ledger.totals.current().get(series_of(LIST_REQUESTS), 0)


def test_requests_of_a_look_are_counted_when_it_ends(config: Config) -> None:
    async def look() -> None:
        async with open_session(config, Selection(datasets=(LISTED,)), access=Access.RUN) as session:
            S3.answered.clear()  # those that were not for files
            await look_at_lake(session, Reader(session, 0), remember=True)
            assert _counted(config) == len(S3.answered) > 0

    asyncio.run(look())


def test_requests_of_a_listing_that_fails_are_counted(config: Config) -> None:
    async def fail() -> None:
        async with open_session(config, Selection(), access=Access.RUN) as session:
            S3.answered.clear()
            await session.lake.list([LISTED, REFUSED])

    with pytest.raises(LakeError, match="AccessDenied"):
        asyncio.run(fail())
    assert _counted(config) == len(S3.answered) == 1


def test_what_only_reads_the_ledger_counts_nothing(config: Config) -> None:
    async def read() -> None:
        async with open_session(config, Selection()) as session:
            await session.lake.list([LISTED])

    with closing(Ledger(config.ledger)):
        asyncio.run(read())
    assert (_counted(config), len(S3.answered) > 0) == (0, True)
