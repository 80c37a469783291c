"""Which judgements does the ledger keep, and of which files has it learnt something since?"""

import itertools
import zlib
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.domain.assess.absences import Absence
from tasks.domain.assess.overview import Standing, Stored
from tasks.domain.assess.partitions import ExceptionalFile, Judgement
from tasks.domain.assess.ranges import Verified
from tasks.domain.assess.states import Examination, Kind, State, Status, Unreadable, content_of
from tasks.domain.assess.verdicts import whole
from tasks.domain.expected.cells import Partition
from tasks.domain.reasons import Limit
from tasks.ledger import Ledger, judgements
from tasks.ledger.judgement_rows import UnreadableRowError, judgement_in, packed_keys, ranges_in, row_of
from tasks.ledger.judgements import Made, Recalled, judgements_table
from tests.builders import NOW, a_game, an_object

HOUR = timedelta(hours=1)
BOXES, BOARDS = Partition("espn_summary", "2025-26"), Partition("espn_scoreboard", "2025-26")
DEFERRED = Status(
    State.DEFERRED, "source paused", Kind.STALE, NOW + HOUR, lost=True, limit=Limit.BACKOFF, of="espn", partial=True
)
JUDGEMENT = Judgement(
    NOW - HOUR,
    NOW + HOUR,
    ["", "b.json"],
    Stored(2, 200),
    "of games",
    {
        "2026-01-13": {
            Standing(State.PRESENT): 2,
            Standing(State.UNAVAILABLE, by_operator=True): 1,
            Standing(State.DEFERRED, unread=True): 3,
        },
        "": {},
    },
    [
        ExceptionalFile("a.json", DEFERRED, a_game()),
        ExceptionalFile("b.json", Status(State.GAP, "not in the lake", Kind.MISSING), a_game(start=None)),
        ExceptionalFile("c.json", Status(State.PRESENT, "up to date", until=NOW), None),
    ],
)
FOR_EVER = replace(JUDGEMENT, until=None, ranges=[], exceptions=[], counts={})
KEYS = ["a.json", "b.json", "c.json"]
DIGEST, OTHER = "0123456789abcdef" * 2, "f" * 32
RANGES = {"": Verified(DIGEST, NOW), "b.json": Verified("")}


def _recall(ledger: Ledger, rules: str = "rules", now: datetime = NOW) -> Recalled:
    return ledger.judgements.recall(rules, now)


def _keep(ledger: Ledger, new: dict[Partition, Judgement], held: Collection[Partition] = ()) -> None:
    _keep_since(ledger, new, _recall(ledger), held)


def _keep_since(
    ledger: Ledger, new: dict[Partition, Judgement], since: Recalled, held: Collection[Partition] = ()
) -> None:
    made = {partition: Made.of(judgement, KEYS) for partition, judgement in new.items()}
    ledger.judgements.keep(made, held, "rules", since, RANGES)


def test_a_judgement_is_recalled_as_it_was_kept(url: str) -> None:
    ledger = Ledger(url)
    kept = {BOXES: JUDGEMENT, BOARDS: FOR_EVER}
    _keep(ledger, kept)
    found = _recall(ledger)
    assert (found.judgements, found.partitions, found.touched) == (kept, kept.keys(), {})
    assert found.ranges == RANGES
    assert [ledger.judgements.keys(partition) for partition in (BOXES, Partition("espn_odds", "2025-26"))] == [KEYS, []]
    assert _recall(ledger, "other rules") == replace(found, judgements={}, is_complete=False)
    assert _recall(ledger, now=NOW + HOUR).judgements == {BOARDS: FOR_EVER}, "the other has expired"
    assert _recall(ledger, now=NOW - 2 * HOUR).judgements == {}, "they were made later"
    ledger.close()


def test_a_judgement_is_replaced_or_deleted_and_held_ones_stay(url: str) -> None:
    ledger = Ledger(url)
    _keep(ledger, {BOXES: JUDGEMENT, BOARDS: FOR_EVER})
    _keep(ledger, {BOXES: FOR_EVER}, [BOARDS])
    assert _recall(ledger).judgements == {BOXES: FOR_EVER, BOARDS: FOR_EVER}
    _keep(ledger, {}, [BOXES])
    assert _recall(ledger).judgements == {BOXES: FOR_EVER}
    ledger.close()


