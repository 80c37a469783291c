"""What survives a run?"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tasks.domain.errors import LedgerError
from tasks.domain.holds import Hold
from tasks.domain.verdicts import partial
from tasks.ledger import Examination, FileOutcome, Ledger, _metadata
from tests.builders import NOW, a_game, a_gap
from tests.servers import new_database

HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return f"postgresql://{new_database(request.getfixturevalue('postgres'), f'ledger_{uuid.uuid4().hex}')}"


def test_a_gap_keeps_the_time_it_was_first_seen_until_it_is_filled(url: str) -> None:
    for hours in (0, 5):
        ledger = Ledger(url)
        ledger.record_gaps([a_gap(1, first_seen=NOW + hours * HOUR)])
        ledger.close()
    ledger = Ledger(url)
    key = a_gap(1).cell.key
    assert ledger.first_seen([key, "other"]) == {key: NOW}
    row = _fill(ledger)
    ledger.end_fill(row, [FileOutcome(key, "stored", 1, 100)], NOW)
    assert ledger.first_seen([key]) == {}
    ledger.close()


def _fill(ledger: Ledger) -> int:
    return ledger.start_fill(
        fill="f", run="r", source="espn", dataset="d", kind="missing", priority="HIGH", score=1.0, now=NOW
    )


def test_outcomes_count_half_after_a_half_life(url: str) -> None:
    ledger = Ledger(url)
    outcomes = [FileOutcome("a", "stored", 1, 10), FileOutcome("b", "failed", 4, error="HTTP 500")]
    ledger.end_fill(_fill(ledger), outcomes, NOW)
    assert ledger.outcomes_by_dataset(24 * HOUR, NOW) == {"d": (1.0, 1.0)}
    stored, failed = ledger.outcomes_by_dataset(24 * HOUR, NOW + 24 * HOUR)["d"]
    assert (stored, failed) == pytest.approx((0.5, 0.5))
    ledger.close()


def test_what_was_examined_comes_back_with_its_games(url: str) -> None:
    ledger = Ledger(url)
    found = {"k": Examination("v", partial("1 game not final", (a_game(), a_game(id="2", start=None))), NOW)}
    ledger.record_examinations(found)
    assert ledger.examinations() == found
    ledger.close()


def test_a_hold_is_kept_as_it_was_changed(url: str) -> None:
    hold = Hold("espn", NOW + HOUR, "HTTP 403", 2, (NOW,), NOW, NOW)
    ledger = Ledger(url)
    assert ledger.change_hold("espn", lambda found: found) == Hold("espn")
    ledger.change_hold("espn", lambda found: hold)
    ledger.close()
    with closing(Ledger(url)) as ledger:
        assert ledger.holds() == {"espn": hold}


def test_changes_of_a_hold_by_many_at_once_are_all_made(url: str) -> None:
    ledgers = [Ledger(url) for _ in range(4)]

    def change_it(ledger: Ledger) -> None:
        for _ in range(20):
            ledger.change_hold("espn", lambda hold: replace(hold, step=hold.step + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change_it, ledgers))
    assert ledgers[0].holds()["espn"].step == 80
    for ledger in ledgers:
        ledger.close()


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    ledger = Ledger(url)
    with ledger._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), _metadata) == []
    ledger.close()


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/ledger.db", "sqlite:////proc/version"])
def test_a_ledger_that_cannot_be_opened_is_one_clear_line(url: str) -> None:
    with pytest.raises(LedgerError, match=r"^ledger sqlite:/.* cannot be opened: .+$"):
        Ledger(url)
