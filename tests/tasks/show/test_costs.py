"""How the cost of a plan looks."""

from dataclasses import replace
from datetime import UTC, datetime

from tasks.domain.plan.cost import Amount, Cost, SourceCost
from tasks.show.costs import rows

DONE, LATER = datetime(2026, 1, 15, 12, 30, tzinfo=UTC), datetime(2026, 1, 19, 8, tzinfo=UTC)
NOTHING = SourceCost("nba_api", Amount(), Amount(), None, None)
ESPN = SourceCost("espn", Amount(3, 1, 1_170_000), Amount(), DONE, DONE)
LISTED_LATER = SourceCost("br", Amount(), Amount(28_862, 28_862, 9_524_460_000), None, LATER)


def test_there_is_a_row_for_each_source_and_one_for_its_estimate() -> None:
    total = SourceCost("all", ESPN.known, LISTED_LATER.estimate, DONE, LATER)
    assert rows(Cost((ESPN, NOTHING, LISTED_LATER), total)) == [
        ("espn", "3", "1", "1.2 MB", "2026-01-15 12:30 UTC"),
        ("br", "0", "0", "0 kB", ""),
        ("+ not listed yet (estimate)", "28,862", "28,862", "9.5 GB", "2026-01-19 08:00 UTC"),
        ("all", "3", "1", "1.2 MB", "2026-01-15 12:30 UTC"),
        ("+ not listed yet (estimate)", "28,862", "28,862", "9.5 GB", "2026-01-19 08:00 UTC"),
    ]


def test_what_is_held_up_with_no_end_says_so() -> None:
    held = replace(ESPN, estimate=Amount(30, 10, 9_000_000), done=None)
    assert rows(Cost((held,), held)) == [
        ("espn", "3", "1", "1.2 MB", "2026-01-15 12:30 UTC"),
        ("+ not listed yet (estimate)", "30", "10", "9.0 MB", "held up with no end"),
    ]
    assert str(held).endswith("(30 of the files by estimate), held up with no end")


def test_one_source_needs_no_sum_and_nothing_needs_no_row() -> None:
    assert len(rows(Cost((ESPN, NOTHING), ESPN))) == 1
    assert rows(Cost((NOTHING,), NOTHING)) == []


def test_a_cost_is_told_in_words_with_its_estimate() -> None:
    assert str(ESPN) == "espn: 3 files, 1 request, 1.2 MB, done about 2026-01-15 12:30 UTC"
    assert str(LISTED_LATER) == (
        "br: about 28,862 files, 28,862 requests, 9.5 GB (28,862 of the files by estimate), done about "
        "2026-01-19 08:00 UTC"
    )
    assert str(NOTHING) == "nba_api: 0 files, 0 requests, 0 kB"
