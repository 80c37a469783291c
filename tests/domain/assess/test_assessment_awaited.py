"""What is a page that its source does not have yet, and will?"""

from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.domain.assess.absences import Absence, looked
from tasks.domain.assess.assessment import assess
from tasks.domain.assess.states import Examination, Kind, LakeObject, State, Status, version_of
from tasks.domain.assess.unknown import is_known
from tasks.domain.assess.verdicts import Verdict, bad, partial, whole
from tasks.domain.expected.cells import Cell, Selection, calendar_cells
from tasks.domain.expected.games import GameStatus
from tasks.domain.reasons import Limit
from tests.builders import a_config, a_game

CONFIG = a_config()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ASKED = datetime(2025, 6, 2, 12, tzinfo=UTC)
BELIEVED = {"looks": 9, "first": ASKED - 7 * HOUR, "until": ASKED + 30 * DAY}  # as a file that there is none of


def _cell(dataset: str, **fields: str) -> Cell:
    cells = calendar_cells(CONFIG, ASKED, Selection(datasets=(dataset,), seasons=("2024-25",)))
    return next(cell for cell in cells if all(cell.fields[name] == value for name, value in fields.items()))


OVER = datetime(2025, 7, 1, 4, tzinfo=UTC)  # the season, and June
JUNE, BOARD = _cell("br_schedule", month="june"), _cell("espn_scoreboard", date="2025-05-30")


def _status(cell: Cell, now: datetime, verdict: Verdict | None = None, **change: object) -> Status:
    """`verdict` is about what the lake has, if it has anything."""
    given: dict[str, object] = {"first": ASKED, "last": ASKED} | change
    absence = Absence(cell.key, "HTTP 404", dataset=cell.dataset, **given)  # type: ignore[arg-type]  # as given
    have = LakeObject(cell.key, 10**6, ASKED - 3 * DAY, "etag")
    known = {cell.key: Examination(*version_of(have, "check"), verdict, have.modified)} if verdict else {}
    objects, checks = {cell.key: have} if verdict else {}, dict.fromkeys(CONFIG.datasets, "check")
    return assess(CONFIG, {cell.key: cell}, objects, known, checks, now, {cell.key: absence}).statuses[cell.key]


@pytest.mark.parametrize("change", [{}, BELIEVED], ids=["one look", "many looks"])
def test_the_page_of_a_month_is_not_due_until_it_is_published_however_often_it_was_looked_for(
    change: dict[str, object],
) -> None:
    status = _status(JUNE, ASKED + HOUR, **change)
    assert (status.state, status.limit, status.kind) == (State.NOT_DUE, Limit.NOT_PUBLISHED, None)
    assert status.until == ASKED + 6 * HOUR
    assert "HTTP 404" in status.reason
    assert _status(JUNE, ASKED + 6 * HOUR, **change).kind is Kind.MISSING, "looked for again"


def test_what_a_run_has_found_whose_clock_was_set_ahead_puts_no_look_off() -> None:
    assert _status(JUNE, ASKED - HOUR).kind is Kind.MISSING


def test_after_the_season_the_page_counts_as_any_other() -> None:
    late = datetime(2025, 7, 9, tzinfo=UTC)
    assert _status(JUNE, late).kind is Kind.MISSING
    believed = _status(JUNE, late, **BELIEVED | {"last": late - DAY, "until": late + 29 * DAY})
    assert believed.state is State.UNAVAILABLE


@pytest.mark.parametrize(
    ("dataset", "fields", "not_due_until", "lacking_from"),
    [
        pytest.param("br_schedule", {"month": "april"}, "2025-04-30", "2025-05-02", id="month"),
        pytest.param("nba_schedule", {}, "2024-10-31", "2024-11-02", id="season"),
        pytest.param("br_totals", {}, None, "2024-11-25", id="totals"),
    ],
)
def test_a_month_that_is_over_and_a_season_that_has_long_begun_should_have_their_pages(
    dataset: str, fields: dict[str, str], not_due_until: str | None, lacking_from: str
) -> None:
    cell = _cell(dataset, **fields)
    for day, state in ((not_due_until, State.NOT_DUE), (lacking_from, State.DEFERRED)):
        if day:
            asked = datetime.fromisoformat(f"{day}T12:00Z")
            status = _status(cell, asked + HOUR / 2, first=asked, last=asked)
            assert (status.state, status.limit) == (state, Limit.NOT_PUBLISHED)
            assert is_known(status) is (state is State.NOT_DUE)


def test_a_page_is_lacking_at_the_moment_when_it_should_be_there() -> None:
    over = datetime(2025, 5, 1, 4, tzinfo=UTC)
    for asked, state in ((over - timedelta(seconds=1), State.NOT_DUE), (over, State.DEFERRED)):
        assert _status(_cell("br_schedule", month="april"), asked + HOUR, first=asked, last=asked).state is state


def test_a_day_that_is_over_should_have_its_page_and_is_never_unavailable_while_its_season_runs() -> None:
    status = _status(BOARD, ASKED + HOUR / 4)
    assert (status.state, status.kind) == (State.GAP, Kind.MISSING), "every run looks for it"
    backing_off = _status(BOARD, ASKED + HOUR / 4, looks=4, first=ASKED - HOUR)
    assert (backing_off.state, backing_off.until) == (State.DEFERRED, ASKED + HOUR)
    every_day = _status(BOARD, ASKED + HOUR, **BELIEVED)
    assert (every_day.state, every_day.limit, every_day.until) == (State.DEFERRED, Limit.NOT_PUBLISHED, ASKED + DAY)
    assert _status(BOARD, ASKED + DAY, **BELIEVED).kind is Kind.MISSING


