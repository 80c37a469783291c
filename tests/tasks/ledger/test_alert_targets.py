"""From when on is each target told, and does one process at a time tell? In both databases."""

from contextlib import closing
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from tasks.domain.incidents import Fact, Incidents, Kind, Settings, What, step
from tasks.ledger import Ledger
from tasks.ledger.alert_targets import GIVES_UP, Turn
from tasks.ledger.incidents import deliveries_table
from tasks.ledger.leases import leases_table
from tests.builders import NOW

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LASTS = 60.0


def turn(ledger: Ledger, now: datetime, *names: str, teller: str = "one") -> Turn:
    found = ledger.alert_targets.take_turn(teller, names, now, LASTS)
    assert found
    return found


def tell(ledger: Ledger, now: datetime) -> str:
    """Puts a message into the outbox: an incident that opens, or the end of the one that is open."""
    value = 0 if ledger.incidents.open() else 1
    facts = [Fact(Kind.LOST, "espn/espn_summary", value)]
    changes = []
    for moment in (now - 2 * MINUTE, now):
        rule = partial(step, facts=facts, now=moment, settings=Settings(settle=2 * MINUTE))
        changes += ledger.incidents.evaluate(rule, moment)
    [change] = changes
    return change.id


def test_one_process_has_the_turn_until_it_lets_go_or_its_lease_lapses(url: str) -> None:
    with closing(Ledger(url)) as ledger, closing(Ledger(url)) as other:
        turn(ledger, NOW, "ops")
        turn(ledger, NOW, "ops")
        assert other.alert_targets.take_turn("other", ["ops"], NOW, LASTS) is None
        other.alert_targets.let_go("other")
        assert other.alert_targets.take_turn("other", ["ops"], NOW, LASTS) is None
        ledger.alert_targets.let_go("one")
        turn(other, NOW, "ops", teller="other")
        other.database.write(lambda connection: connection.execute(leases_table.update().values(until=0.0)))
        turn(ledger, NOW, "ops")


