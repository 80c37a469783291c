"""Does the report of the last days tell of a ledger what was put into it by hand?"""

import json
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.answers.success import success_since
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import Kind
from tasks.domain.outcomes import FileOutcome, Outcome, RunEnd
from tasks.domain.reasons import Limit
from tasks.domain.success import Kept
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.ledger.plans import RUN
from tasks.ledger.runs import runs_table
from tasks.show.documents.success import SuccessAnswer
from tasks.show.markdown import success_markdown
from tests.builders import NOW, a_config, a_gap

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WEEK = NOW - 7 * DAY


def a_run(ledger: Ledger, id: str, began: datetime, about: str = "everything", **change: Any) -> None:
    row = {"id": id, "kind": "reconcile", "about": about, "holder": "here", "began": began, "ended": began + HOUR}
    ledger.database.write(lambda connection: connection.execute(runs_table.insert().values(row | change)))


def due(n: int, ago: timedelta, detected: timedelta, **change: Any) -> Gap:
    """A gap whose file was due some time ago, and was detected so much later."""
    gap = a_gap(n, first_seen=NOW - ago + detected)
    return replace(gap, cell=gap.cell._replace(due_at=NOW - ago), **change)


def attempt(ledger: Ledger, gap: Gap, started: datetime, run: str = "r", **change: Any) -> None:
    """A fill of a gap, which lasts a minute and stores its file unless the change says otherwise."""
    fill = FillRecord(gap.cell.key, run, "espn", gap.cell.dataset, gap.kind.value, "HIGH", 1.0, started)
    outcome = replace(FileOutcome(gap.cell.key, Outcome.STORED, 1, 100, stored=started + MINUTE), **change)
    if outcome.outcome is Outcome.FAILED:
        outcome = replace(outcome, stored=None)
    ledger.fills.record(FillEnd(fill, started + MINUTE, [outcome], gaps=[gap]))


def test_a_ledger_that_was_made_by_hand_is_told_of_as_it_is(url: str) -> None:
    in_time, late = due(1, 50 * HOUR, 10 * MINUTE), due(2, 50 * HOUR, 20 * MINUTE)
    lacking, not_begun = due(3, 40 * HOUR, 5 * MINUTE), due(4, 30 * HOUR, MINUTE)
    early, absent = due(5, 2 * HOUR, 2 * MINUTE), due(6, 40 * HOUR, 3 * MINUTE)
    backlog = due(7, 2000 * DAY, 1997 * DAY)
    stale = due(8, 60 * HOUR, HOUR, kind=Kind.STALE)
    other = due(9, 60 * DAY, DAY)
    held = replace(other, cell=other.cell._replace(key="nba/1.json", dataset="nba_playbyplay"))
    failed = {"outcome": Outcome.FAILED, "bytes": 0}
    with closing(Ledger(url)) as ledger:
        a_run(ledger, "old", NOW - 100 * DAY, cycle_seconds=9000)
        a_run(ledger, "part", NOW - 3 * DAY, about="espn", cycle_seconds=1)
        a_run(ledger, "dead", NOW - 60 * HOUR, ended=NOW - 49 * HOUR, outcome=RunEnd.DIED.value)
        a_run(ledger, "r", NOW - 50 * HOUR, outcome=RunEnd.ENDED.value)
        a_run(ledger, "last", NOW - 20 * HOUR - 30 * MINUTE, ended=None)
        for run, seconds in (("r", 120), ("last", 300)):
            later = {
                "keys": [held.cell.key],
                "reason": "nba_api is paused",
                "until": None,
                "limit": Limit.OPERATOR.value,
            }
            ledger.plans.keep(RUN, {"fills": [], "later": [later]}, NOW, run, cycle=seconds)
        ledger.gaps.record([in_time, late, lacking, not_begun, early, absent, backlog, held])
        attempt(ledger, in_time, NOW - 49 * HOUR - MINUTE)
        attempt(ledger, absent, NOW - 39 * HOUR, **failed, absent=True, error="HTTP 404")
        ledger.gaps.close([absent.cell.key])  # as the next look does
        attempt(ledger, lacking, NOW - 38 * HOUR, **failed, error="HTTP 500", refusals=3)
        attempt(ledger, backlog, NOW - 30 * HOUR, **failed, error="HTTP 503")
        attempt(ledger, stale, NOW - 59 * HOUR, run="dead")
        attempt(ledger, late, NOW - 20 * HOUR, run="last")
        attempt(ledger, backlog, NOW - HOUR, run="last")
        attempt(ledger, early, NOW - HOUR, run="last")
        found = success_since(a_config(), ledger, WEEK, NOW)
    figures = {figure.aim.name: figure for figure in found.figures}
    assert (found.asked, found.since, found.gaps_without_due) == (WEEK, WEEK, 0)

    detected = figures["gap_detection"]
    assert (detected.count, detected.median, detected.value) == (6, 180, 1200)
    cycle = figures["reconcile_cycle"]
    assert (cycle.count, cycle.median, cycle.value, cycle.is_met) == (2, 120, 300, True)
    # In the run that has no end, the last fills waited for 19 h. Nothing waited after the only fill of any other run
    assert (figures["fills_per_minute"].count, figures["fills_per_minute"].value) == (1, 1 / (19 * 60))
    assert figures["consecutive_fills"].value is None
    assert figures["too_many_requests"].basis.startswith("3 refused (espn 3)")

    assert found.kept == [Kept("espn_summary", DAY, 99, due=4, in_time=1, late=1, lacking=2, not_counted=1)]
    paused, closed = found.longest
    assert (paused.key, paused.detected, paused.stored) == ("nba/1.json", NOW - 59 * DAY, None)
    assert (paused.files, paused.why) == (1, "nba_api is paused")
    assert (closed.key, closed.lasted(NOW), closed.files) == (backlog.cell.key, 71 * HOUR + MINUTE, 2)
    assert closed.why == "HTTP 503"

    document = SuccessAnswer.of(found).as_json()
    assert json.loads(json.dumps(document))["promises"][0]["percent"] == 25
    text = success_markdown(found)
    detection = (
        "| From due to detected, 95 % within | 20m | 1h | at most 15m | no | 6 files; half within 3m, all within 20m |"
    )
    assert detection in text
    assert "| figure | value | without ADCE | target | target met | measured over |" in text
    assert "| 5 | at least 15 | no | 1 fill in" in text
    assert "| 30m to 1h | at most 20m | ? |" in text
    assert "| espn_summary | 1d | 4 | 1 | 1 | 2 | 25.00 % | 99 % | -3 of 0 | no |" in text


