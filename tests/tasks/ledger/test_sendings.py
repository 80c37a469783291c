"""Whose turn is it to send the metrics, in both databases?"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tasks.domain.metrics import PAUSES, Amounts, Series, series_of
from tasks.ledger import Ledger
from tasks.ledger.sendings import Turn, sendings_table

MINUTE = timedelta(minutes=1)


def test_of_senders_that_begin_at_once_one_has_the_turn_and_it_is_told_what_was_sent_before(url: str) -> None:
    with closing(Ledger(url)) as ledger:

        def happen(count: int) -> Series:
            amounts = Amounts()
            amounts.count(PAUSES, count, source="espn")
            ledger.database.write(lambda connection: ledger.totals.add(connection, amounts))
            return series_of(PAUSES, source="espn")

        def take(sender: str) -> Turn | None:
            return ledger.sendings.take_turn(sender, MINUTE)

        series = happen(3)
        with ThreadPoolExecutor() as pool:
            turns = dict(zip("abcd", pool.map(take, "abcd"), strict=True))
        [first] = [sender for sender, turn in turns.items() if turn]
        turn = turns[first]
        assert turn is not None
        assert (turn.totals, turn.before) == ({series: 3}, None)
        happen(4)
        earlier = sendings_table.update().values(at=datetime.now(UTC) - MINUTE)
        ledger.database.write(lambda connection: connection.execute(earlier))
        others = [sender for sender in turns if sender != first]
        assert [take(sender) for sender in others] == [None] * 3
        ledger.sendings.let_go(others[0])
        assert take(others[0]) is None, "the lease was not its own"
        ledger.sendings.let_go(first)
        turn = take(others[0])
        assert turn is not None
        assert (turn.totals, turn.before) == ({series: 7}, {series: 3})
        assert take(others[0]) is None, "no minute has passed"

        now = ledger.database.read(ledger.database.now)
        at = sendings_table.update().values(at=datetime.fromtimestamp(now, UTC) - timedelta(seconds=70))
        ledger.database.write(lambda connection: connection.execute(at))
        assert 15 < ledger.sendings.waits(others[0], 1.5 * MINUTE) <= 20, "until it is due"
        assert ledger.sendings.waits(others[0], 10 * MINUTE) == 60, "to renew the lease"
        assert ledger.sendings.waits(others[0], MINUTE) == 1
        assert ledger.sendings.waits(first, MINUTE) == 60, "another has the lease"

        ledger.sendings.put_back(turn)
        turn = take(others[0])
        assert turn is not None
        assert turn.before == {series: 7}, "there was another turn since"
        ledger.sendings.put_back(replace(turn, before={series: 5}))
        ledger.database.write(lambda connection: connection.execute(earlier))
        again = take(others[0])
        assert again is not None
        assert again.before == {series: 5}