def test_a_look_does_not_replace_the_judgements_of_one_that_began_later(url: str) -> None:
    ledger = Ledger(url)
    ledger.objects.record({"a": Examination("etag", 1, "check", whole())})
    slow, fast = (_recall(ledger) for _ in range(2))
    _keep_since(ledger, {BOXES: JUDGEMENT}, fast)
    ledger.objects.record({"b": Examination("etag", 1, "check", whole())})
    _keep_since(ledger, {BOXES: replace(JUDGEMENT, exceptions=[])}, slow)
    found = _recall(ledger)
    assert found.judgements == {BOXES: JUDGEMENT}, "though both were judged at the same time"
    assert list(found.touched.values()) == ["b"]
    ledger.close()


def test_what_is_learnt_after_a_look_began_stays_to_be_judged(url: str) -> None:
    ledger = Ledger(url)
    have = an_object(key="unreadable")
    ledger.objects.record({"examined": Examination("etag", 1, "check", whole())})
    ledger.objects.record({}, {"unreadable": Unreadable(content_of(have), "archived", NOW, NOW)})
    ledger.absences.record([Absence("absent", "HTTP 404", NOW, NOW)])
    before = _recall(ledger)
    assert sorted(before.touched.values()) == ["absent", "examined", "unreadable"]
    ledger.absences.clear(["absent", "never there"])
    _keep_since(ledger, {}, before)
    after = _recall(ledger)
    assert list(after.touched.values()) == ["absent"]
    _keep_since(ledger, {}, after)
    ledger.absences.record([Absence("absent", "HTTP 404", NOW, NOW)])
    assert not _recall(ledger).touched.keys() & after.touched.keys(), "no number is used twice"
    ledger.close()


class Killed(BaseException):
    """The process is killed."""


@pytest.mark.parametrize("parts", range(4))
def test_judgements_of_which_some_parts_were_stored_are_made_anew(
    url: str, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(judgements, "_PARTITIONS", 1)
    monkeypatch.setattr(judgements, "_ROWS", 1)
    ledger, others = Ledger(url), Partition("espn_box", "2025-26")
    first, second = {BOXES: JUDGEMENT, BOARDS: FOR_EVER}, {BOXES: FOR_EVER, others: JUDGEMENT}
    _keep(ledger, first)
    ledger.objects.record(dict.fromkeys("ab", Examination("etag", 1, "check", whole())))
    before, usual, count = _recall(ledger), ledger.database.write, itertools.count()

    def write(work: Any) -> Any:
        if next(count) == parts:
            raise Killed
        return usual(work)

    monkeypatch.setattr(ledger.database, "write", write)
    with pytest.raises(Killed):
        _keep_since(ledger, second, before)
    monkeypatch.setattr(ledger.database, "write", usual)
    found = _recall(ledger)
    assert found.judgements == (first if parts == 0 else second if parts == 3 else {})
    assert found.touched == before.touched, "what was touched is judged until a whole set is stored"
    _keep_since(ledger, second, before)
    assert _recall(ledger).judgements == (second if parts in (0, 3) else {}), "the set is another by then"
    _keep_since(ledger, second, _recall(ledger))
    assert (_recall(ledger).judgements, _recall(ledger).touched) == (second, {})
    ledger.close()


def test_a_look_that_stores_its_judgements_in_parts_gives_way_to_one_that_begins_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgements, "_PARTITIONS", 1)
    ledger = Ledger(url)
    before, usual, other = _recall(ledger), ledger.database.write, {BOXES: FOR_EVER}

    def write(work: Any) -> Any:
        done = usual(work)
        monkeypatch.setattr(ledger.database, "write", usual)
        between = _recall(ledger)
        assert (between.judgements, between.partitions) == ({}, {BOARDS})
        _keep_since(ledger, other, before)
        assert _recall(ledger) == between, "it began too early"
        _keep_since(ledger, other, between)
        return done

    monkeypatch.setattr(ledger.database, "write", write)
    _keep_since(ledger, {BOXES: JUDGEMENT, BOARDS: JUDGEMENT}, before)
    assert _recall(ledger).judgements == other
    ledger.close()


def test_judgements_are_forgotten_with_the_lake_also_those_of_a_look_that_goes_on(url: str) -> None:
    ledger = Ledger(url)
    going_on = _recall(ledger)
    _keep(ledger, {BOXES: JUDGEMENT})
    ledger.forget_lake()
    assert _recall(ledger).partitions == frozenset()
    _keep_since(ledger, {BOXES: JUDGEMENT}, going_on)
    assert _recall(ledger).partitions == frozenset()
    ledger.close()


def test_all_judgements_are_forgotten_when_no_look_reads_what_was_touched(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgements, "_MOST_TOUCHED", 2)
    ledger = Ledger(url)
    _keep(ledger, {BOXES: JUDGEMENT})
    for keys, partitions in (("ab", {BOXES}), ("c", set())):
        ledger.objects.record({key: Examination("etag", 1, "check", whole()) for key in keys})
        ledger.prune(NOW)
        assert _recall(ledger).partitions == partitions
    assert _recall(ledger).touched == {}
    ledger.close()