def test_a_sandbox_tells_of_what_happened_by_its_own_clock_which_stands_still(tmp_path: Path) -> None:
    config, later = a_config(sandbox=True), NOW + 300 * DAY
    lost = Gap(due(1, DAY, DAY).cell, Kind.VANISHED, "not in the lake any more", NOW)
    with closing(Ledger(f"sqlite:///{tmp_path / 'sandbox.db'}")) as ledger:
        a_run(ledger, "r", later - HOUR, outcome=RunEnd.ENDED.value)
        ledger.plans.keep(RUN, {}, NOW, "r", cycle=1.5)
        ledger.looks.record(RecordedLook(NOW, NOW, None, "r", "lake", 0, 0, 0, {}, {}, (), {}, {}))
        ledger.gaps.record([lost])
        attempt(ledger, lost, NOW, outcome=Outcome.FAILED, bytes=0, error="HTTP 403", refusals=1)
        found = success_since(config, ledger, later - 7 * DAY, later)
    figures = {figure.aim.name: figure for figure in found.figures}
    assert figures["too_many_requests"].basis.startswith("1 refused (espn 1), at most 24.0 a day")
    assert figures["reconcile_cycle"].value == 1.5
    assert figures["gap_detection"].basis == "not known in a sandbox, whose clock stands still"
    [longest] = found.longest
    assert (longest.key, longest.files, longest.why) == (lost.cell.key, 1, "HTTP 403")
    assert found.until == NOW
    assert "These are times of the sandbox, whose clock stands still" in success_markdown(found)


def test_an_empty_ledger_knows_nothing_and_one_that_is_young_says_since_when(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path / 'young.db'}")) as ledger:
        nothing = success_since(a_config(), ledger, WEEK, NOW)
        assert [figure.value for figure in nothing.figures] == [None] * 6
        assert nothing.since == NOW
        a_run(ledger, "first", NOW - DAY)
        ledger.gaps.record([due(1, DAY + HOUR, HOUR)])
        young = success_since(a_config(), ledger, WEEK, NOW)
        assert young.since == NOW - DAY
        assert young.kept == [], "its only file was due before the first run"
        assert f"The ledger has nothing from before then; it was asked for {WEEK:%Y-%m-%d}" in success_markdown(young)
