"""Scores, priorities, and what is fetched in which order."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Config, Priority
from tasks.domain.holds import Hold
from tasks.domain.plan import Gap, in_start_order, make_plan, start_order
from tasks.domain.reasons import Limit, Reason
from tasks.domain.scoring import overtakes_after, priority_of, score_of, success_factor
from tasks.domain.states import Kind
from tests.builders import NOW, a_cell, a_config, a_gap

CONFIG = a_config()


def test_files_that_a_source_had_none_of_go_behind_the_others_of_their_dataset_and_of_no_other() -> None:
    old, new = NOW - timedelta(hours=100), NOW - timedelta(hours=1)
    holes = [a_gap(n, first_seen=old) for n in range(25)]
    good = [a_gap(n, first_seen=new) for n in range(100, 103)]
    cell = a_cell(dataset="nba_boxscore_advanced", url="/advanced?{id}")
    others = [a_gap(cell=cell._replace(key=f"a/{n}", url=f"/a{n}"), first_seen=old) for n in range(3)]
    doubtful = {gap.cell.key for gap in holes}
    plan = make_plan(CONFIG, [*holes, *good, *others], NOW, doubtful=doubtful)
    mine = [fill for fill in plan.fills if fill.dataset == "espn_summary"]
    assert [fill.doubtful for fill in mine] == [False, True, True]
    assert mine[0].keys == [gap.cell.key for gap in good]
    assert {key for fill in mine[1:] for key in fill.keys} == doubtful
    places = [fill.dataset for fill in sorted(plan.fills, key=start_order)]
    assert [fill.dataset for fill in plan.fills] == places, "nobody else's place is another"
    assert in_start_order(plan.fills[::-1]) == list(plan.fills)


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


AGES = st.integers(0, 2000).map(lambda hours: NOW - timedelta(hours=hours))


@given(st.sampled_from(Priority), st.sampled_from(Priority), AGES, st.integers(1, 30))
def test_with_all_else_equal_the_higher_priority_scores_higher(one: Priority, other: Priority, seen, files) -> None:  # type: ignore[no-untyped-def]
    scores = [score_of(p, seen, files, "espn", 1.0, CONFIG, NOW).total for p in (one, other)]
    order = list(Priority)
    assert (scores[0] > scores[1]) == (order.index(one) < order.index(other))


def _gaps(config: Config) -> st.SearchStrategy[list[Gap]]:
    def gap(n: int, dataset: str, season_start: int, kind: Kind, hours: int) -> Gap:
        day = date(season_start + 1, 1, 10)
        season = f"{season_start}-{(season_start + 1) % 100:02d}"
        cell = a_cell(
            key=f"{dataset}/{n}",
            url=f"/{season}/{n // 3}",
            dataset=dataset,
            season=season,
            first_day=day,
            last_day=day,
        )
        return Gap(cell, kind, "reason", NOW - timedelta(hours=hours))

    one = st.tuples(
        st.sampled_from(sorted(config.datasets)), st.integers(2015, 2025), st.sampled_from(Kind), st.integers(0, 999)
    )
    return st.lists(one, max_size=60).map(lambda rows: [gap(n, *row) for n, row in enumerate(rows)])


@given(_gaps(CONFIG), st.integers(0, 5))
def test_every_gap_is_in_one_fill_or_deferred_and_order_is_score_order(gaps: list[Gap], max_fills: int) -> None:
    plan = make_plan(CONFIG, gaps, NOW, max_fills=max_fills)
    keys = [key for fill in plan.fills for key in fill.keys] + [d.gap.cell.key for d in plan.deferred]
    assert sorted(keys) == sorted(gap.cell.key for gap in gaps)
    assert len(plan.fills) <= max_fills
    scores = [fill.score.total for fill in plan.fills]
    assert scores == sorted(scores, reverse=True)
    for fill in plan.fills:
        assert len(fill.requests()) <= CONFIG.batch_of(fill.dataset)
        assert {(gap.cell.dataset, gap.cell.season) for gap in fill.gaps} == {(fill.dataset, fill.season)}
        parts = fill.score.parts()
        assert parts["base"] == CONFIG.scoring.base[fill.priority]
        assert fill.detected_at == min(gap.first_seen for gap in fill.gaps)


@given(_gaps(CONFIG))
def test_without_weighting_priority_decides_and_then_age(gaps: list[Gap]) -> None:
    config = a_config(scoring=CONFIG.scoring.model_copy(update={"weighting": False}))
    fills = make_plan(config, gaps, NOW).fills
    order = [(list(Priority).index(fill.priority), fill.detected_at) for fill in fills]
    assert order == sorted(order)


def test_the_same_gaps_make_the_same_fills_in_any_order() -> None:
    gaps = [a_gap(n) for n in range(45)]
    plans = [make_plan(CONFIG, order, NOW) for order in (gaps, gaps[::-1])]
    assert [fill.id for fill in plans[0].fills] == [fill.id for fill in plans[1].fills]
    assert [len(fill.requests()) for fill in plans[0].fills] in ([20, 20, 5], [5, 20, 20])
    assert list(plans[0].fills) == sorted(plans[0].fills, key=start_order)


def test_caps_defer_with_their_name_and_until_the_next_run() -> None:
    reconcile = CONFIG.reconcile.model_copy(update={"max_fills_by_priority": {Priority.CRITICAL: 1}})
    plan = make_plan(a_config(reconcile=reconcile), [a_gap(n) for n in range(50)], NOW)
    assert len(plan.fills) == 1
    assert {deferral.reason for deferral in plan.deferred} == {
        Reason(Limit.MAX_FILLS, "run cap: 1 CRITICAL fill a run", NOW + timedelta(minutes=15), "CRITICAL")
    }


def test_in_test_mode_the_cap_is_that_of_test_mode() -> None:
    gaps = [a_gap(n) for n in range(50)]
    plan = make_plan(a_config(test_mode=True, test_fills=1), gaps, NOW)
    assert len(plan.fills) == 1
    assert {deferral.reason.limit for deferral in plan.deferred} == {Limit.TEST_FILLS}
    reconcile = CONFIG.reconcile.model_copy(update={"max_fills": 1})
    plan = make_plan(a_config(test_mode=True, test_fills=2, reconcile=reconcile), gaps, NOW)
    assert {deferral.reason.limit for deferral in plan.deferred} == {Limit.MAX_FILLS}


@pytest.mark.parametrize(
    ("config", "of", "text"),
    [
        pytest.param(a_config(enabled=False), "enabled", "disabled: the master switch `enabled` is false", id="all"),
        pytest.param(
            a_config(sources={**CONFIG.sources, "espn": CONFIG.sources["espn"].model_copy(update={"enabled": False})}),
            "sources.espn.enabled",
            "disabled: sources.espn.enabled is false",
            id="source",
        ),
        pytest.param(
            a_config(
                datasets={
                    **CONFIG.datasets,
                    "espn_summary": CONFIG.datasets["espn_summary"].model_copy(update={"enabled": False}),
                }
            ),
            "datasets.espn_summary.enabled",
            "disabled: datasets.espn_summary.enabled is false",
            id="dataset",
        ),
    ],
)
def test_what_is_switched_off_is_deferred_until_somebody_changes_it(config: Config, of: str, text: str) -> None:
    plan = make_plan(config, [a_gap()], NOW)
    assert [deferral.reason for deferral in plan.deferred] == [Reason(Limit.ENABLED, text, None, of)]


@pytest.mark.parametrize(("name", "limit"), [("espn", Limit.BACKOFF), ("espn_summary", Limit.BREAKER)])
def test_what_is_held_is_deferred_until_then(name: str, limit: Limit) -> None:
    until = NOW + timedelta(hours=1)
    plan = make_plan(CONFIG, [a_gap()], NOW, held={name: Hold(name, until, "HTTP 403")})
    [deferral] = plan.deferred
    assert (deferral.reason.limit, deferral.reason.until, deferral.reason.of) == (limit, until, name)
