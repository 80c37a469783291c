"""Is an operator's pause kept until it is over, and what does it end to resume a source or a dataset?"""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from tasks.domain.limits.pauses import FOR_EVER, OperatorPause, Pause, Phase
from tasks.ledger import Ledger
from tasks.ledger.operator_pauses import operator_pauses_table
from tests.builders import NOW

HOUR = timedelta(hours=1)


def test_a_pause_is_on_until_its_end_or_until_it_is_resumed(url: str) -> None:
    short = OperatorPause("espn", NOW + HOUR, "their database moves", by="ana", since=NOW)
    endless = OperatorPause("br_totals", FOR_EVER, "wrong since Monday", by="ben", since=NOW)
    with closing(Ledger(url)) as ledger:
        pauses = ledger.operator_pauses
        for pause in (short, endless):
            pauses.begin(pause)
        assert pauses.current(NOW) == {"espn": short, "br_totals": endless}
        assert pauses.current(NOW + HOUR) == {"br_totals": endless}
        longer = OperatorPause("espn", NOW + 2 * HOUR, "it takes longer", by="ben", since=NOW)
        pauses.begin(longer)
        assert pauses.current(NOW)["espn"] == longer
        assert pauses.resume("br_totals", NOW) == [endless]
        assert pauses.resume("br_totals", NOW) == []
        assert pauses.current(NOW) == {"espn": longer}
        assert pauses.resume("espn", NOW + 2 * HOUR) == [], "it was over"


def test_a_pause_kept_with_an_end_in_the_year_9999_has_no_end(url: str) -> None:
    far = OperatorPause("espn", FOR_EVER, "a note", by="ana", since=NOW)
    row = {"name": far.name, "since": NOW, "until": datetime(9999, 12, 31, tzinfo=UTC), "note": "a note", "by": "ana"}
    with closing(Ledger(url)) as ledger:
        ledger.database.write(lambda connection: connection.execute(operator_pauses_table.insert().values(row)))
        assert ledger.operator_pauses.current(NOW) == {"espn": far}


def test_to_resume_a_source_has_it_probed_at_once_at_each_of_its_addresses(url: str) -> None:
    open_ones = {name: Pause(name, NOW + HOUR, "HTTP 403", 3) for name in ("espn", "espn@new_host", "nba_api")}
    with closing(Ledger(url)) as ledger:
        for name, pause in open_ones.items():
            ledger.pauses.change(name, lambda _, pause=pause: pause)  # type: ignore[misc]
        ended = ledger.operator_pauses.resume("espn", NOW)
        assert {pause.name: pause for pause in ended} == {n: open_ones[n] for n in ("espn", "espn@new_host")}
        after = ledger.pauses.current()
        assert {name: pause.phase(NOW) for name, pause in after.items()} == {
            "espn": Phase.HALF_OPEN,
            "espn@new_host": Phase.HALF_OPEN,
            "nba_api": Phase.OPEN,
        }
        assert (after["espn"].step, after["espn"].reason) == (3, "HTTP 403"), "if it refuses, it is paused for longer"
