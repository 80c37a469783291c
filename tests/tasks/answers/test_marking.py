"""Which files are there, so that an operator does not take them out by mistake?"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from blocks.store import Store
from tasks.answers.marking import marking_of
from tasks.domain.assess.absences import Absence
from tasks.ledger import Ledger
from tests.builders import a_config

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
BOARD = "espn_schedules/20240605.json"
OPEN = {
    "id": "401585601",
    "date": "2024-06-05T23:00Z",
    "season": {"year": 2024, "type": 2},
    "status": {"type": {"name": "STATUS_SCHEDULED", "state": "pre", "completed": False}},
}


def test_a_list_that_its_source_does_not_have_any_more_can_be_taken_out_and_one_to_be_looked_at_again_cannot(
    tmp_path: Path,
) -> None:
    board = tmp_path / "lake" / BOARD
    board.parent.mkdir(parents=True)
    board.write_text(json.dumps({"events": [OPEN]}))
    store, ledger = Store(f"file:{tmp_path}/lake"), Ledger(f"sqlite:///{tmp_path}/adce.db")

    def there() -> list[str]:
        return asyncio.run(marking_of(a_config(), ledger, store, [BOARD], NOW)).in_lake

    assert there() == [BOARD]
    two_days = timedelta(days=2)
    ledger.absences.record([Absence(BOARD, "HTTP 404", NOW - two_days, NOW, 9, NOW + two_days)])
    assert there() == []
    ledger.close()
