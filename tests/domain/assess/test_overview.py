"""How many files are in which state, and which files are exceptions?"""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.claims import Claim
from tasks.domain.assess.overview import Overview, Place, Standing, count_cells, joined, overview_of, place_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.reasons import Limit
from tests.builders import NOW, a_cell

HOUR = timedelta(hours=1)
DAY = Place("espn_summary", "2025-26", "2026-01-13")
GAP = Status(State.GAP, "not in the lake", Kind.MISSING)
PRESENT = Status(State.PRESENT, "complete")
LOOKED_AT_AGAIN = Status(State.PRESENT, "up to date", until=NOW + HOUR)
DIFFERS = Status(State.PRESENT, "complete; fewer games", limit=Limit.DISAGREEMENT)
NOT_PUBLISHED = Status(State.NOT_DUE, "not published yet: HTTP 404", until=NOW + HOUR, limit=Limit.NOT_PUBLISHED)
NOT_DUE = Status(State.NOT_DUE, "due later", until=NOW + HOUR)
BY_OPERATOR = Status(State.UNAVAILABLE, "set by an operator: lost", Kind.MISSING, limit=Limit.OPERATOR)
ABSENT = Status(State.UNAVAILABLE, "the source has none", Kind.MISSING)
STATUSES = (GAP, PRESENT, LOOKED_AT_AGAIN, DIFFERS, NOT_DUE, BY_OPERATOR, ABSENT, NOT_PUBLISHED)


def _overview(*statuses: Status, dataset: str = "espn_summary") -> Overview:
    cells = {f"{dataset}/{n}": a_cell(key=f"{dataset}/{n}", dataset=dataset) for n in range(len(statuses))}
    return overview_of(
        Assessment(cells, dict(zip(cells, statuses, strict=True)), NOW, never_read=1, by_former_checks=2)
    )


def test_every_file_is_counted_and_only_exceptions_are_named() -> None:
    overview = _overview(*STATUSES)
    assert overview.counts == {
        DAY: {
            Standing(State.GAP): 1,
            Standing(State.PRESENT): 3,
            Standing(State.NOT_DUE): 2,
            Standing(State.UNAVAILABLE): 1,
            Standing(State.UNAVAILABLE, by_operator=True): 1,
        }
    }
    assert list(overview.statuses) == list(overview.cells) == [f"espn_summary/{n}" for n in (0, 2, 3, 5, 6, 7)]
    assert (overview.never_read, overview.by_former_checks, overview.taken_at) == (1, 2, NOW)


def test_the_totals_name_every_state() -> None:
    totals = {"total": 3, "present": 1, "not_due": 0, "gap": 0, "in_flight": 0, "deferred": 0, "unavailable": 2}
    assert _overview(PRESENT, BY_OPERATOR, ABSENT).totals == totals


def test_a_file_is_counted_on_its_date_in_its_month_or_in_its_season() -> None:
    board = a_cell()
    month = a_cell(first_day=date(2026, 2, 1), last_day=date(2026, 2, 28))
    others = a_cell(first_day=date(2026, 1, 31), last_day=date(2026, 2, 1))
    assert [place_of(cell).span for cell in (board, month, others)] == ["2026-01-13", "2026-02", ""]
    assert place_of(board) == DAY
    assert count_cells({board.key: board}, {board.key: GAP}) == {DAY: {Standing(State.GAP): 1}}


@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from(STATUSES)), max_size=8))
def test_other_statuses_are_counted_as_if_they_had_been_found(pairs: list[tuple[Status, Status]]) -> None:
    before, after = _overview(*(was for was, _ in pairs)), _overview(*(now for _, now in pairs))
    changed = {key: now for key, (_, now) in zip((f"espn_summary/{n}" for n in range(8)), pairs, strict=False)}
    found = before.with_statuses({key: status for key, status in changed.items() if key in before.statuses})
    plain = [was for was, _ in pairs if was in (PRESENT, NOT_DUE)]
    if not plain:
        assert found.totals == after.totals
        assert {place: {s: n for s, n in of.items() if n} for place, of in found.counts.items()} == after.counts
    assert found.totals["total"] == len(pairs)
    assert before.counts == _overview(*(was for was, _ in pairs)).counts, "the first overview is as it was"


def test_overviews_of_different_files_are_joined() -> None:
    first, second = _overview(GAP, PRESENT), _overview(ABSENT, dataset="espn_scoreboard")
    both = joined([first, second], NOW + HOUR)
    assert both.counts == {**first.counts, **second.counts}
    assert both.statuses == {"espn_summary/0": GAP, "espn_scoreboard/0": ABSENT}
    assert both.cells.keys() == both.statuses.keys()
    assert (both.taken_at, both.never_read, both.by_former_checks) == (NOW + HOUR, 2, 4)


def test_a_claimed_gap_is_in_flight_and_counted_so() -> None:
    overview = _overview(GAP, ABSENT)
    claim = Claim("run-2", "adce reconcile on host b", NOW + HOUR)
    claimed = overview.with_claims({cell.work: claim for cell in overview.cells.values()})
    assert claimed.statuses["espn_summary/0"] == replace(
        GAP, state=State.IN_FLIGHT, reason="being fetched by adce reconcile on host b", until=NOW + HOUR
    )
    assert claimed.statuses["espn_summary/1"] == ABSENT
    assert (claimed.totals["gap"], claimed.totals["in_flight"]) == (0, 1)
    assert overview.with_claims({}).statuses == overview.statuses


def test_a_gap_names_the_datasets_that_need_its_schedule() -> None:
    overview = _overview(GAP, dataset="nba_schedule")
    needed = replace(overview, needed_by={"nba_schedule": "nba_playbyplay"})
    reasons = [gap.reason for of in (overview, needed) for gap in of.gaps({})]
    assert reasons == ["not in the lake", "not in the lake; needed by nba_playbyplay"]


def test_lost_files_are_those_that_no_operator_has_marked() -> None:
    gone = Status(State.GAP, "not in the lake any more", Kind.VANISHED, lost=True)
    given_up = Status(State.UNAVAILABLE, "set by an operator: lost", Kind.VANISHED, lost=True, limit=Limit.OPERATOR)
    assert _overview(gone, given_up, GAP).lost == {"espn_summary/0": gone}
