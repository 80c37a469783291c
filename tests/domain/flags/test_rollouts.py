"""Which cells go first in a rollout?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Config, Rollout
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.expected.cells import Selection, calendar_cells, game_cells
from tasks.domain.flags.rollouts import covered, own_addresses, reached, scrapers, source_for
from tasks.domain.limits.pauses import Pause
from tasks.domain.plan.plan import make_plan
from tasks.domain.reasons import Limit, Reason
from tests.builders import NOW, a_cell, a_config, a_game, a_gap

CONFIG = a_config()


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 10**6))
def test_a_larger_part_holds_the_smaller(one: float, other: float, game: int) -> None:
    cell = a_cell(fields={"id": f"{game}"})
    small, large = sorted((one, other))
    assert reached("x", large, cell.rollout_unit) or not reached("x", small, cell.rollout_unit)
    assert reached("x", 100, cell.rollout_unit)
    assert not reached("x", 0, cell.rollout_unit)


def test_the_part_is_as_large_as_it_says_the_same_in_every_process_and_another_one_of_each_dataset() -> None:
    cells = [a_cell(fields={"id": f"4018{n:05}"}) for n in range(4000)]
    first = [cell.fields["id"] for cell in cells if reached("rollout", 10, cell.rollout_unit)]
    assert len(first) == 417
    assert first[:3] == ["401800005", "401800009", "401800028"]
    others = [
        c.fields["id"] for c in cells if reached("rollout", 10, c._replace(dataset="nba_playbyplay").rollout_unit)
    ]
    assert len(set(first) & set(others)) < 100


def test_a_new_dataset_is_rolled_out_to_a_part_of_its_cells_and_the_files_of_a_response_stay_together() -> None:
    summary = CONFIG.datasets["espn_summary"].model_copy(update={"rollout": 50.0})
    config = a_config(datasets={**CONFIG.datasets, "espn_summary": summary})
    gaps = []
    for n in range(40):
        gap = a_gap(n)
        for folder in ("espn_box_scores", "espn_team_stats"):
            cell = gap.cell._replace(key=f"{folder}/{n}.json", fields={"id": f"{n}"})
            gaps.append(a_gap(cell=cell))
    plan = make_plan(config, gaps, NOW)
    assert {d.reason for d in plan.deferred} == {
        Reason(Limit.ROLLOUT, "rollout: 50 % of espn_summary", of="espn_summary")
    }
    later, now = {d.gap.cell.request for d in plan.deferred}, {r for fill in plan.fills for r in fill.requests()}
    assert later
    assert now
    assert not later & now
    reached_now = {gap.cell.key for gap in gaps if reached("rollout", 50, gap.cell.rollout_unit)}
    assert {key for fill in plan.fills for key in fill.keys} == reached_now


def _with(dataset: str, percent: float, **changes: object) -> Config:
    text = {"percent": percent, "datasets": [dataset], "changes": changes}
    return a_config(rollout={"x": Rollout.model_validate(text)})


def test_a_rollout_changes_how_a_part_is_asked_for_and_no_key() -> None:
    games = [a_game(id=f"4018{n:05}") for n in range(60)]
    usual = {c.key: c for c in game_cells(CONFIG, "espn_scoreboard", games, NOW)}
    first: set[str] = set()
    for percent in (10, 30, 100):
        changed = {
            c.key: c
            for c in game_cells(_with("espn_summary", percent, url="/v2?e={id}"), "espn_scoreboard", games, NOW)
        }
        assert changed.keys() == usual.keys()
        reached_now = {key for key, cell in changed.items() if cell.variant == "x"}
        assert first < reached_now, "a larger part holds the smaller"
        assert {changed[key].request for key in reached_now} == {
            f"/v2?e={changed[key].fields['id']}" for key in reached_now
        }
        assert all(changed[key] == usual[key] for key in usual.keys() - reached_now)
        first = reached_now
    assert first == usual.keys()


def test_a_fill_is_of_one_variant_and_its_scraper_has_the_changed_settings() -> None:
    config = _with("espn_scoreboard", 50, min_bytes=99, timeouts={"read": 60}, headers={"Accept": "*/*"})
    cells = list(calendar_cells(config, NOW, Selection(datasets=("espn_scoreboard",), seasons=("2025-26",))))
    plan = make_plan(config, [Gap(cell, Kind.MISSING, "not in the lake", NOW) for cell in cells], NOW)
    variants = [{gap.cell.variant for gap in fill.gaps} for fill in plan.fills]
    assert {"x"} in variants
    assert {""} in variants
    assert all(variant == {fill.variant} for variant, fill in zip(variants, plan.fills, strict=True))
    assert {fill.scraper for fill in plan.fills} == {"espn_scoreboard", "espn_scoreboard@x"}
    settings = scrapers(config)
    assert (settings["espn_scoreboard"].min_bytes, settings["espn_scoreboard@x"].min_bytes) == (60, 99)
    assert "br_totals@x" not in settings
    usual, changed = (source_for(config, "espn", variant) for variant in ("", "x"))
    assert usual == config.sources["espn"]
    assert (changed.timeouts.read, changed.timeouts.connect) == (60, usual.timeouts.connect)
    assert changed.headers == usual.headers | {"Accept": "*/*"}


def test_a_variant_s_pause_is_its_own_and_what_it_would_bring_goes_the_usual_way() -> None:
    config = _with("espn_summary", 100, base_url="https://new.example.com", url="/v2?e={id}")
    gaps = [
        Gap(cell, Kind.MISSING, "not in the lake", NOW)
        for cell in game_cells(config, "espn_scoreboard", [a_game()], NOW)
    ]
    assert own_addresses(config) == {"espn@x": "espn"}
    for paused, variant, path in (((), "x", "/v2?e=401810001"), (("espn@x",), "", "/summary?event=401810001")):
        [fill] = make_plan(config, gaps, NOW, paused={name: Pause(name, NOW) for name in paused}).fills
        assert (fill.variant, fill.address, [*fill.requests()]) == (variant, "espn@x" if variant else "espn", [path])
    [fill] = make_plan(config, gaps, NOW, paused={"espn": Pause("espn", NOW)}).fills
    assert fill.address == "espn@x", "the usual address has refused, and this one has not"
    assert make_plan(config, gaps, NOW, paused={name: Pause(name, NOW) for name in ("espn", "espn@x")}).fills == ()
    assert own_addresses(_with("espn_summary", 100, url="/v2?e={id}")) == {}, "the address is the source's"
    assert own_addresses(_with("espn_summary", 100, base_url=CONFIG.sources["espn"].base_url)) == {}


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        pytest.param({"base_url": "https://new.example.com"}, "", id="address"),
        pytest.param({"url": "/v2?e={id}"}, "", id="path"),
        pytest.param({"headers": {"User-Agent": "new"}}, "", id="headers"),
        pytest.param({"min_bytes": 99}, "x", id="the same question"),
        pytest.param({"check": {"name": "espn.summary"}}, "x", id="the same question, checked otherwise"),
    ],
)
def test_what_a_rollout_found_none_of_elsewhere_is_asked_for_the_usual_way(
    changes: dict[str, Any], variant: str
) -> None:
    config = _with("espn_summary", 100, **changes)
    cells = game_cells(config, "espn_scoreboard", [a_game()], NOW)
    gaps = [Gap(cell, Kind.MISSING, "not in the lake", NOW) for cell in cells]
    [first] = make_plan(config, gaps, NOW).fills
    [second] = make_plan(config, gaps, NOW, doubtful=first.keys).fills
    assert (first.variant, second.variant) == ("x", variant)


def test_a_part_may_be_filled_by_a_command_instead() -> None:
    command = {"argv": ["fetch", "{id}"], "files": ["{id}.json"], "requests": 3}
    config = _with("espn_summary", 100, command=command)
    [cell, *_] = game_cells(config, "espn_scoreboard", [a_game()], NOW)
    assert (cell.request, cell.cost, cell.variant) == ("fetch 401810001", 3, "x")
    settings = scrapers(config)["espn_summary@x"]
    assert settings.url is None
    assert settings.command


def test_a_rollout_is_about_the_datasets_that_it_names_and_those_of_its_sources() -> None:
    changes = {"min_bytes": 99}
    rollout = Rollout.model_validate(
        {"percent": 10, "datasets": ["br_totals"], "sources": ["espn"], "changes": changes}
    )
    config = a_config(rollout={"x": rollout})
    assert covered(config, "x") == ["espn_scoreboard", "espn_summary", "br_totals"]


def test_rollouts_of_other_names_reach_other_parts() -> None:
    games = [a_game(id=f"4018{n:05}") for n in range(60)]
    text = {"percent": 50, "datasets": ["espn_summary"], "changes": {"min_bytes": 99}}

    def part(name: str) -> set[str]:
        config = a_config(rollout={name: Rollout.model_validate(text)})
        return {cell.key for cell in game_cells(config, "espn_scoreboard", games, NOW) if cell.variant}

    assert part("x") == part("x") != part("y")


@pytest.mark.parametrize("dataset", ["espn_scoreboard", "espn_summary"])
def test_what_a_rollout_has_reached_is_asked_for_in_its_way_and_the_rest_as_before(dataset: str) -> None:
    way = {"espn_scoreboard": "/v2?dates={yyyymmdd}", "espn_summary": "/v2?event={id}"}[dataset]
    config = _with(dataset, 50, url=way)
    games = [a_game(id=f"4018{n:05}") for n in range(40)]
    cells = [
        *calendar_cells(config, NOW, Selection(datasets=("espn_scoreboard",), seasons=("2024-25",))),
        *game_cells(config, "espn_scoreboard", games, NOW),
    ]
    mine = [cell for cell in cells if cell.dataset == dataset]
    assert {cell.variant for cell in mine} == {"", "x"}
    for cell in mine:
        assert cell.variant == ("x" if reached("x", 50, cell.rollout_unit) else "")
        assert cell.url == (way if cell.variant else CONFIG.datasets[dataset].url)
