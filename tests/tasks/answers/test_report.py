"""What is told of a plan or a run: in its document, its message and its artifact?"""

import io
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deployments.cli import tables
from tasks.answers.ending import ending
from tasks.answers.headline import headline
from tasks.answers.report import Report
from tasks.domain.assess.assessment import Assessment, assess
from tasks.domain.assess.doubts import FromInventory
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected.cells import Selection
from tasks.domain.limits.pauses import Pause
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import Deferral
from tasks.domain.reasons import Limit, Reason
from tasks.ledger.plans import KeptPlan
from tasks.ledger.runs import RunRecord
from tasks.observe.listing import check_ids
from tasks.show.coverage.words import title_of
from tasks.show.documents.plan import RunReport
from tasks.show.markdown import run_markdown
from tests.builders import NOW, a_board, a_cell, a_config, a_gap

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("ends_in", "phase", "is_paused", "reason"),
    [
        pytest.param(HOUR, "open", True, "HTTP 403", id="paused"),
        pytest.param(-HOUR, "half-open", False, "HTTP 403", id="the first request after it is not answered yet"),
        pytest.param(None, "closed", False, None, id="neither"),
    ],
)
def test_a_source_has_its_reason_until_it_has_answered_again(
    ends_in: timedelta | None, phase: str, is_paused: bool, reason: str | None
) -> None:
    config, now = a_config(), datetime.now(UTC)
    pause = Pause("espn", ends_in and now + ends_in, "HTTP 403", resumed_at=now)
    report = Report(overview_of(assess(config, {}, {}, {}, check_ids(config), now)), (), (), config, {"espn": pause})
    espn, nba_api, _ = RunReport.of(report).as_json()["sources"]
    assert (espn["phase"], bool(espn["paused_until"]), espn["reason"]) == (phase, is_paused, reason)
    assert espn["breaker"] == "closed", "that is of its datasets"
    assert nba_api["phase"] == "closed"


def test_what_an_operator_has_paused_is_done_after_that_and_at_no_known_time_if_it_has_no_end() -> None:
    pause = Reason(Limit.OPERATOR_PAUSE, "paused", datetime.now(UTC) + 48 * HOUR)
    lacking = _report(Status(State.GAP, "not in the lake", Kind.MISSING), held={"espn": pause})
    assert lacking.cost.total.done
    assert abs(lacking.cost.total.done - NOW - 48 * HOUR) < timedelta(minutes=1)
    assert replace(lacking, held={"espn_summary": replace(pause, until=None)}).cost.total.done is None


PRESENT = Status(State.PRESENT, "complete")
GONE = Status(State.GAP, "not in the lake any more; it had 9 bytes before", Kind.VANISHED, lost=True)
GIVEN_UP = Status(State.UNAVAILABLE, "set by an operator: lost for ever", Kind.MISSING, limit=Limit.OPERATOR)
NONE = Status(State.UNAVAILABLE, "the source has none: HTTP 404", Kind.MISSING)
NOT_DUE = Status(State.NOT_DUE, "due later")
SCHEDULE = a_board(key="schedule.json", dataset="nba_schedule", season="2023-24")


def _report(*statuses: Status, unknown: tuple[Unknown, ...] = (), **change: Any) -> Report:
    cells = {f"{n}.json": a_cell(key=f"{n}.json") for n in range(len(statuses))}
    assessment = Assessment(cells, dict(zip(cells, statuses, strict=True)), NOW)
    overview = replace(overview_of(assessment), unknown=unknown)
    return Report(overview, **{"fills": (), "deferred": (), "config": a_config()} | change)


def test_a_report_says_since_when_all_of_the_lake_was_listed_if_parts_were_not_listed_now() -> None:
    whole = _report(PRESENT, list_requests=1200)
    assert whole.listing == "The lake was listed with 1,200 LIST requests, for less than $0.01."
    assert RunReport.of(whole).as_json()["verified_since"] is None
    parts = replace(whole, looked_at=replace(whole.looked_at, verified_since=NOW - 5 * HOUR), list_requests=12)
    assert parts.listing == (
        "The lake was listed with 12 LIST requests, for less than $0.01; "
        "parts of it as of 2026-01-15 07:00 UTC or later."
    )
    assert RunReport.of(parts).as_json()["verified_since"] == "2026-01-15T07:00:00Z"
    assert KeptPlan(parts.plan_document(), NOW, "a run").verified_since == NOW - 5 * HOUR
    assert KeptPlan(whole.plan_document(), NOW, "a run").verified_since is None
    assert title_of(parts.coverage).endswith(
        " as of 2026-01-15 12:00 UTC; parts of it as of 2026-01-15 07:00 UTC or later"
    )