def test_if_a_judgement_is_missing_all_are_made_anew(url: str) -> None:
    ledger = Ledger(url)
    _keep(ledger, {BOXES: JUDGEMENT, BOARDS: FOR_EVER})
    boards = judgements_table.c.dataset == BOARDS.dataset
    ledger.database.write(lambda connection: connection.execute(judgements_table.delete().where(boards)))
    found = _recall(ledger)
    assert (found.judgements, found.partitions) == ({}, {BOXES})
    _keep(ledger, {BOXES: JUDGEMENT})
    assert _recall(ledger).judgements == {BOXES: JUDGEMENT}
    ledger.close()


_OF_BOXES = (
    "the ledger's judgement of espn_summary 2025-26 cannot be read, and is made anew: it is not as it was stored"
)
_OF_ALL = "the ledger's judgements cannot be read, and are made anew: "
_OF_RANGES = "the ledger's digests of the listing cannot be read, and are made anew: "
_ANOTHER_SET = "INSERT INTO judgement_sets SELECT {}, {}, partitions, ranges FROM judgement_sets"
_EITHER_ANEW = [
    (
        "UPDATE judgements SET content = ''",
        "the ledger's judgement of espn_scoreboard 2025-26, and of 1 other partition,",
    ),
    ("UPDATE judgements SET until = 1e300 WHERE dataset = 'espn_summary'", _OF_BOXES),
    ("UPDATE judgements SET judged = -1 WHERE dataset = 'espn_summary'", _OF_BOXES),
    ("UPDATE judgements SET games = 'of others' WHERE dataset = 'espn_summary'", _OF_BOXES),
    (
        "UPDATE judgements SET content = (SELECT content FROM judgements WHERE dataset = 'espn_scoreboard') "
        "WHERE dataset = 'espn_summary'",
        _OF_BOXES,
    ),
    ("DELETE FROM judgements WHERE dataset = 'espn_summary'", f"{_OF_ALL}rows are missing, or surplus"),
    ("UPDATE judgements SET dataset = 'espn_box' WHERE dataset = 'espn_summary'", f"{_OF_ALL}rows are missing"),
    ("DELETE FROM judgement_sets", f"{_OF_ALL}rows are missing, or surplus"),
    ("UPDATE judgement_sets SET partitions = 'others'", f"{_OF_ALL}rows are missing, or surplus"),
    (_ANOTHER_SET.format("'other'", "id"), f"{_OF_ALL}judgement_sets has 2 rows instead of one"),
    (_ANOTHER_SET.format("'other'", "'another'"), f"{_OF_ALL}judgement_sets has 2 rows instead of one"),
    ("UPDATE judgement_sets SET ranges = ''", f"{_OF_RANGES}they are not as they were stored"),
]
_ONLY_OF_SQLITE = [
    ("UPDATE judgements SET content = -5 WHERE dataset = 'espn_summary'", _OF_BOXES),
    ("UPDATE judgements SET content = 'text' WHERE dataset = 'espn_summary'", _OF_BOXES),
    ("UPDATE judgements SET judged = 'soon' WHERE dataset = 'espn_summary'", _OF_BOXES),
    ("UPDATE judgements SET season = x'00' WHERE dataset = 'espn_summary'", f"{_OF_ALL}the name of a file, a dataset"),
    ("UPDATE judgements SET season = CAST(x'ff' AS TEXT) WHERE dataset = 'espn_summary'", f"{_OF_ALL}a text is not in"),
    ("INSERT INTO touched(key) VALUES (x'00')", f"{_OF_ALL}the name of a file, a dataset or a season is not text"),
    ("INSERT INTO touched(key) VALUES (CAST(x'ff' AS TEXT))", f"{_OF_ALL}a text is not in UTF-8"),
    ("UPDATE judgement_sets SET id = x'00'", f"{_OF_ALL}a value of judgement_sets is not text"),
    ("UPDATE judgement_sets SET id = CAST(x'ff' AS TEXT)", f"{_OF_ALL}a text is not in UTF-8"),
    (_ANOTHER_SET.format("x'00'", "CAST(x'ff' AS TEXT)"), f"{_OF_ALL}a text is not in UTF-8"),
    (_ANOTHER_SET.format("CAST(x'ff' AS TEXT)", "id"), f"{_OF_ALL}judgement_sets has 2 rows instead of one"),
    ("UPDATE judgement_sets SET ranges = -5", f"{_OF_RANGES}they are not as they were stored"),
]


