"""Are incidents and what is told of them kept, and is each change told once, in both databases?"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial

import sqlalchemy as sa

from tasks.domain.incidents import Change, Fact, Kind, QuietTime, Settings, What, step
from tasks.ledger import Ledger
from tasks.ledger.incidents import Silence, incidents_table, outbox_table
from tests.builders import NOW

MINUTE = timedelta(minutes=1)
PAUSED = Fact(Kind.SOURCE_PAUSED, "espn", 4 * 3600, 120, "HTTP 403")
OLD = Fact(Kind.CRITICAL_GAP, "espn/espn_summary", 5 * 3600, 3, "it is missing")
OVER = [PAUSED._replace(value=0), OLD._replace(value=0)]


def evaluate(ledger: Ledger, minute: float, *facts: Fact) -> Sequence[Change]:
    now = NOW + minute * MINUTE
    return ledger.incidents.evaluate(partial(step, facts=facts, now=now, settings=Settings()), now)


class Numbers:
    """Numbers from 1 on for incidents, whose ids are times, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """The id of an incident or a change with such a number, such as "1-opened"."""
        incident, *rest = text.split("-")
        return "-".join([str(self._known.setdefault(incident, len(self._known) + 1)), *rest]) if text else ""


def test_incidents_live_in_the_ledger_and_two_evaluators_tell_each_change_once(url: str) -> None:
    with closing(Ledger(url)) as ledger, closing(Ledger(url)) as other, ThreadPoolExecutor() as pool:
        number = Numbers()

        def by_both(minute: float, *facts: Fact) -> list[str]:
            found = pool.map(lambda one: evaluate(one, minute, *facts), [ledger, other])
            return [number(change.id) for changes in found for change in changes]

        assert by_both(0, OLD) == []
        assert by_both(2, OLD) == ["1-opened"]
        assert by_both(3, OLD, PAUSED) == []
        assert [(one.kind, number(one.cause)) for one in other.incidents.open()] == [(OLD.kind, "2"), (PAUSED.kind, "")]
        assert by_both(5, OLD, PAUSED) == ["2-opened"]
        told = ledger.incidents.undelivered("slack", NOW)
        assert [(number(change.id), change.what, change.incident.reason) for change in told] == [
            ("1-opened", What.OPENED, "it is missing"),
            ("2-opened", What.OPENED, "HTTP 403"),
        ]
        [closed] = told[1].closes
        assert (number(closed.id), number(closed.cause), closed.closed, closed.files) == ("1", "2", NOW + 5 * MINUTE, 3)
        by_both(6, *OVER)
        assert by_both(21, *OVER) == ["2-closed"]
        assert other.incidents.open() == []
        assert [number(one.id) for one in other.incidents.closed_since(NOW + 6 * MINUTE)] == ["2", "3"]
        assert other.incidents.evaluated_at() == NOW + 21 * MINUTE
        assert by_both(22, PAUSED, OLD) == [], "the new incident has a number of its own"
        assert {number(one.id) for one in ledger.incidents.open()} == {"4", "5"}


def test_the_outbox_keeps_a_change_for_each_target_until_it_is_delivered(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        evaluate(ledger, 0, PAUSED)
        [change] = evaluate(ledger, 2, PAUSED)
        for _ in range(2):  # a delivery may be repeated
            ledger.incidents.record_delivery(change.id, "slack", NOW)
        assert ledger.incidents.undelivered("slack", NOW) == []
        assert ledger.incidents.undelivered("sns", NOW) == [change]
        assert ledger.incidents.undelivered("sns", NOW + 3 * MINUTE) == [], "a target begins at some time"
        ledger.prune(NOW + timedelta(days=1))
        assert ledger.incidents.undelivered("sns", NOW) == []
        assert len(ledger.incidents.open()) == 1


def test_what_only_a_later_version_knows_hides_no_other_message(url: str) -> None:
    unreadable = Fact(Kind.UNREADABLE, "espn/espn_summary", 1)
    with closing(Ledger(url)) as ledger:
        for minute in (0, 2):
            changes = evaluate(ledger, minute, PAUSED, unreadable)
        _, second = sorted(change.id for change in changes)
        of_later = sa.func.replace(outbox_table.c.document, "source_paused", "of_later")
        of_later = sa.func.replace(of_later, '"files"', '"since_later": 1, "files"')
        update = outbox_table.update().values(document=of_later)
        ledger.database.write(lambda connection: connection.execute(update))
        assert [change.id for change in ledger.incidents.undelivered("ops", NOW)] == [second]


def test_what_is_left_out_hides_no_other_message(url: str) -> None:
    many = [Fact(Kind.UNREADABLE, f"espn/d{number}", 1) for number in range(5)]
    with closing(Ledger(url)) as ledger:
        for minute in (0, 2):
            changes = evaluate(ledger, minute, *many)
        ids = [change.id for change in changes]
        assert [one.id for one in ledger.incidents.undelivered("ops", NOW, 2)] == ids[:2]
        assert [one.id for one in ledger.incidents.undelivered("ops", NOW, 2, ids[:4])] == ids[4:]


def test_what_is_pending_and_passes_leaves_no_row_and_a_failed_evaluation_nothing(url: str) -> None:
    down = Fact(Kind.PREFECT, "", 1)
    with closing(Ledger(url)) as ledger:

        def rows() -> int:
            return ledger.check()[incidents_table.name]

        evaluate(ledger, 0, down)
        assert (rows(), ledger.incidents.open()) == (1, [])
        evaluate(ledger, 1, down._replace(value=0))
        assert rows() == 0


def test_a_silence_is_on_until_its_end_or_until_it_is_ended(url: str) -> None:
    short = Silence(QuietTime(NOW, NOW + MINUTE, Kind.FAILURES, "espn"), "they move", "ana")
    long = Silence(QuietTime(NOW, NOW + 9 * MINUTE), "our own work", "ben")
    with closing(Ledger(url)) as ledger:
        for silence in (short, long):
            ledger.incidents.silence(silence)
        assert ledger.incidents.silences(NOW) == [short, long]
        assert ledger.incidents.silences(NOW + MINUTE) == [long]
        assert ledger.incidents.end_silence(None, "")
        assert not ledger.incidents.end_silence(None, "")
        assert ledger.incidents.silences(NOW) == [short]
