"""Which judgements does the ledger keep, and of which files has it learnt something since?"""

from dataclasses import replace
from datetime import timedelta

from tasks.domain.assess.absences import Absence
from tasks.domain.assess.overview import Standing
from tasks.domain.assess.partitions import ExceptionalFile, Judgement
from tasks.domain.assess.states import Examination, Kind, State, Status, Unreadable, content_of
from tasks.domain.assess.verdicts import whole
from tasks.domain.expected.cells import Partition
from tasks.domain.reasons import Limit
from tasks.ledger import Ledger
from tasks.ledger.judgements import Recalled
from tests.builders import NOW, a_game, an_object

HOUR = timedelta(hours=1)
BOXES, BOARDS = Partition("espn_summary", "2025-26"), Partition("espn_scoreboard", "2025-26")
DEFERRED = Status(
    State.DEFERRED, "source paused", Kind.STALE, NOW + HOUR, lost=True, limit=Limit.BACKOFF, of="espn", partial=True
)
JUDGEMENT = Judgement(
    NOW - HOUR,
    NOW + HOUR,
    ["a.json", "b.json", "c.json"],
    "of objects",
    "of games",
    {"2026-01-13": {Standing(State.PRESENT): 2, Standing(State.UNAVAILABLE, by_operator=True): 1}, "": {}},
    [
        ExceptionalFile("a.json", DEFERRED, a_game()),
        ExceptionalFile("b.json", Status(State.GAP, "not in the lake", Kind.MISSING), a_game(start=None)),
        ExceptionalFile("c.json", Status(State.PRESENT, "up to date", until=NOW), None),
    ],
)
FOR_EVER = replace(JUDGEMENT, until=None, keys=[], exceptions=[], counts={})


def test_a_judgement_is_recalled_as_it_was_kept(url: str) -> None:
    ledger = Ledger(url)
    kept = {BOXES: JUDGEMENT, BOARDS: FOR_EVER}
    ledger.judgements.keep(kept, (), "rules", ledger.judgements.recall("rules", NOW))
    found = ledger.judgements.recall("rules", NOW)
    assert found == Recalled(kept, dict.fromkeys(kept, NOW - HOUR), {})
    assert ledger.judgements.recall("other rules", NOW) == Recalled({}, found.judged, {})
    assert ledger.judgements.recall("rules", NOW + HOUR).judgements == {BOARDS: FOR_EVER}, "the other has expired"
    assert ledger.judgements.recall("rules", NOW - 2 * HOUR).judgements == {}, "they were made later"
    ledger.close()


def test_a_judgement_is_replaced_or_dropped_and_others_stay(url: str) -> None:
    ledger = Ledger(url)
    for new, dropped in (({BOXES: JUDGEMENT, BOARDS: FOR_EVER}, ()), ({BOXES: FOR_EVER}, ()), ({}, [BOARDS])):
        ledger.judgements.keep(new, dropped, "rules", ledger.judgements.recall("rules", NOW))
    assert ledger.judgements.recall("rules", NOW).judgements == {BOXES: FOR_EVER}
    ledger.close()


def test_a_look_does_not_replace_the_judgements_of_one_that_began_later(url: str) -> None:
    ledger = Ledger(url)
    ledger.objects.record({"a": Examination("etag", 1, "check", whole())})
    slow, fast = (ledger.judgements.recall("rules", NOW) for _ in range(2))
    ledger.judgements.keep({BOXES: JUDGEMENT}, (), "rules", fast)
    ledger.objects.record({"b": Examination("etag", 1, "check", whole())})
    ledger.judgements.keep({BOXES: replace(FOR_EVER, judged=NOW)}, (), "rules", slow)
    found = ledger.judgements.recall("rules", NOW)
    assert found.judgements == {BOXES: JUDGEMENT}
    assert list(found.touched.values()) == ["b"]
    ledger.close()


def test_what_is_learnt_after_a_look_began_stays_to_be_judged(url: str) -> None:
    ledger = Ledger(url)
    have = an_object(key="unreadable")
    ledger.objects.record({"examined": Examination("etag", 1, "check", whole())})
    ledger.objects.record({}, {"unreadable": Unreadable(content_of(have), "archived", NOW, NOW)})
    ledger.absences.record([Absence("absent", "HTTP 404", NOW, NOW)])
    before = ledger.judgements.recall("rules", NOW)
    assert sorted(before.touched.values()) == ["absent", "examined", "unreadable"]
    ledger.absences.clear(["absent", "never there"])
    ledger.judgements.keep({}, (), "rules", before)
    after = ledger.judgements.recall("rules", NOW)
    assert list(after.touched.values()) == ["absent"]
    ledger.judgements.keep({}, (), "rules", after)
    ledger.absences.record([Absence("absent", "HTTP 404", NOW, NOW)])
    assert not ledger.judgements.recall("rules", NOW).touched.keys() & after.touched.keys(), "no number is used twice"
    ledger.close()


def test_judgements_are_forgotten_with_the_lake_or_at_once(url: str) -> None:
    ledger = Ledger(url)
    ledger.judgements.keep({BOXES: JUDGEMENT}, (), "rules", Recalled())
    ledger.forget_lake()
    assert ledger.judgements.recall("rules", NOW) == Recalled()
    ledger.judgements.keep({BOXES: JUDGEMENT}, (), "rules", Recalled())
    ledger.objects.record({"a": Examination("etag", 1, "check", whole())})
    ledger.judgements.forget(ledger.judgements.recall("rules", NOW))
    assert ledger.judgements.recall("rules", NOW) == Recalled()
    ledger.close()
