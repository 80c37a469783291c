"""Which stored bodies are read, in which order, and what is found?"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from blocks.store import Store
from tasks.domain.assess.states import Examination, LakeObject, Unreadable, content_of, version_of
from tasks.domain.assess.verdicts import Wholeness, bad, whole
from tasks.domain.expected.cells import Cell, Selection
from tasks.ledger import Ledger
from tasks.observe.knowledge import Knowledge
from tasks.observe.listing import Findings, check_id, examine_stored
from tasks.observe.look import Reader
from tasks.observe.session import Session
from tests.builders import a_board, a_cell, a_config
from tests.servers import http_server, use_s3

CONFIG = a_config()
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FORMER = "by a former check"


def _cell(n: int) -> Cell:
    """The later the higher the number."""
    day = date(2026, 1, 1) + timedelta(days=n)
    return a_cell(key=f"espn_box_scores/{n}.json", fields={"id": f"{n}", "end_year": "2026"}, last_day=day)


def test_new_options_of_checks_leave_the_ids_of_others_as_they_were() -> None:
    """Else every file of every lake would be read again."""
    totals = CONFIG.datasets["br_totals"]
    assert check_id(totals) == "5fc094f98817"
    other = totals.check.model_copy(update={"must_have": ["PTS"]})
    assert check_id(totals.model_copy(update={"check": other})) != "5fc094f98817"


class Cold:
    """A bucket of which some objects are archived."""

    def __init__(self, name: str):
        self.name = name
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=name)
        self.lake = Store(f"s3://{name}")
        self.objects: dict[str, LakeObject] = {}
        self.cells: dict[str, Cell] = {}

    def pause(self, n: int, *, archived: bool = False) -> str:
        cell = self.cells[f"espn_box_scores/{n}.json"] = _cell(n)
        body = json.dumps({"header": {"id": f"{n}"}, "padding": "." * 1000}).encode()
        storage = "DEEP_ARCHIVE" if archived else "STANDARD"
        self.s3.put_object(Bucket=self.name, Key=cell.key, Body=body, StorageClass=storage)
        self.objects[cell.key] = asyncio.run(self.lake.find(cell.key))
        return cell.key

    def read(
        self,
        at_most: int = 100,
        known: Mapping[str, Examination] | None = None,
        unreadable: Mapping[str, Unreadable] | None = None,
        since: datetime | None = None,
    ) -> Findings:
        cells = self.cells.values()
        return asyncio.run(
            examine_stored(self.lake, CONFIG, cells, self.objects, known or {}, unreadable or {}, at_most, since)
        )

    def refusal(self, key: str, hours: float = 0) -> Unreadable:
        tried = LONG_AGO + timedelta(hours=hours)
        return Unreadable(content_of(self.objects[key]), "it is archived", LONG_AGO, tried)


@pytest.fixture
def cold(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cold:
    use_s3(monkeypatch, s3)
    return Cold("cold-" + tmp_path.name.replace("_", "-").lower()[-40:])


def test_what_the_lake_does_not_give_is_told_and_the_rest_is_read(cold: Cold) -> None:
    readable, archived = cold.pause(1), cold.pause(2, archived=True)
    found = cold.read()
    assert list(found.read) == [readable]
    assert list(found.unreadable) == [archived]
    refused = found.unreadable[archived]
    assert refused.is_of(cold.objects[archived])
    assert refused.reason == "it is archived; restore it (InvalidObjectState)"
    assert found.lake_error is None


def test_what_was_unreadable_is_read_when_it_can_be(cold: Cold) -> None:
    key = cold.pause(1, archived=True)
    before = cold.read().unreadable
    assert cold.read(unreadable=before).unreadable[key].first == before[key].first
    assert cold.read(unreadable=before).unreadable[key].last > before[key].last
    assert len(cold.read(unreadable=before, since=before[key].last)) == 0, "once a run"
    ahead = {key: before[key]._replace(last=before[key].last + timedelta(days=365))}
    assert len(cold.read(unreadable=ahead, since=before[key].last)) == 1, "that was under a wrong clock"
    cold.s3.restore_object(Bucket=cold.name, Key=key, RestoreRequest={"Days": 1})
    found = cold.read(unreadable=before)
    assert (list(found.read), found.unreadable) == ([key], {})


def test_what_no_check_has_read_comes_first_and_what_a_former_one_called_whole_last(cold: Cold) -> None:
    whole_before, bad_before, newest, never = (cold.pause(n) for n in (4, 3, 2, 1))
    known = {
        key: Examination(*version_of(cold.objects[key], FORMER), verdict)
        for key, verdict in ((whole_before, whole()), (bad_before, bad("junk")))
    }
    assert list(cold.read(2, known).read) != []
    assert set(cold.read(1, known).read) == {bad_before}
    assert set(cold.read(3, known).read) == {bad_before, newest, never}
    assert set(cold.read(4, known).read) == {whole_before, bad_before, newest, never}


def test_of_many_unreadable_files_a_tenth_is_tried_again_the_longest_not_tried_first(cold: Cold) -> None:
    keys = [cold.pause(n, archived=True) for n in range(30)]
    refused = {key: cold.refusal(key, hours=-n) for n, key in enumerate(keys)}
    assert set(cold.read(20, unreadable=refused).unreadable) == {keys[29], keys[28]}
    fresh = {cold.pause(n) for n in range(100, 119)}
    found = cold.read(20, unreadable=refused)
    assert set(found.read) == fresh
    assert set(found.unreadable) == {keys[29]}, "unread files are worth more than another try"


def test_all_are_tried_again_once_one_can_be_read(cold: Cold) -> None:
    keys = [cold.pause(n) for n in range(30)]  # access was granted again
    refused = {key: cold.refusal(key, hours=-n) for n, key in enumerate(keys)}
    assert set(cold.read(20, unreadable=refused).read) == set(keys[10:])


def test_an_object_that_has_gone_meanwhile_is_neither(cold: Cold) -> None:
    key = cold.pause(1)
    cold.s3.delete_object(Bucket=cold.name, Key=key)
    assert len(cold.read()) == 0


def test_what_s3_lists_and_has_nothing_to_read_of_is_not_in_the_lake(cold: Cold, tmp_path: Path) -> None:
    """Such is the marker of a folder that has the name of a file, and a body."""
    key, marker = cold.pause(1), cold.pause(2)
    cold.s3.delete_object(Bucket=cold.name, Key=marker)
    cold.s3.put_object(Bucket=cold.name, Key=f"{marker}/", Body=b"." * 1000)
    known = Knowledge(objects=asyncio.run(cold.lake.list(["espn_box_scores"])))
    assert list(known.objects) == [key, marker]
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    session = Session(CONFIG, Selection(), cold.lake, ledger)
    assert asyncio.run(Reader(session).read(known, cold.cells.values()))
    ledger.close()
    assert list(known.objects) == list(known.examinations) == [key]


def _forbid(code: str) -> Any:
    return http_server(403, f"<Error><Code>{code}</Code></Error>".encode())


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState", "KMS.DisabledException"])
def test_a_refusal_of_an_object_is_about_this_object(cold: Cold, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    keys = {cold.pause(n) for n in range(5)}
    with _forbid(code) as address:
        use_s3(monkeypatch, address)
        cold.lake = Store(f"s3://{cold.name}")
        found = cold.read()
    assert (found.unreadable.keys(), found.lake_error) == (keys, None)
    assert all(code in refused.reason for refused in found.unreadable.values())


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_a_lake_that_does_not_let_us_in_is_no_property_of_its_files(
    cold: Cold, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    for n in range(5):
        cold.pause(n)
    with _forbid(code) as address:
        use_s3(monkeypatch, address)
        cold.lake = Store(f"s3://{cold.name}")
        found = cold.read()
    assert found.unreadable == {}
    assert code in str(found.lake_error)


def test_a_bucket_that_has_gone_is_no_property_of_its_files(cold: Cold) -> None:
    for n in range(5):
        cold.pause(n)
    cold.lake = Store("s3://there-is-none")
    found = cold.read()
    assert (found.unreadable, "NoSuchBucket" in str(found.lake_error)) == ({}, True)


def test_a_former_verdict_gives_way_to_that_of_the_present_check(cold: Cold) -> None:
    key = cold.pause(1)
    version = version_of(cold.objects[key], FORMER)
    found = cold.read(known={key: Examination(*version, whole(), LONG_AGO, agreed=True)})
    assert found.read[key].verdict.wholeness is not Wholeness.WHOLE
    assert (found.read[key].fetched, found.read[key][:3] == version) == (LONG_AGO, False)


@pytest.mark.parametrize(("size", "fetched"), [(0, LONG_AGO), (1, None)], ids=["copied", "another one"])
def test_a_list_is_no_younger_for_having_been_copied_with_its_lake(
    tmp_path: Path, size: int, fetched: datetime | None
) -> None:
    board = a_board(fields={"date": "2026-01-13"})
    body = tmp_path / board.key
    body.parent.mkdir()
    body.write_text(json.dumps({"events": []}).ljust(100))
    lake = Store(f"file:{tmp_path}")
    have = asyncio.run(lake.find(board.key))
    elsewhere = have._replace(etag="elsewhere", size=have.size - size)
    known = {board.key: Examination(*version_of(elsewhere, FORMER), whole(), LONG_AGO)}
    found = asyncio.run(examine_stored(lake, CONFIG, [board], {board.key: have}, known, {}, 1))
    assert (found.read[board.key].verdict, found.read[board.key].fetched) == (whole(), fetched)
