"""What is shown in a terminal of any width: are all names, keys and numbers whole?"""

import io
from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.cli import answers, tables
from deployments.cli.layout import Column, Paper, print_pairs, print_table, standard_output
from deployments.cli.runs import lines_of
from tasks.answers.report import Report
from tasks.answers.runs import PastRun, chosen
from tasks.answers.why import Answer
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import Deferral
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import utc
from tests.builders import NOW, a_cell, a_config, a_fill, a_gap, an_object

WIDTHS = [40, 60, 80, 100, 120]
KEY = "nba_api_comprehensive/boxscores/advanced/boxscore_advanced_0022300040.json"
URL = "https://stats.nba.com/stats/boxscoreadvancedv3?GameID=0022300040"
WHY = f"source paused until 2026-11-29 08:48 UTC: {URL}: HTTP 403"


def _printed(width: int) -> tuple[Paper, io.StringIO]:
    file = io.StringIO()
    return Paper(file=file, width=width), file


def _report(**change: object) -> Report:
    count = 1_234
    cells = {f"{n}.json": a_cell(key=f"{n}.json") for n in range(count)}
    status = Status(State.GAP, "not in the lake", Kind.MISSING)
    overview = overview_of(Assessment(cells, dict.fromkeys(cells, status), NOW))
    fills = tuple(
        replace(a_fill(n, "nba_api", 1_300, 1_800.0), eta=NOW + timedelta(hours=n), dataset="nba_boxscore_traditional")
        for n in range(3)
    )
    gap = a_gap(cell=a_cell(key=KEY))
    later = (Deferral(gap, Reason(Limit.BACKOFF, WHY, NOW + timedelta(hours=3), "nba_api")),)
    config = a_config(lake="s3://a-bucket-of-some-length/and-a-prefix/that-is-long-as-well")
    return Report(overview, fills, later, config, **change)  # type: ignore[arg-type]


def _is_whole(word: str, shown: str) -> bool:
    return any(word in line for line in shown.splitlines())


def test_a_key_has_one_colour() -> None:
    file = io.StringIO()
    Paper(file=file, width=100, force_terminal=True, color_system="standard").print("espn_schedules/20260113.json")
    assert file.getvalue() == "espn_schedules/20260113.json\n"


def test_a_text_between_colons_stays_as_it_is() -> None:
    paper, file = _printed(40)
    paper.print("root:x:0:0", markup=False)
    paper.print("[bold]see :fire:[/bold]")
    print_pairs(paper, {"why": "root:x:0:0"})
    print_pairs(paper, {"why": f"root:x:0:0 {KEY}"})
    assert file.getvalue() == f"root:x:0:0\nsee :fire:\nwhy  root:x:0:0\nwhy: root:x:0:0\n{KEY}\n"


def test_a_list_of_runs_has_ids_that_adce_runs_takes_unless_the_terminal_is_narrow() -> None:
    by_prefect = PastRun(None, "0a1b2c3d-0000-4000-8000-000000000001", "fill 1 file", "Failed", NOW, None, "a " * 99)
    by_the_ledger = PastRun("f" * 32, None, "reconcile everything", "Ended", NOW, NOW + timedelta(seconds=2))
    lines = [
        f"{utc(NOW)}  fill 1 file  Failed: {'a ' * 99}",
        f"{utc(NOW)}  reconcile everything  Ended after 2s",
    ]
    with_ids = [f"{id}  {line}" for id, line in zip(("0a1b2c3d", "f" * 8), lines, strict=True)]
    runs = [by_prefect, by_the_ledger]
    assert [list(lines_of(runs, width)) for width in (80, 79)] == [with_ids, lines]
    assert [chosen(runs, line.split()[0]) for line in with_ids] == runs


@pytest.mark.parametrize(("is_dry", "done"), [(True, "3 fills planned, "), (False, "Fills started, ")])
def test_a_dry_run_says_that_it_started_nothing(is_dry: bool, done: str) -> None:
    console, file = _printed(100)
    report = _report(outcomes={})
    tables.show(replace(report, config=report.config.model_copy(update={"dry_run": is_dry})), console)
    assert done in file.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_of_a_report_every_name_key_and_number_is_whole_on_a_line(width: int) -> None:
    console, file = _printed(width)
    failed = FileOutcome(KEY, Outcome.FAILED, 1, error=f"{URL}: HTTP 500")
    tables.show(_report(), console)
    tables.show(_report(outcomes={KEY: failed}), console)
    shown = file.getvalue()
    for word in (
        "s3://a-bucket-of-some-length/and-a-prefix/that-is-long-as-well",
        *("present", "not_due", "in_flight", "unavailable", "1,234"),
        *("nba_boxscore_traditional", "2026-01-13", "1,300"),
        *(KEY, URL),
    ):
        assert _is_whole(word, shown), (word, shown)
    assert "…" not in shown
    longest = max(len(word) for word in shown.split())
    assert all(len(line) <= max(width, longest + 2) for line in shown.splitlines()), shown