def test_whatever_is_damaged_is_told_and_made_anew(url: str, caplog: pytest.LogCaptureFixture) -> None:
    ledger, kept = Ledger(url), {BOXES: JUDGEMENT, BOARDS: FOR_EVER}
    for damage, said in _EITHER_ANEW + (_ONLY_OF_SQLITE if url.startswith("sqlite") else []):
        _keep(ledger, kept)
        assert _recall(ledger) == replace(_recall(ledger), judgements=kept, ranges=RANGES, damages=[], touched={})
        ledger.database.write(lambda connection, damage=damage: connection.execute(sa.text(damage)))
        caplog.clear()
        found = _recall(ledger)
        assert not found.is_complete, damage
        assert found.judgements.items() <= ({BOARDS: FOR_EVER} if said == _OF_BOXES else {}).items(), damage
        assert [record.message.startswith(said) for record in caplog.records] == [True], damage
        assert [str(one) for one in ledger.judgements.damages("rules", NOW)] == [caplog.records[0].message]
        assert ledger.judgements.ranges() in ([], list(RANGES)), damage
        assert ledger.judgements.has_recorded_a_look() == (damage != "DELETE FROM judgement_sets")
        late = replace(found, id="another")
        _keep_since(ledger, {}, late)
        assert _recall(ledger) == found, f"{damage}: another look has stored its judgements"
    ledger.close()


def test_the_keys_of_another_judgement_are_not_taken_for_its_own(url: str) -> None:
    ledger = Ledger(url)
    _keep(ledger, {BOXES: JUDGEMENT})
    assert ledger.judgements.keys(BOXES) == KEYS
    others = judgements_table.update().values(keys=packed_keys(["another"]))
    ledger.database.write(lambda connection: connection.execute(others))
    assert ledger.judgements.keys(BOXES) == []
    ledger.close()


@pytest.mark.parametrize(
    ("ranges", "why"),
    [
        (b"[]", "they are not as they were stored"),
        (b"{", "they are not as they were stored"),
        (b"[" * 100_000, "they are not as they were stored"),
        (b'{"":["abcd",null]}', "a digest does not have 16 bytes"),
        (b'{"":[5,null]}', "they are not as they were stored"),
        (b'{"":["",-1e30]}', "they are not as they were stored"),
        (b'{"b":["",null],"":["",null]}', "the ranges of keys are not in their order"),
    ],
    ids=range(7),
)
def test_digests_of_ranges_are_only_used_as_they_were_stored(ranges: bytes, why: str) -> None:
    with pytest.raises(UnreadableRowError, match=why):
        ranges_in(zlib.compress(ranges))


def test_digests_of_a_former_release_have_no_time() -> None:
    assert ranges_in(zlib.compress(f'{{"":"{DIGEST}"}}'.encode())) == {"": Verified(DIGEST, None)}


def test_a_judgement_is_only_used_with_the_digests_of_the_ranges_that_it_rests_on() -> None:
    row = row_of(BOXES, JUDGEMENT, packed_keys(KEYS), "rules", RANGES)
    stored = ((NOW - HOUR).timestamp(), (NOW + HOUR).timestamp(), row["games"], row["content"])
    assert judgement_in(BOXES, "rules", RANGES | {"c": Verified(OTHER)}, *stored) == JUDGEMENT
    for other in ({"": Verified(OTHER, NOW), "b.json": Verified("")}, {"": Verified(DIGEST, NOW)}):
        with pytest.raises(UnreadableRowError):
            judgement_in(BOXES, "rules", other, *stored)


def test_of_judgements_whose_time_has_come_the_ranges_are_recalled(url: str) -> None:
    ledger = Ledger(url)
    _keep(ledger, {BOXES: JUDGEMENT, BOARDS: FOR_EVER})
    now, later, other = _recall(ledger), _recall(ledger, now=NOW + HOUR), _recall(ledger, "other rules")
    assert (now.expired, now.is_complete) == (frozenset(), True)
    assert (later.expired, later.is_complete) == ({"", "b.json"}, True)
    assert (other.expired, other.is_complete) == (frozenset(), False)
    ledger.close()


def test_a_change_of_the_listing_alone_is_kept_as_well(url: str) -> None:
    ledger = Ledger(url)
    _keep(ledger, {BOXES: JUDGEMENT})
    listed = RANGES | {"c.json": Verified(OTHER, NOW)}
    ledger.judgements.keep({}, [BOXES], "rules", _recall(ledger), listed)
    found = _recall(ledger)
    assert (found.ranges, found.judgements) == (listed, {BOXES: JUDGEMENT})
    ledger.close()
