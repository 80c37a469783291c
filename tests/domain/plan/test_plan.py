"""What is fetched, in which order, and what is left for later?"""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Command, Config, Maintenance, Priority, Rollout
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.expected.cells import Cell
from tasks.domain.limits.pauses import OperatorPause, Pause, Window
from tasks.domain.plan.plan import (
    GIVEN_CAP,
    Deferral,
    RunCap,
    in_start_order,
    make_plan,
    rescored,
    start_order,
    why_paused,
    why_waiting,
    without,
)
from tasks.domain.reasons import Limit, Reason
from tests.builders import NOW, a_cell, a_config, a_fill, a_gap

CONFIG = a_config()


def test_of_a_source_or_dataset_that_is_stopped_nothing_is_fetched() -> None:
    reason = Reason(Limit.BUCKET, "rate bucket 'adce-espn' is missing", NOW, "espn")
    for name in ("espn", "espn_summary"):
        plan = make_plan(a_config(), [a_gap(1), a_gap(2)], NOW, stopped={name: reason})
        assert (plan.fills, [deferral.reason for deferral in plan.deferred]) == ((), [reason, reason])
    assert make_plan(a_config(), [a_gap(1)], NOW, stopped={"nba_api": reason}).deferred == ()


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


def test_a_file_that_a_command_does_not_take_is_deferred_and_all_of_them_for_one_reason() -> None:
    script = Command.model_validate(
        {
            "argv": ["scrape", "{id}"],
            "files": ["{id}"],
            "parameters": {"id": {"type": "text", "pattern": "4018.*[02468]"}},
        }
    )
    changed = CONFIG.datasets["espn_summary"].model_copy(update={"url": None, "command": script})
    config = a_config(datasets=CONFIG.datasets | {"espn_summary": changed})
    gaps = [a_gap(n, cell=a_gap(n).cell._replace(fields={"id": f"40180000{n}"})) for n in range(4)]
    plan = make_plan(config, gaps, NOW)
    setting = "datasets.espn_summary.command.parameters.id"
    text = f"{setting}: '401800001' is not a valid text: 4018.*[02468]"
    why = Reason(Limit.PARAMETERS, text, of=setting)
    assert plan.deferred == (Deferral(gaps[1], why), Deferral(gaps[3], why))
    rollout = Rollout.model_validate(
        {"percent": 100, "datasets": ["espn_summary"], "changes": {"command": script, "check": {"name": "json"}}}
    )
    varied = [a_gap(n, cell=gaps[n].cell._replace(variant="script")) for n in (0, 1)]
    [deferral] = make_plan(a_config(rollout={"script": rollout}), varied, NOW).deferred
    assert deferral.gap == varied[1]
    assert deferral.reason.of == "rollout.script.changes.command.parameters.id"


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
    for test_fills in (1, 2):
        reconcile = CONFIG.reconcile.model_copy(update={"max_fills": 1})
        plan = make_plan(a_config(test_mode=True, test_fills=test_fills, reconcile=reconcile), gaps, NOW)
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
    assert plan.deferred == (Deferral(a_gap(), Reason(Limit.ENABLED, text, None, of)),)


@pytest.mark.parametrize(("name", "limit"), [("espn", Limit.BACKOFF), ("espn_summary", Limit.BREAKER)])
def test_what_is_held_is_deferred_until_then(name: str, limit: Limit) -> None:
    until = NOW + timedelta(hours=1)
    plan = make_plan(CONFIG, [a_gap()], NOW, paused={name: Pause(name, until, "HTTP 403")})
    [deferral] = plan.deferred
    assert (deferral.reason.limit, deferral.reason.until, deferral.reason.of) == (limit, until, name)
    assert deferral.gap == a_gap()


def test_of_several_reasons_why_a_file_waits_the_one_that_ends_last_decides() -> None:
    """One without an end is the last of all, and a switch or a rollout goes before each of them."""
    hour = timedelta(hours=1)
    refused = {"espn": Pause("espn", NOW + 2 * hour, "HTTP 403")}
    open_breaker = {"espn_summary": Pause("espn_summary", NOW + 3 * hour, "8 failures")}
    short = {"espn": why_paused(OperatorPause("espn", NOW + hour, "a note", by="ana"), Limit.OPERATOR_PAUSE)}
    endless = {"espn_summary": Reason(Limit.OPERATOR_PAUSE, "paused with no end", None, "espn_summary")}
    once = {"from": "2026-01-15T00:00", "to": "2026-01-15T16:00"}
    window = a_config(maintenance=[Maintenance.model_validate({"of": "espn", **once})])

    def limit(paused: dict[str, Pause], stopped: dict[str, Reason], config: Config = CONFIG) -> Limit | None:
        plan = make_plan(config, [a_gap()], NOW, paused=paused, stopped=stopped, ends=NOW + 9 * hour)
        return plan.deferred[0].reason.limit if plan.deferred else None

    assert limit(refused | open_breaker, {}) is None, "the run can wait for them"
    assert limit(refused, short) is Limit.BACKOFF
    assert limit(refused | open_breaker, short) is Limit.BREAKER
    assert limit(refused | open_breaker, short | endless) is Limit.OPERATOR_PAUSE
    assert limit(refused | open_breaker, short, window) is Limit.MAINTENANCE
    none_yet = CONFIG.datasets["espn_summary"].model_copy(update={"rollout": 0.0})
    config = a_config(datasets={**CONFIG.datasets, "espn_summary": none_yet})
    assert limit(refused, endless, config) is Limit.ROLLOUT