def test_a_target_is_told_from_its_first_appearance_on(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        tell(ledger, NOW)
        assert turn(ledger, NOW + HOUR, "ops").since == {"ops": NOW + HOUR}
        later = turn(ledger, NOW + 2 * HOUR, "ops", "pager")
        assert later == Turn({"ops": NOW + HOUR, "pager": NOW + 2 * HOUR}, {})
        assert ledger.incidents.undelivered("ops", later.since["ops"]) == []


def test_why_a_target_takes_no_messages_is_known_until_it_does(url: str) -> None:
    def troubles(ledger: Ledger) -> list[tuple[str | None, datetime | None]]:
        known = ledger.alert_targets.waiting(NOW + HOUR)
        return [(known[name].trouble, known[name].failing_since) for name in ("ops", "pager")]

    with closing(Ledger(url)) as ledger:
        turn(ledger, NOW, "ops", "pager")
        assert troubles(ledger) == [(None, None)] * 2
        for minutes, why in enumerate(("HTTP 500", "HTTP 500", "HTTP 403")):
            ledger.alert_targets.note_troubles({"ops": why, "pager": None}, NOW + minutes * MINUTE)
        assert troubles(ledger) == [("HTTP 403", NOW), (None, None)]
        turn(ledger, NOW + HOUR, "ops", "pager")
        assert troubles(ledger) == [("HTTP 403", NOW), (None, None)]
        told = tell(ledger, NOW + 30 * MINUTE)
        assert ledger.alert_targets.waiting(NOW + HOUR)["ops"].oldest == NOW + 28 * MINUTE, (
            "lost files are told at once"
        )
        ledger.incidents.record_delivery(told, "ops", NOW + HOUR)
        assert ledger.incidents.deliveries([told, "none"]) == {told: {"ops": NOW + HOUR}}
        ledger.alert_targets.note_troubles({"ops": None}, NOW + HOUR)
        assert troubles(ledger) == [(None, None)] * 2


def test_services_that_restart_often_have_run_since_the_first_one(url: str) -> None:
    pause = 15 * MINUTE
    with closing(Ledger(url)) as ledger:
        served = partial(ledger.alert_targets.served_since, pause=pause)
        assert [served(NOW + minute * MINUTE) for minute in (0, 1, 5, 20, 35)] == [NOW] * 5
        stopped = NOW + 51 * MINUTE
        assert [served(stopped), served(stopped + MINUTE)] == [stopped] * 2, "it was stopped for longer than a pause"
        assert served(NOW) == NOW, "the clock was set back"


def test_a_target_that_was_gone_for_a_day_is_new(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        turn(ledger, NOW, "ops")
        assert turn(ledger, NOW + 23 * HOUR, "ops").since == {"ops": NOW}
        assert turn(ledger, NOW + 48 * HOUR, "ops").since == {"ops": NOW + 48 * HOUR}


def test_what_was_not_sent_for_a_day_is_given_up_and_counted_once(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        turn(ledger, NOW, "ops", "pager")
        opened = tell(ledger, NOW + HOUR)
        ledger.incidents.record_delivery(opened, "pager", NOW + HOUR)
        for hours in range(2, 25):
            assert turn(ledger, NOW + hours * HOUR, "ops", "pager").given_up == {}
        late = turn(ledger, NOW + 26 * HOUR, "ops", "pager")
        assert late.given_up == {"ops": 1}
        assert late.since["ops"] == NOW + 26 * HOUR - GIVES_UP
        assert turn(ledger, NOW + 27 * HOUR, "ops", "pager").given_up == {}


def test_a_clock_set_back_hides_no_message(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        turn(ledger, NOW, "ops")
        before = NOW - 300 * 24 * HOUR
        told = tell(ledger, before)
        since = turn(ledger, before + MINUTE, "ops").since["ops"]
        assert [change.id for change in ledger.incidents.undelivered("ops", since)] == [told]


def test_what_lay_ahead_of_a_clock_that_was_set_back_is_not_sent_again_when_its_delivery_is_old(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        told = tell(ledger, NOW + 300 * 24 * HOUR)
        ledger.incidents.record_delivery(told, "ops", NOW)
        ledger.prune(NOW + 200 * 24 * HOUR)
        assert ledger.incidents.undelivered("ops", NOW) == []
        ledger.prune(NOW + 400 * 24 * HOUR)
        count = sa.select(sa.func.count()).select_from(deliveries_table)
        assert ledger.database.read(lambda connection: connection.execute(count).scalar()) == 0


def test_an_incident_of_the_memory_goes_on_in_the_ledger_and_ends_there_once(url: str) -> None:
    memory, changes = Incidents(prefix="m-0a-"), []
    for minute in range(5):
        memory, new = step(memory, [Fact(Kind.LEDGER, "", 1)], NOW + minute * MINUTE, Settings())
        changes += new
    [incident] = memory.standing
    with closing(Ledger(url)) as ledger:
        for _ in range(2):  # the process may not have heard that it was taken over
            ledger.incidents.adopt(incident, changes, [("m-0a-1-opened", "pager")], now=NOW + 5 * MINUTE)
        other = incident._replace(id="m-1b-1")
        ledger.incidents.adopt(other, [], now=NOW + 5 * MINUTE)
        assert [one.id for one in ledger.incidents.open()] == ["m-0a-1"]
        assert [one.id for one in ledger.incidents.undelivered("ops", NOW)] == ["m-0a-1-opened"]
        assert ledger.incidents.undelivered("pager", NOW) == []
        told = []
        for minute in range(6, 20):
            now = NOW + minute * MINUTE
            rule = partial(step, facts=[Fact(Kind.LEDGER, "", 0)], now=now, settings=Settings())
            told += ledger.incidents.evaluate(rule, now)
        assert [(change.id, change.what) for change in told] == [("m-0a-1-closed", What.CLOSED)]
        ledger.incidents.adopt(incident, changes, now=NOW + 20 * MINUTE)
        assert ledger.incidents.open() == [], "what is over stays over"


def test_a_process_without_targets_leaves_the_lease_to_one_that_has_some(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        assert turn(ledger, NOW, teller="silent").since == {}
        assert ledger.alert_targets.take_turn("another", [], NOW, LASTS) is None
        turn(ledger, NOW, "ops")
        assert ledger.alert_targets.take_turn("silent", [], NOW, LASTS) is None
        ledger.alert_targets.let_go("one")
        turn(ledger, NOW, teller="silent")
        ledger.alert_targets.let_go("silent")
        turn(ledger, NOW, teller="another")
