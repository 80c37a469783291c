"""How much of what the lake should hold does it hold?"""

from collections import Counter
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.coverage import Tally, add_up, find_holes, measure
from tasks.domain.assess.overview import count_cells, overview_of
from tasks.domain.assess.periods import By
from tasks.domain.assess.states import State, Status
from tasks.domain.assess.unknown import Unknown
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell
from tasks.domain.reasons import Limit
from tests.builders import NOW, a_board, a_cell, a_config

CONFIG = a_config()


@st.composite
def _cells(draw: st.DrawFn) -> Cell:
    season = draw(st.sampled_from(["1999-00", "2019-20", "2024-25", "2025-26"]))
    first, last = seasons.window(season)
    if draw(st.booleans()):
        first = last = draw(st.dates(first, last))
    elif draw(st.booleans()):
        first, last = seasons.days_of_month(season, draw(st.sampled_from(seasons.months_of(season))))
    dataset = draw(st.sampled_from(sorted(CONFIG.datasets)))
    return a_cell(key=draw(st.uuids()).hex, dataset=dataset, season=season, first_day=first, last_day=last)


_LAKES = st.lists(st.tuples(_cells(), st.sampled_from(State)), max_size=60)


def _lake(*pairs: tuple[Cell, State], reason: str = "because") -> tuple[dict[str, Cell], dict[str, Status]]:
    return {c.key: c for c, _ in pairs}, {c.key: Status(state, reason) for c, state in pairs}


@given(_LAKES, st.sampled_from(By))
def test_the_rows_add_up_to_every_state_of_the_lake(lake: list[tuple[Cell, State]], by: By) -> None:
    cells, statuses = _lake(*lake)
    document = measure(count_cells(cells, statuses), CONFIG).document(by)
    counts = overview_of(Assessment(cells, statuses, NOW)).totals
    counts["expected"] = counts.pop("total")
    sums: Counter[str] = Counter()
    for row in document["rows"]:
        sums.update({name: row[name] for name in counts})
    assert {name: sums[name] for name in counts} == counts
    assert {name: document["total"][name] for name in counts} == counts


@given(_LAKES, st.sampled_from(By))
def test_a_dataset_has_one_row_for_each_season_and_span(lake: list[tuple[Cell, State]], by: By) -> None:
    rows = measure(count_cells(*_lake(*lake)), CONFIG).rows(by)
    assert len({(row.dataset, row.season, row.span) for row in rows}) == len(rows)


@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=6))
def test_100_percent_is_claimed_only_where_every_wanted_file_is_there(counts: list[int]) -> None:
    tally = Tally(*counts)
    assert tally.expected == sum(counts)
    assert tally.due == tally.expected - tally.not_due
    assert tally.wanted == tally.due - tally.unavailable
    assert (tally.percent == 100) == (tally.wanted > 0 and tally.present == tally.wanted)
    assert (tally.percent is None) == (tally.wanted == 0)
    if tally.percent is not None:
        assert 0 <= tally.wanted * tally.percent / 100 <= tally.present + 1e-6


@pytest.mark.parametrize(
    ("tally", "percent"),
    [
        pytest.param(Tally(present=9_996, gap=4), 99.9, id="99.96 is not 100"),
        pytest.param(Tally(present=999_999, deferred=1), 99.9, id="one in a million is deferred"),
        pytest.param(Tally(present=5, not_due=7, unavailable=3), 100.0, id="all the source has, so far"),
        pytest.param(Tally(gap=3), 0.0, id="nothing"),
        pytest.param(Tally(not_due=3), None, id="nothing is due"),
        pytest.param(Tally(unavailable=3), None, id="the source has none"),
    ],
)
def test_percent_is_rounded_down_to_a_tenth(tally: Tally, percent: float | None) -> None:
    assert tally.percent == percent


@pytest.mark.parametrize(
    ("tally", "percent"),
    [
        pytest.param(Tally(present=5, unknown=frozenset("s")), 99.9, id="all that is known is there"),
        pytest.param(Tally(present=1, gap=1, unknown=frozenset("s")), 50.0, id="half of what is known"),
        pytest.param(Tally(unknown=frozenset("s")), None, id="nothing is known"),
    ],
)
def test_what_is_not_known_is_not_complete(tally: Tally, percent: float | None) -> None:
    assert tally.percent == percent
    assert not tally.is_empty
    assert not tally.is_known


def test_a_schedule_that_several_datasets_need_is_one_unknown_schedule() -> None:
    schedule = a_cell(
        key="s", dataset="nba_schedule", season="2023-24", first_day=date(2023, 9, 25), last_day=date(2024, 6, 30)
    )
    board = a_board()
    names = ("nba_boxscore_traditional", "nba_playbyplay")
    unknown = [*(Unknown(name, schedule) for name in names), Unknown("espn_summary", board)]
    coverage = measure(count_cells(*_lake((schedule, State.GAP), (board, State.GAP))), CONFIG, unknown)
    rows = {(row["dataset"], row["season"], row["date"]): row for row in coverage.document(By.DATE)["rows"]}
    assert {place: row["unknown"] for place, row in rows.items() if row["unknown"]} == {
        ("espn_summary", "2025-26", "2026-01-13"): 1,
        ("nba_boxscore_traditional", "2023-24", None): 1,
        ("nba_playbyplay", "2023-24", None): 1,
    }
    assert coverage.document(By.SEASON)["total"]["unknown"] == 2