@pytest.mark.parametrize("verdict", [whole(), bad("junk")], ids=["an older copy", "junk"])
def test_a_page_that_was_there_and_is_not_any_more_is_lacking(verdict: Verdict) -> None:
    status = _status(JUNE, ASKED + HOUR, verdict)
    assert (status.state, status.until) == (State.DEFERRED, ASKED + 6 * HOUR)
    assert (status.reason, status.limit) == ("the source does not have it now: HTTP 404", Limit.NOT_PUBLISHED)
    assert status.kind in (Kind.STALE, Kind.INVALID)


def test_an_operators_word_holds_until_there_is_a_list_that_grows() -> None:
    no_finals = BELIEVED | {"note": "no Finals"}
    assert _status(JUNE, ASKED + HOUR, **no_finals).state is State.UNAVAILABLE
    status = _status(JUNE, ASKED + HOUR, whole(), **no_finals)
    assert (status.state, status.kind) == (State.GAP, Kind.STALE), "of a list that is there since, and grows"


def test_of_a_season_that_is_over_nothing_is_awaited() -> None:
    cells = calendar_cells(CONFIG, ASKED, Selection(datasets=("br_schedule",), seasons=("2023-24",)))
    june = next(cell for cell in cells if cell.last_day == date(2024, 6, 30))
    assert _status(june, ASKED + HOUR, **BELIEVED).state is State.UNAVAILABLE


@pytest.mark.parametrize(
    "verdict", [whole(), partial("1 of 40 entries is odd: 7: no date")], ids=["whole", "odd entry"]
)
@pytest.mark.parametrize(("taken", "known"), [("2025-07-02", True), ("2025-06-12", False)], ids=["after", "before"])
def test_a_list_that_its_source_has_no_more_is_asked_for_ever_less_often_and_counts_if_taken_after_its_end(
    verdict: Verdict, taken: str, known: bool
) -> None:
    have = LakeObject(JUNE.key, 10**6, datetime.fromisoformat(f"{taken}T12:00Z"), "etag")
    examined = {JUNE.key: Examination(*version_of(have, "check"), verdict, have.modified)}
    checks, rules = dict.fromkeys(CONFIG.datasets, "check"), CONFIG.reconcile.unavailable
    absence, asked, now = None, 0, datetime(2025, 9, 1, tzinfo=UTC)
    for quarter in range(4 * 24 * 5):
        at = now + quarter * HOUR / 4
        absences = {JUNE.key: absence} if absence else {}
        assessment = assess(CONFIG, {JUNE.key: JUNE}, {JUNE.key: have}, examined, checks, at, absences)
        status = assessment.statuses[JUNE.key]
        if status.state is State.GAP:
            asked += 1
            absence = looked(absence, JUNE.key, JUNE.dataset, "HTTP 404", JUNE.due_at, at, rules)
    assert asked < 12
    assert status.state is (State.PRESENT if known else State.UNAVAILABLE)
    assert is_known(status) is known
    assert "HTTP 404" in status.reason
    assert absence is not None
    assert status.until == absence.until
    operator = Absence(JUNE.key, "", now, now, until=now + 90 * DAY, note="it is gone")
    assessment = assess(CONFIG, {JUNE.key: JUNE}, {JUNE.key: have}, examined, checks, now, {JUNE.key: operator})
    assert assessment.statuses[JUNE.key].limit is Limit.OPERATOR


@pytest.mark.parametrize(
    ("taken", "verdict", "by_adce", "state"),
    [
        pytest.param(OVER, whole(), True, State.PRESENT, id="as it ended"),
        pytest.param(OVER - HOUR, whole(), True, State.UNAVAILABLE, id="before"),
        pytest.param(OVER, whole(), False, State.PRESENT, id="whole, by somebody else"),
        pytest.param(OVER, partial("1 of 9 not final"), True, State.PRESENT, id="with an open end"),
        pytest.param(OVER, partial("1 of 9 not final"), False, State.UNAVAILABLE, id="with an open end, by somebody"),
    ],
)
def test_a_list_counts_without_its_source_if_it_is_known_that_it_was_taken_after_its_end(
    taken: datetime, verdict: Verdict, by_adce: bool, state: State
) -> None:
    """Somebody else may have taken a list long before they stored it: open ends say so."""
    now = OVER + 20 * DAY
    have = LakeObject(JUNE.key, 10**6, taken, "etag")
    examined = {JUNE.key: Examination(*version_of(have, "check"), verdict, taken if by_adce else None)}
    absence = Absence(JUNE.key, "HTTP 404", now - 2 * DAY, now, looks=3, until=now + 30 * DAY)
    checks = dict.fromkeys(CONFIG.datasets, "check")
    assessment = assess(CONFIG, {JUNE.key: JUNE}, {JUNE.key: have}, examined, checks, now, {JUNE.key: absence})
    assert assessment.statuses[JUNE.key].state is state


def test_a_list_is_looked_at_again_when_its_own_dataset_has_the_games_final() -> None:
    """Basketball Reference posts them overnight."""
    now = datetime(2025, 4, 3, 2, tzinfo=UTC)
    april = _cell("br_schedule", month="april")
    live = a_game(day=date(2025, 4, 2), season="2024-25", status=GameStatus.LIVE, start=now - HOUR)
    have = LakeObject(april.key, 10**6, now, "etag")
    examined = {april.key: Examination(*version_of(have, "check"), partial("1 of 1 games not final", (live,)), now)}
    checks = dict.fromkeys(CONFIG.datasets, "check")
    status = assess(CONFIG, {april.key: april}, {april.key: have}, examined, checks, now).statuses[april.key]
    assert (status.state, status.until) == (State.PRESENT, live.start + 12 * HOUR if live.start else None)
