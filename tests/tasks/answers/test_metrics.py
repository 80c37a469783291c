"""Do all metrics have the values that the ledger knows, and only series that the configuration has?"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tasks.answers.metrics import measured
from tasks.domain.metrics import (
    FILE_SECONDS,
    FILES,
    REQUESTS,
    SNAPSHOT_SECONDS,
    SNAPSHOT_TIME,
    Amounts,
    Distribution,
)
from tasks.ledger import Ledger
from tests.builders import NOW, a_config


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'adce.db'}")) as ledger:
        yield ledger


def _count(ledger: Ledger, amounts: Amounts) -> None:
    ledger.database.write(lambda connection: ledger.totals.add(connection, amounts))


def test_counters_are_the_running_totals_and_what_was_never_counted_is_0(ledger: Ledger) -> None:
    amounts = Amounts()
    amounts.count(REQUESTS, 3, source="espn", dataset="espn_summary")
    amounts.count(REQUESTS, 5, source="espn", dataset="no_longer_configured")
    _count(ledger, amounts)
    config = a_config()
    values = measured(config, ledger, NOW).values
    expected = {(settings.source, name): 0.0 for name, settings in config.datasets.items()}
    assert values[REQUESTS] == {**expected, ("espn", "espn_summary"): 3.0}
    assert len(values[FILES]) == 4 * len(config.datasets)
    assert values[SNAPSHOT_TIME] == {(): NOW.timestamp()}
    assert 0 < values[SNAPSHOT_SECONDS][()] < 60


def test_histograms_have_every_bucket_and_the_sum(ledger: Ledger) -> None:
    amounts = Amounts()
    for seconds in (0.2, 0.2, 1000.0):
        amounts.observe(FILE_SECONDS, seconds, dataset="espn_summary")
    _count(ledger, amounts)
    found = measured(a_config(), ledger, NOW).distributions[FILE_SECONDS]
    assert found[("espn_summary",)] == Distribution((0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1), pytest.approx(1000.4))
    assert found[("espn_scoreboard",)] == Distribution((0.0,) * 11, 0.0)