def test_what_an_operator_took_out_is_counted_by_itself() -> None:
    first_day, last_day = date(2025, 9, 25), date(2026, 6, 30)
    pages = [a_cell(key=f"{n}", dataset="br_totals", first_day=first_day, last_day=last_day) for n in range(5)]
    pages[0] = pages[0]._replace(first_day=date(2025, 10, 1))  # of the same season, and of other days
    cells, statuses = _lake(*((page, State.UNAVAILABLE) for page in pages))
    for key in ("0", "1"):
        statuses[key] = Status(State.UNAVAILABLE, "set by an operator: lost", limit=Limit.OPERATOR)
    coverage = measure(count_cells(cells, statuses), CONFIG)
    assert (coverage.total.unavailable, coverage.total.by_operator, len(coverage.finest)) == (5, 2, 1)
    assert coverage.total.unavailable_in_words == "5 unavailable (2 set by an operator)"
    assert Tally(unavailable=1_000).unavailable_in_words == "1,000 unavailable"


def test_files_of_a_season_or_a_month_belong_to_no_shorter_span() -> None:
    season_file = a_cell(key="t", dataset="br_totals", first_day=date(2025, 9, 25), last_day=date(2026, 6, 30))
    month_file = a_cell(key="m", dataset="br_schedule", first_day=date(2026, 1, 1), last_day=date(2026, 1, 31))
    game_file = a_cell(key="g", dataset="br_boxscore")
    lake = _lake(*((cell, State.PRESENT) for cell in (season_file, month_file, game_file)))
    coverage = measure(count_cells(*lake), CONFIG)

    assert [row.span for row in coverage.finest] == ["2026-01", "2026-01-13", ""]

    def spans(by: By) -> dict[str, Any]:
        return {row["dataset"]: row.get(by.value) for row in coverage.document(by)["rows"]}

    assert spans(By.DATE) == {"br_totals": None, "br_schedule": None, "br_boxscore": "2026-01-13"}
    assert spans(By.MONTH) == {"br_totals": None, "br_schedule": "2026-01", "br_boxscore": "2026-01"}


def test_rows_name_source_dataset_and_season_in_the_order_of_the_configuration() -> None:
    coverage = measure(count_cells(*_lake((a_cell(season="2024-25"), State.GAP), (a_board(), State.PRESENT))), CONFIG)
    document = coverage.document(By.SEASON)
    assert document["by"] == "season"
    assert [(row["source"], row["dataset"], row["season"]) for row in document["rows"]] == [
        ("espn", "espn_scoreboard", "2025-26"),
        ("espn", "espn_summary", "2024-25"),
    ]
    assert document["rows"][1] == {
        "source": "espn",
        "dataset": "espn_summary",
        "season": "2024-25",
        "expected": 1,
        "present": 0,
        "not_due": 0,
        "gap": 1,
        "in_flight": 0,
        "deferred": 0,
        "unavailable": 0,
        "by_operator": 0,
        "unread": 0,
        "switched_off": 0,
        "unknown": 0,
        "percent": 0.0,
    }


def test_an_empty_lake_of_nothing_has_no_rows_and_no_percent() -> None:
    coverage = measure({}, CONFIG)
    assert coverage.document(By.DATE)["rows"] == []
    assert coverage.total == add_up([]) == Tally()


def test_holes_are_what_is_due_and_not_there_gaps_first_and_the_newest_of_them() -> None:
    states = [*State, State.GAP]
    lake = _lake(
        *(
            (a_cell(key=f"{n}", first_day=date(2026, 1, n + 1), last_day=date(2026, 1, n + 1)), s)
            for n, s in enumerate(states)
        )
    )
    found = [(hole.key, hole.status.state.value) for hole in find_holes(overview_of(Assessment(*lake, NOW)))]
    assert found == [("6", "gap"), ("2", "gap"), ("4", "deferred"), ("3", "in_flight"), ("5", "unavailable")]


def test_a_hole_keeps_its_reason_and_until() -> None:
    until = datetime(2026, 1, 15, 13, tzinfo=NOW.tzinfo)
    status = Status(State.DEFERRED, "source paused", until=until)
    [hole] = find_holes(overview_of(Assessment({"k": a_cell(key="k")}, {"k": status}, NOW)))
    assert (hole.dataset, hole.season, hole.span, hole.status) == ("espn_summary", "2025-26", "2026-01-13", status)


def test_a_file_that_is_not_read_yet_is_lacking_and_makes_the_lake_not_known() -> None:
    cells, statuses = _lake(*((a_cell(key=f"{n}"), State.DEFERRED) for n in range(5)))
    for key in ("0", "1"):
        statuses[key] = Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST)
    tally = measure(count_cells(cells, statuses), CONFIG).total
    assert (tally.lacking, tally.unread, tally.is_known) == (5, 2, False)
    assert Tally(present=1, gap=1).is_known
    assert tally.document()["unread"] == 2


@pytest.mark.parametrize(("section", "name"), [("datasets", "espn_summary"), ("sources", "espn")])
def test_a_file_of_a_disabled_source_or_dataset_is_switched_off_unless_it_is_to_be_read(
    section: str, name: str
) -> None:
    entries = getattr(CONFIG, section)
    off = a_config(**{section: entries | {name: entries[name].model_copy(update={"enabled": False})}})
    names = [State.DEFERRED, State.DEFERRED, State.GAP, State.PRESENT, State.IN_FLIGHT]
    lake = _lake(*((a_cell(key=f"{n}"), state) for n, state in enumerate(names)))
    lake[1]["0"] = Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST)
    counts = count_cells(*lake)
    tally = measure(counts, off).total
    assert (tally.switched_off, tally.unread, tally.lacking) == (1, 1, 4)
    assert tally.document()["switched_off"] == 1
    assert measure(counts, CONFIG).total.switched_off == 0


def test_a_season_is_looked_at_by_words_that_the_command_and_its_json_have() -> None:
    assert [by.value for by in By] == ["season", "month", "date"]