def test_a_run_says_that_it_began_from_an_inventory_and_what_it_has_found_since() -> None:
    """Its last look has listed the lake, so that its states do not rest on the inventory any more."""
    first, last = _report(PRESENT, GONE, PRESENT), _report(PRESENT, GONE, GONE)
    begun = replace(first.looked_at, from_inventory=FromInventory(NOW - 9 * HOUR, 1, 2))
    assert begun.after(first.looked_at) is begun
    listed = replace(first, looked_at=begun, list_requests=2).listing
    assert listed == "Beside the inventory, parts of the lake were listed with 2 LIST requests, for less than $0.01."
    assert title_of(replace(first, looked_at=begun).coverage).endswith("by the S3 Inventory of 2026-01-15 03:00 UTC")
    ended = replace(last, looked_at=last.looked_at.after(begun))
    said = {"as_of": "2026-01-15T03:00:00Z", "looked_up": 1, "listed": 2, "doubts": {}, "found_later": 1}
    assert RunReport.of(ended).as_json()["inventory"] == said
    assert ended.coverage.inventory is None
    assert last.looked_at.after(first.looked_at) is last.looked_at


@pytest.mark.parametrize(
    ("lake", "named"),
    [
        pytest.param("s3://some-key:some-secret@bucket/nba", "s3://bucket/nba", id="without secrets"),
        pytest.param("file:some/lake", (Path.cwd() / "some/lake").as_uri(), id="from the root of the disk"),
    ],
)
def test_the_coverage_names_the_lake_the_part_of_it_and_the_time(lake: str, named: str) -> None:
    coverage = _report(PRESENT, config=a_config(lake=lake), selection=Selection(sources=("espn",))).coverage
    assert (coverage.lake, coverage.part, coverage.as_of) == (named, "espn", NOW)


def test_a_lake_of_which_something_is_unknown_is_never_complete() -> None:
    report = _report(PRESENT, unknown=(Unknown("nba_playbyplay", SCHEDULE),))
    assert not report.complete
    assert report.coverage.total.percent == 99.9
    [row] = RunReport.of(report).as_json()["unknown"]
    assert row == {"dataset": "nba_playbyplay", "season": "2023-24", "needs": ["schedule.json"], "schedules": 1}
    for told in ("**Unknown:** nba_playbyplay of 2023-24", "| nba_playbyplay 2023-24 | needs schedule.json |"):
        assert told in run_markdown(report)
    assert "Complete" not in run_markdown(report)


def test_what_had_vanished_is_told_by_the_run_that_has_fetched_it_again() -> None:
    report = _report(PRESENT, GONE, was_lost={"0.json": GONE, "1.json": GONE})
    assert [(loss.key, loss.mended) for loss in report.lost] == [("0.json", True), ("1.json", False)]
    assert "### Vanished or shrunk: 2" in run_markdown(report)
    assert "| 0.json | not in the lake any more; it had 9 bytes before; fetched again |" in run_markdown(report)
    assert [loss["kind"] for loss in RunReport.of(report).as_json()["lost"]] == ["vanished", "vanished"]


def test_a_source_that_refuses_is_told_until_it_answers() -> None:
    until = datetime.now(UTC) + HOUR
    pauses = {"espn": Pause("espn", until, "refused with HTTP 403"), "nba_api": Pause("nba_api", until, "HTTP 403")}
    lacking = _report(Status(State.GAP, "not in the lake", Kind.MISSING), pauses=pauses)
    [refusal] = lacking.refusals
    assert (refusal.source, refusal.files) == ("espn", 1), "nothing of the other is asked for"
    assert "### Refused: 1" in run_markdown(lacking)
    assert _report(PRESENT, pauses=pauses).refusals == []
    assert _report(GONE, pauses={"espn": Pause("espn")}).refusals == []


def test_what_an_operator_took_out_is_told_with_what_was_said() -> None:
    report = _report(PRESENT, GIVEN_UP, GIVEN_UP, NONE)
    assert RunReport.of(report).as_json()["by_operator"] == 2
    assert "| 2 files | set by an operator: lost for ever |" in run_markdown(report)


def test_one_file_is_not_told_as_many() -> None:
    report = _report(GIVEN_UP)
    assert "| 1 file | set by an operator: lost for ever |" in run_markdown(report)