def _with_rollout(**changes: Any) -> Config:
    """One that has reached every file of ESPN's games, under the name x."""
    rollout = Rollout.model_validate({"percent": 100, "datasets": ["espn_summary"], "changes": changes})
    return a_config(rollout={"x": rollout})


def _in_rollout(n: int = 0) -> Gap:
    gap = a_gap(n)
    return replace(gap, cell=gap.cell._replace(variant="x"))


def test_the_breaker_of_a_variant_holds_its_files_and_no_others() -> None:
    config, until = _with_rollout(url="/v2?event={id}"), NOW + timedelta(hours=1)
    paused = {"espn_summary@x": Pause("espn_summary@x", until, "8 failures")}
    plan = make_plan(config, [_in_rollout(1), a_gap(2)], NOW, paused=paused)
    [deferral] = plan.deferred
    text = "breaker open until 2026-01-15 13:00 UTC: 8 failures"
    assert deferral.reason == Reason(Limit.BREAKER, text, until, "espn_summary@x")
    assert [fill.keys for fill in plan.fills] == [[a_gap(2).cell.key]]


def test_a_request_is_as_urgent_as_the_worst_file_that_it_brings() -> None:
    cell = a_cell(url="/summary?event=1")
    kinds = [Kind.STALE, Kind.VANISHED, Kind.MISSING]
    gaps = [a_gap(cell=cell._replace(key=f"{n}.json"), kind=kind) for n, kind in enumerate(kinds)]
    for order in (gaps, gaps[::-1]):
        [fill] = make_plan(CONFIG, order, NOW).fills
        assert fill.kind is Kind.VANISHED


def test_a_fill_is_scored_anew_by_the_success_that_its_dataset_has_by_now() -> None:
    fill = a_fill(score=100.0)
    again = rescored(fill, {"espn_summary": 0.6, "espn_scoreboard": 0.1})
    assert again.score.total == pytest.approx(60)
    assert (again.id, again.gaps, again.score.base) == (fill.id, fill.gaps, fill.score.base)
    assert rescored(again, {}).score.total == pytest.approx(100), "of a dataset without failures all is well"
    unweighted = replace(fill, score=replace(fill.score, weighted=False))
    assert rescored(unweighted, {"espn_summary": 0.6}) == unweighted


def test_a_run_starts_no_more_fills_than_it_may() -> None:
    cap = RunCap(CONFIG, max_fills=2)
    for _ in range(2):
        assert cap.exceeded(Priority.LOW) is None
        cap.count(Priority.LOW)
    assert cap.exceeded(Priority.HIGH) == Reason(Limit.MAX_FILLS, "run cap: 2 fills a run", of=GIVEN_CAP)
    assert RunCap(CONFIG).total == CONFIG.reconcile.max_fills
    assert RunCap(CONFIG, max_fills=10**6).total == CONFIG.reconcile.max_fills, "the command cannot allow more"


def test_a_cap_of_a_priority_is_for_that_priority() -> None:
    reconcile = CONFIG.reconcile.model_copy(update={"max_fills_by_priority": {Priority.LOW: 1}})
    cap = RunCap(a_config(reconcile=reconcile))
    cap.count(Priority.LOW)
    assert cap.exceeded(Priority.LOW) == Reason(Limit.MAX_FILLS, "run cap: 1 LOW fill a run", of="LOW")
    assert cap.exceeded(Priority.HIGH) is None


UNTIL = NOW + timedelta(hours=1)


def test_each_kind_of_hold_has_its_limit_and_its_words() -> None:
    paused, window = Pause("espn", UNTIL, "HTTP 403"), Window("all", UNTIL, "their database")
    when = "until 2026-01-15 13:00 UTC"
    assert why_paused(paused, Limit.BACKOFF) == Reason(Limit.BACKOFF, f"source paused {when}: HTTP 403", UNTIL, "espn")
    for limit in (Limit.BACKOFF, Limit.BREAKER, Limit.MAINTENANCE):
        assert why_paused(window, limit) == Reason(
            Limit.MAINTENANCE, f"maintenance {when}: their database", UNTIL, "all"
        )


def test_who_waits_for_a_probe_waits_until_that_is_given_up() -> None:
    pause = Pause("espn", NOW, "HTTP 403", probe_until=UNTIL)
    text = "espn is asked again, once, and has not answered yet: HTTP 403"
    assert why_waiting(pause, NOW) == Reason(Limit.PROBE, text, UNTIL, "espn")