@pytest.mark.parametrize("width", WIDTHS)
def test_of_an_answer_every_name_key_and_number_is_whole_on_a_line(width: int) -> None:
    console, file = _printed(width)
    cell = a_cell(key=KEY, dataset="nba_boxscore_traditional")
    status = Status(State.DEFERRED, WHY, Kind.MISSING, until=NOW, limit=Limit.BACKOFF)
    parts = {"base": 1000.0, "age": 100 / 3, "multiplier": 1.3}
    decides = "datasets.nba_boxscore_traditional.due_after"
    total = 18.000000000000004
    have = an_object(key=KEY)
    answer = Answer(cell, "nba_api", status, decides, "fetched", have, NOW, [], [], total, parts, None, {})
    answers.show([answer], None, console)
    answers.show([answer] * 6, None, console)
    shown = file.getvalue()
    for word in (
        KEY,
        decides,
        "18.0",
        "33.33,",
        "2026-01-15",
        URL,
    ):
        assert _is_whole(word, shown), (word, shown)
    assert "…" not in shown
    assert "18.00" not in shown


def test_a_table_without_room_loses_its_least_important_columns_and_then_becomes_a_list() -> None:
    columns = [Column("dataset"), Column("kind", leaves=2), Column("score", is_number=True, leaves=1), Column("files")]
    rows = [["espn_scoreboard", "missing", "18.0", "20"]]
    for width, expected in (
        (40, ["dataset          kind     score  files"]),
        (32, ["dataset          kind     files"]),
        (24, ["dataset          files"]),
        (20, ["dataset", "espn_scoreboard,", "  kind missing,", "  score 18.0,", "  files 20"]),
    ):
        console, file = _printed(width)
        print_table(console, columns, rows)
        assert file.getvalue().splitlines()[: len(expected)] == expected, "no line is filled up with spaces"


def test_lines_in_a_pipe_are_not_wrapped_and_have_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    line = " ".join(["a word"] * 100)
    standard_output().print(f"[red]{line}[/red]")
    assert capsys.readouterr().out == f"{line}\n"


def test_names_with_their_texts_are_aligned_and_end_where_the_text_ends() -> None:
    console, file = _printed(80)
    print_pairs(console, {"state": "[red]gap[/red]", "decided by": "the next run"})
    assert file.getvalue() == "state       gap\ndecided by  the next run\n"


@pytest.mark.parametrize(
    ("state", "at_work", "line"),
    [
        (State.GAP, True, "fill 2 of 3 of 2026-01-15 12:00 UTC"),
        (State.GAP, False, None),
        (State.DEFERRED, True, None),
    ],
)
def test_the_place_in_a_plan_is_shown_while_its_run_is_at_work_and_the_file_does_not_wait(
    state: State, at_work: bool, line: str | None
) -> None:
    place = {"position": 2, "of": 3, "at": NOW.isoformat(), "eta": None, "at_work": at_work}
    status = Status(state, "not in the lake", Kind.MISSING)
    answer = Answer(a_cell(), "espn", status, "", "", None, None, [], [], None, None, place, {})
    assert _rows(answer).get("in the plan") == line


def _rows(answer: Answer) -> dict[str, str]:
    """What is shown of an answer, by name."""
    console, file = _printed(200)
    answers.show([answer], None, console)
    lines = [line.split("  ", 1) for line in file.getvalue().splitlines()[1:]]
    return {name: text.strip() for name, text in lines}


def test_a_list_of_answers_tells_a_time_once() -> None:
    console, file = _printed(200)
    due = Status(State.NOT_DUE, "due from 2026-01-15 12:00 UTC", until=NOW)
    waits = Status(State.DEFERRED, "run cap", Kind.MISSING, until=NOW, limit=Limit.MAX_FILLS)
    known = [Answer(a_cell(), "espn", each, "", "", None, None, [], [], None, None, None, {}) for each in (due, waits)]
    answers.show(known * 3, None, console)
    assert file.getvalue().splitlines()[:2] == [
        f"not_due {a_cell().key}: due from 2026-01-15 12:00 UTC",
        f"deferred {a_cell().key}: run cap; until 2026-01-15 12:00 UTC",
    ]
