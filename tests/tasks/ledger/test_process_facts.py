"""Is what each process knows kept as long as it is new, in both databases?"""

import json
from contextlib import closing

from tasks.domain.incidents import Fact, Kind
from tasks.ledger import Ledger
from tasks.ledger.process_facts import process_facts_table

FULL = Fact(Kind.DISK, "", 1, 0, "1 MiB is free")
BUCKET = Fact(Kind.BUCKET, "espn", 0, most=2.5)


def test_the_facts_of_all_processes_are_known_until_they_are_old_or_forgotten(url: str) -> None:
    with closing(Ledger(url)) as ledger, closing(Ledger(url)) as other:
        ledger.process_facts.keep("a", [FULL])
        ledger.process_facts.keep("a", [FULL, BUCKET], [Kind.DISK, Kind.BUCKET])
        other.process_facts.keep("b", [FULL._replace(value=0)], [Kind.DISK])
        assert ledger.process_facts.watched() == {Kind.DISK, Kind.BUCKET}
        assert other.process_facts.known(60) == [FULL, BUCKET, FULL._replace(value=0)]
        other.process_facts.forget("b")
        assert ledger.process_facts.known(60) == [FULL, BUCKET]
        for change in ({"at": 0.0}, {"at": 1e10}):
            ledger.process_facts.keep("a", [FULL])
            update = process_facts_table.update().values(change)
            ledger.database.write(lambda connection, update=update: connection.execute(update))
            assert ledger.process_facts.known(60) == []


def test_a_kind_that_only_a_later_version_knows_is_left_out(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        ledger.process_facts.keep("a", [FULL])
        text = json.dumps([["of_later", "", 1, 0, "", None], list(FULL)])
        update = process_facts_table.update().values(facts=text)
        ledger.database.write(lambda connection: connection.execute(update))
        assert ledger.process_facts.known(60) == [FULL]