def test_who_can_end_it_is_told_when_the_source_has_no_schedule_that_is_needed() -> None:
    unknown = (Unknown("nba_playbyplay", SCHEDULE._replace(key="0.json")),)
    needed = _report(NONE, unknown=unknown).what_is_needed()
    assert needed == (
        "the source says that it has no 0.json; if no games are to be expected there, say so with "
        "`adce unavailable add`"
    )
    missing = Status(State.GAP, "not in the lake", Kind.MISSING)
    assert "missing, not read yet" in _report(missing, unknown=unknown).what_is_needed()


def test_a_schedule_that_is_left_with_fewer_games_than_another_source_has_is_told_by_every_run() -> None:
    differs = replace(PRESENT, reason="1 game of 2025-06-05 final, and 2 games in br", limit=Limit.DISAGREEMENT)
    report = _report(PRESENT, differs)
    assert report.complete
    assert RunReport.of(report).as_json()["differing"] == [{"key": "1.json", "reason": differs.reason}]
    told = run_markdown(report)
    assert "· 1 schedule with fewer games than another source's" in told
    assert differs.reason in told


def test_a_run_that_has_left_everything_to_another_says_so_wherever_it_is_told_of() -> None:
    """Also when the other is at all that there is to do, and nothing is left for later."""
    other = RunRecord("1", "reconcile", "everything", "host (process 7)", None, "f", NOW, None, None)
    at_it = Status(State.IN_FLIGHT, "run 1 of host (process 7) is at it")
    report = _report(PRESENT, at_it, outcomes={}, left_to=other)
    notice = "another reconcile is at work: run 1 of host (process 7), since 2026-01-15 12:00 UTC; this one has left"
    assert f"**{notice} everything to it; 1 of 2 files lacking**" in run_markdown(report)
    run = {"run": "1", "holder": "host (process 7)", "began": "2026-01-15T12:00:00Z", "flow_run": "f"}
    assert RunReport.of(report).as_json()["left_to"] == run
    assert _shown(report).startswith(notice)
    alone = _report(PRESENT, outcomes={})
    assert RunReport.of(alone).as_json()["left_to"] is None
    assert "another" not in run_markdown(alone)


def test_what_the_source_has_none_of_is_told_as_absent_and_counts_as_failed() -> None:
    gone = FileOutcome("0.json", Outcome.FAILED, 1, error="/0: HTTP 404", absent=True)
    half = FileOutcome("1.json", Outcome.FAILED, 1, error="/1: 3 of 9 plays", absent=True, unfinished=True)
    report = _report(GONE, GONE, outcomes={outcome.key: outcome for outcome in (gone, half)})
    assert _shown(report).startswith("1 of 2 files failed: 1.json: /1: 3 of 9 plays; 1 absent: 0.json: /0: HTTP 404; ")
    assert [row["key"] for row in RunReport.of(report).as_json()["failed"]] == ["0.json", "1.json"]
    assert not report.complete
    told = run_markdown(report)
    assert "### Failed: 1\n\n| what | why |\n|---|---|\n| 1.json |" in told
    assert "### The source says that it has none: 1\n\n| what | why |\n|---|---|\n| 0.json |" in told
    shown = _shown(report)
    assert "0 files stored, 1 failed, 1 absent in 0s" in shown
    assert "absent 0.json: /0: HTTP 404" in shown
    assert "failed 1.json: /1: 3 of 9 plays" in shown
    assert " absent" not in _shown(_report(GONE, outcomes={half.key: half}))


def _shown(report: Report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    tables.show(report, console)
    return console.export_text()


@pytest.mark.parametrize(
    ("again", "name", "counts"),
    [
        pytest.param({"1.json"}, "Incomplete", {"present": 1, "deferred": 1}, id="wanted again"),
        pytest.param((), "Completed", {"present": 2, "deferred": 0}, id="stored meanwhile by another run"),
    ],
)
def test_a_file_that_is_wanted_again_and_is_left_for_later_is_undone_although_it_is_there(
    again: Collection[str], name: str, counts: dict[str, int]
) -> None:
    later = Deferral(a_gap_of("1.json"), Reason(Limit.TIME_BUDGET, "the time budget is used up", NOW + HOUR))
    there = _report(PRESENT, PRESENT, again=again, deferred=(later,), outcomes={})
    named = there.looked_at.naming({key: a_cell(key=key) for key in again}, dict.fromkeys(again, PRESENT))
    report = replace(there, looked_at=named)
    assert ending(report).name == name
    assert {state: report.counts[state] for state in counts} == counts
    assert report.counts["total"] == 2
    assert ("1 of 2 files waits: the time budget is used up" in headline(report)) == bool(again)


def a_gap_of(key: str) -> Gap:
    return replace(a_gap(), cell=a_cell(key=key))
