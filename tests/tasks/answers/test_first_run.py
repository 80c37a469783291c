"""What is said before a lake is filled for the first time?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from config.models import Collect
from tasks.answers.first_run import about, before_the_first_run
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tests.builders import a_config

GAP = Status(State.GAP, "not in the lake", Kind.MISSING)


def test_it_says_what_is_collected_and_how_to_narrow_it() -> None:
    what, how = about(a_config())
    assert what.startswith("the first run of this lake; it is to hold 11 datasets of espn, ")
    assert "set `collect` in the configuration" in how


def test_it_is_said_until_a_reconcile_of_the_lake_has_begun(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    collect = Collect(since="2025-26", datasets=["nba_playbyplay"])
    config = a_config(collect=collect, lake=(tmp_path / "lake").as_uri(), ledger=url)
    lines = asyncio.run(before_the_first_run(config))
    assert lines[0].endswith("2 datasets of nba_api since 2025-26")
    assert "of the files by estimate" in lines[1], "of the games, while their schedule is not there"
    assert asyncio.run(before_the_first_run(config.model_copy(update={"sandbox": True}))) == []
    broken = config.model_copy(update={"lake": (tmp_path / "lake.json").as_uri()})
    (tmp_path / "lake.json").touch()
    assert asyncio.run(before_the_first_run(broken)) == [], "the run itself says it"
    ledger = Ledger(url)
    for kind, lines_after in (("fill", lines), ("reconcile", [])):
        leases = Leases(ledger.database, kind, timedelta(minutes=1))
        leases.begin(kind, "everything", None, lambda why: None)
        leases.end(RunEnd.ENDED)
        assert bool(asyncio.run(before_the_first_run(config))) is bool(lines_after)
    assert ledger.runs.is_first("reconcile", "reconcile"), "it is not before itself"
    ledger.close()
