"""How important is a fill?"""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Priority
from tasks.domain.plan.scoring import overtakes_after, priority_of, score_of, success_factor
from tests.builders import NOW, a_cell, a_config

CONFIG = a_config()


def test_the_formula_to_the_digit() -> None:
    score = score_of(Priority.HIGH, NOW - timedelta(hours=10), 9, "nba_api", 0.9, CONFIG, NOW)
    assert score.parts() == {"base": 100, "age": 5, "multiplier": 1.3, "small_fill": 1.2, "success": 0.9}
    assert score.total == pytest.approx((100 + 0.5 * 10) * 1.3 * 1.2 * 0.9)


def test_ten_files_are_not_a_small_fill_and_a_clock_set_back_gives_no_negative_age() -> None:
    score = score_of(Priority.LOW, NOW + timedelta(hours=10), 10, "espn", 1.0, CONFIG, NOW)
    assert (score.small_fill, score.age) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("dataset", "season", "day", "priority"),
    [
        ("espn_summary", "2025-26", date(2026, 1, 8), "CRITICAL"),
        ("espn_summary", "2025-26", date(2026, 1, 7), "HIGH"),
        ("nba_boxscore_advanced", "2025-26", date(2026, 1, 14), "HIGH"),  # not required
        ("espn_summary", "2024-25", date(2025, 1, 14), "MEDIUM"),
        ("espn_summary", "2023-24", date(2024, 1, 14), "MEDIUM"),
        ("espn_summary", "2022-23", date(2023, 1, 14), "LOW"),
    ],
)
def test_priority_follows_from_the_clock(dataset: str, season: str, day: date, priority: str) -> None:
    cell = a_cell(dataset=dataset, season=season, first_day=day, last_day=day)
    assert priority_of(cell, CONFIG.datasets[dataset], CONFIG.scoring, NOW) == priority


@pytest.mark.parametrize(
    ("low", "high", "handicap", "hours"),
    [
        (Priority.LOW, Priority.HIGH, 1.0, 198),
        (Priority.MEDIUM, Priority.HIGH, 1.0, 180),
        (Priority.LOW, Priority.CRITICAL, 1.0, 1998),
        (Priority.LOW, Priority.HIGH, 1.5 / 1.2 * 1.2 / 0.5, 598),  # the worst: a small ESPN fill, a failing BR one
    ],
)
def test_no_gap_starves(low: Priority, high: Priority, handicap: float, hours: float) -> None:
    assert overtakes_after(low, high, CONFIG.scoring, handicap) == timedelta(hours=hours)


def test_a_gap_that_is_ahead_already_waits_for_nobody_and_without_age_it_may_wait_for_ever() -> None:
    scoring = CONFIG.scoring
    assert overtakes_after(Priority.LOW, Priority.HIGH, scoring) == timedelta(hours=198), "of fills that are alike"
    assert overtakes_after(Priority.HIGH, Priority.LOW, scoring) == timedelta(0)
    for without in ({"weighting": False}, {"age_per_hour": 0.0}):
        assert overtakes_after(Priority.LOW, Priority.HIGH, scoring.model_copy(update=without)) == timedelta.max


@given(st.sampled_from(["espn", "nba_api"]), st.floats(0.5, 1), st.integers(1, 30), st.integers(1, 30))
def test_an_old_gap_overtakes_a_fresh_one_after_the_bound(other: str, success: float, files: int, others: int) -> None:
    fresh = score_of(Priority.HIGH, NOW, others, other, 1.0, CONFIG, NOW)
    factors = score_of(Priority.LOW, NOW, files, "basketball_reference", success, CONFIG, NOW)
    handicap = (fresh.total / fresh.base) / (factors.total / factors.base)
    since = NOW - overtakes_after(Priority.LOW, Priority.HIGH, CONFIG.scoring, handicap) - timedelta(seconds=1)
    old = score_of(Priority.LOW, since, files, "basketball_reference", success, CONFIG, NOW)
    assert old.total > fresh.total
    assert handicap <= 1.5 / 1.2 * 1.2 / 0.5 + 1e-9


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_the_success_factor_never_sinks_a_dataset(stored: float, failed: float) -> None:
    factor = success_factor(stored, failed, CONFIG.scoring)
    assert CONFIG.scoring.success.floor <= factor <= 1
    assert factor <= success_factor(stored + 1, failed, CONFIG.scoring)
    assert factor >= success_factor(stored, failed + 1, CONFIG.scoring)


@pytest.mark.parametrize(
    ("stored", "failed", "factor"),
    [
        pytest.param(0, 0, 1.0, id="no history"),
        pytest.param(100, 0, 1.0, id="a clean one"),
        pytest.param(0, 2, 0.75, id="half of the way to the floor: two failures, and two imaginary successes"),
        pytest.param(3, 5, 0.75, id="as many successes as failures, the imaginary ones counted"),
        pytest.param(0, 10**9, 0.5, id="the floor"),
    ],
)
def test_the_success_factor_to_the_digit(stored: float, failed: float, factor: float) -> None:
    assert success_factor(stored, failed, CONFIG.scoring) == pytest.approx(factor)
    off = CONFIG.scoring.model_copy(update={"success": CONFIG.scoring.success.model_copy(update={"enabled": False})})
    assert success_factor(stored, failed, off) == 1.0


def test_without_weighting_a_score_is_its_base_whatever_else_is_known() -> None:
    config = a_config(scoring=CONFIG.scoring.model_copy(update={"weighting": False}))
    score = score_of(Priority.HIGH, NOW - timedelta(hours=10), 1, "espn", 0.5, config, NOW)
    assert (score.total, score.weighted) == (100, False)
    assert score.parts() == {"base": 100, "age": 0.0, "multiplier": 1.0, "small_fill": 1.0, "success": 1.0}


AGES = st.integers(0, 2000).map(lambda hours: NOW - timedelta(hours=hours))


@given(st.sampled_from(Priority), st.sampled_from(Priority), AGES, st.integers(1, 30))
def test_with_all_else_equal_the_higher_priority_scores_higher(one: Priority, other: Priority, seen, files) -> None:  # type: ignore[no-untyped-def]
    scores = [score_of(p, seen, files, "espn", 1.0, CONFIG, NOW).total for p in (one, other)]
    order = list(Priority)
    assert (scores[0] > scores[1]) == (order.index(one) < order.index(other))