def test_a_fill_without_some_of_its_files_is_another_fill_and_without_none_the_same() -> None:
    fill = a_fill(1, requests=3)
    first, *others = fill.keys
    rest = without(fill, {first, "no file of it"})
    assert rest is not None
    assert rest.keys == others
    assert rest.id != fill.id
    assert rest == replace(fill, id=rest.id, gaps=rest.gaps)
    assert without(fill, {"no file of it"}) is fill
    assert without(fill, fill.keys) is None


def test_a_plan_may_be_given_one_priority_for_all_of_its_fills() -> None:
    old = a_cell(key="old.json", url="/old", season="2010-11", first_day=date(2011, 1, 5), last_day=date(2011, 1, 5))
    gaps = [a_gap(1), a_gap(cell=old)]
    usual, given = make_plan(CONFIG, gaps, NOW), make_plan(CONFIG, gaps, NOW, priority=Priority.MEDIUM)
    assert {fill.priority for fill in usual.fills} == {Priority.CRITICAL, Priority.LOW}
    assert {(fill.priority, fill.score.base) for fill in given.fills} == {(Priority.MEDIUM, 10)}


def test_a_fill_is_scored_by_the_success_of_its_own_dataset() -> None:
    board = a_gap(cell=a_cell(key="board.json", url="/board", dataset="espn_scoreboard"))
    fills = make_plan(CONFIG, [a_gap(1), board], NOW, success={"espn_summary": 0.6}).fills
    assert {fill.dataset: fill.score.success for fill in fills} == {"espn_summary": 0.6, "espn_scoreboard": 1.0}


def test_the_name_of_a_fill_is_the_same_in_every_version_since_ledgers_keep_it() -> None:
    [fill] = make_plan(CONFIG, [a_gap(1), a_gap(2)], NOW).fills
    assert fill.id == "espn_summary-2025-26-409cf94e0e"
    parts = [part for part in (without(fill, {fill.keys[0]}), without(fill, {fill.keys[1]})) if part]
    assert [part.id for part in parts] == [make_plan(CONFIG, [a_gap(n)], NOW).fills[0].id for n in (2, 1)], (
        "what is left of it is named as if it had been planned"
    )


def test_a_fill_costs_the_requests_of_each_of_its_questions_once() -> None:
    three_files = [a_gap(cell=a_cell(key=f"{n}.json", url="fetch 1", cost=3)) for n in range(3)]
    another = a_gap(cell=a_cell(key="9.json", url="fetch 2", cost=3))
    [fill] = make_plan(CONFIG, [*three_files, another], NOW).fills
    assert (len(fill.keys), list(fill.requests()), fill.cost) == (4, ["fetch 1", "fetch 2"], 6)


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        pytest.param([a_cell()], "2026-01-13", id="a game"),
        pytest.param(
            [
                a_cell(key=f"{n}", url=f"/{n}", first_day=date(2026, 1, n), last_day=date(2026, 1, n))
                for n in (13, 9, 11)
            ],
            "2026-01-09..2026-01-13",
            id="games of some days",
        ),
        pytest.param(
            [a_cell(url="/p", fields={"month": "january"}, first_day=date(2026, 1, 1), last_day=date(2026, 1, 31))],
            "2026-01-01..2026-01-31",
            id="a month",
        ),
        pytest.param([a_cell(url="/p", fields={"date": "2026-01-13"})], "2026-01-13", id="a date"),
        pytest.param([a_cell(url="/p", fields={"season": "2025-26", "end_year": "2026"})], "2025-26", id="a season"),
    ],
)
def test_a_fill_says_which_days_it_is_about(cells: list[Cell], days: str) -> None:
    gaps = [a_gap(cell=cell) for cell in cells]
    [fill] = make_plan(CONFIG, gaps, NOW).fills
    assert fill.days == days


def test_a_fill_says_what_is_wrong_with_its_first_file_and_how_many_more_there_are() -> None:
    key = a_gap(0).cell.key
    assert make_plan(CONFIG, [a_gap(0)], NOW).fills[0].reason == f"missing: {key}: not in the lake"
    [fill] = make_plan(CONFIG, [a_gap(0), a_gap(1), a_gap(2)], NOW).fills
    assert fill.reason == f"missing: {key}: not in the lake (and 2 more)"


@pytest.mark.parametrize(
    ("given", "test_fills", "limit", "of"),
    [
        pytest.param(None, None, Limit.MAX_FILLS, "", id="the configuration's"),
        pytest.param(1, None, Limit.MAX_FILLS, "", id="the same as the configuration's"),
        pytest.param(0, None, Limit.MAX_FILLS, GIVEN_CAP, id="the command's"),
        pytest.param(None, 0, Limit.TEST_FILLS, "", id="that of test mode"),
    ],
)
def test_a_cap_says_what_has_set_it(given: int | None, test_fills: int | None, limit: Limit, of: str) -> None:
    reconcile = CONFIG.reconcile.model_copy(update={"max_fills": 1})
    testing = {"test_mode": True, "test_fills": test_fills} if test_fills is not None else {}
    cap = RunCap(a_config(reconcile=reconcile, **testing), given)
    cap.count(Priority.LOW)
    over = cap.exceeded(Priority.LOW)
    assert over is not None
    assert (over.limit, over.of) == (limit, of)
