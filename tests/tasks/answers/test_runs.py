"""What is known of a run of which the ledger and Prefect say different things, or one of them nothing?"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.answers.runs import _GONE, PastRun, chosen, joined, results
from tasks.domain.errors import SelectionError
from tasks.domain.expected.keys import KeyPatterns
from tasks.domain.outcomes import FileOutcome, Outcome, RunEnd
from tasks.ledger.runs import RunRecord
from tests.builders import NOW, a_config

HOUR = timedelta(hours=1)


def a_record(n: int, outcome: RunEnd | None, why: str | None = None, state: str | None = None) -> RunRecord:
    """The record of a run that began `n` hours ago."""
    began = NOW - n * HOUR
    ended = began + HOUR / 2 if outcome else None
    known = "reconcile", "everything", "host (process 1)", "p", f"f{n}", began, ended, outcome
    return RunRecord(f"r{n}", *known, why, state)


def in_prefect(n: int, state: str, *, is_running: bool = False) -> PastRun:
    ended = None if is_running else NOW - n * HOUR + HOUR / 2
    return PastRun(None, f"f{n}", "reconcile all", state, NOW - n * HOUR, ended, "a message", None, is_running)


def test_a_run_is_told_once_with_what_each_side_knows_and_those_at_work_come_first() -> None:
    records = [
        a_record(1, RunEnd.ENDED),
        a_record(2, None),  # its process is gone, which nobody has noticed
        a_record(3, None),
        a_record(4, RunEnd.STOPPED, "SIGTERM"),  # without a server
        a_record(6, None),  # it could not report to Prefect that it has begun
        a_record(8, RunEnd.ENDED, "1 of 1 file failed: a.json: HTTP 500", "Incomplete"),
        a_record(7, None),  # killed a moment ago, so that its lease has not lapsed yet
    ]
    prefect = [
        in_prefect(1, "Incomplete"),
        in_prefect(2, "Running", is_running=True),
        in_prefect(3, "Running", is_running=True),
        in_prefect(5, "Crashed"),  # it never began
        replace(in_prefect(6, "Pending"), ended=None),
        in_prefect(7, "Crashed"),
    ]
    runs = joined(prefect, records, alive={"f3", "f6", "f7"})
    assert [(run.id, run.flow_run, run.name, run.state, run.message, run.is_running) for run in runs] == [
        ("r3", "f3", "reconcile all", "Running", "a message", True),
        ("r6", "f6", "reconcile all", "Running", "", True),
        ("r1", "f1", "reconcile all", "Incomplete", "a message", False),
        ("r2", "f2", "reconcile all", "Died", _GONE, False),
        ("r4", "f4", "reconcile everything", "Stopped", "SIGTERM", False),
        (None, "f5", "reconcile all", "Crashed", "a message", False),
        ("r7", "f7", "reconcile all", "Crashed", "a message", False),
        ("r8", "f8", "reconcile everything", "Incomplete", "1 of 1 file failed: a.json: HTTP 500", False),
    ]
    assert runs[0].holder == "host (process 1)"
    runbook = (Path(__file__).parents[3] / "deployments/runbook.md").read_text()
    assert [run.state for run in runs if not run.is_running and f"\n| {run.state}" not in runbook] == []


def test_a_run_that_both_know_to_be_over_took_as_long_as_the_ledger_says_with_prefect_and_without_it() -> None:
    record, prefect = a_record(1, RunEnd.ENDED), in_prefect(1, "Completed")
    prefect = replace(prefect, began=prefect.began - timedelta(seconds=1), ended=NOW)
    running = replace(prefect, ended=None, is_running=True)
    asked, unasked, at_work = (joined(known, [record], {"f1"}) for known in ([prefect], [], [running]))
    assert {(run.began, run.ended) for run in (*asked, *unasked)} == {(record.began, record.ended)}
    assert at_work[0].ended == record.ended


def test_the_results_of_a_run_are_counted_by_dataset_and_its_errors_together() -> None:
    keys = [f"espn_box_scores/40181000{n}.json" for n in range(3)]
    outcomes = {
        keys[0]: FileOutcome(keys[0], Outcome.STORED),
        **{key: FileOutcome(key, Outcome.FAILED, error=f"{key}: HTTP 500") for key in keys[1:]},
        "elsewhere": FileOutcome("elsewhere", Outcome.STORED),
    }
    assert results(outcomes, KeyPatterns(a_config())) == [
        "espn_summary: 2 failed",
        "espn_summary: 1 stored",
        "other: 1 stored",
        "2 files: KEY: HTTP 500",
    ]


ID, SAME_BEGIN = "0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    ("which", "hours"),
    [
        (ID, 2),
        (ID.replace("-", "").upper(), 2),
        ("0a1b2c3d-0000-4000-8000-000000000002", 3),
        ("ffffff", 1),
        ("everything", 2),
        ("reconcile everything", 2),
        ("0a1b2", None),
        ("another", None),
    ],
)
def test_a_run_is_chosen_by_its_id_or_as_the_newest_of_its_name(which: str, hours: int | None) -> None:
    def a_run(n: int, id: str | None, flow_run: str | None, name: str = "reconcile everything") -> PastRun:
        return replace(in_prefect(n, "Completed"), id=id, flow_run=flow_run, name=name)

    runs = [a_run(1, "f" * 32, None, "fill 1 file"), a_run(3, None, SAME_BEGIN), a_run(2, "e" * 32, ID)]
    runs.append(replace(runs[2], id="d" * 32, began=NOW - 9 * HOUR))  # the same flow run, which began twice
    found = chosen(runs, which)
    assert (found and found.began) == (NOW - hours * HOUR if hours else None)
    with pytest.raises(SelectionError, match=f"0a1b2c: several ids begin so: {SAME_BEGIN} .*{ID} "):
        chosen(runs, "0a1b2c")
