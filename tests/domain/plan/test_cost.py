"""What it takes to fetch what the lake lacks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from config.models import Config, Maintenance, Rate
from tasks.domain.assess.overview import Overview, Stored
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Cell, Partition
from tasks.domain.limits.pauses import FOR_EVER
from tasks.domain.limits.rates import spacing
from tasks.domain.plan.cost import Amount, Cost, MeanSizes, SourceCost, cost_of
from tasks.domain.reasons import Limit
from tests.builders import a_board, a_cell, a_config

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
CONFIG = a_config()
GAP = Status(State.GAP, "not in the lake", Kind.MISSING)
SEASON = "2025-26"


def _cost(
    *files: tuple[Cell, Status],
    unlisted: dict[tuple[str, str], int] | None = None,
    stored: dict[tuple[str, str], Stored] | None = None,
    config: Config = CONFIG,
    **more: Any,
) -> Cost:
    overview = Overview(
        {},
        {cell.key: cell for cell, _ in files},
        {cell.key: status for cell, status in files},
        NOW,
        stored={Partition(*of): have for of, have in (stored or {}).items()},
        unlisted={Partition(*of): count for of, count in (unlisted or {}).items()},
    )
    return cost_of(config, overview, NOW, **more)


def _of(cost: Cost, name: str) -> SourceCost:
    return next(source for source in cost.sources if source.name == name)


def _after(requests: int, source: str = "espn") -> datetime:
    return NOW + timedelta(seconds=requests * spacing(CONFIG.sources[source].rates))


def test_nothing_is_lacking() -> None:
    cost = _cost((a_board(), Status(State.PRESENT, "whole")))
    assert [source.name for source in cost.sources] == list(CONFIG.sources)
    assert cost.total == SourceCost("all", Amount(), Amount(), None, None)
    assert not any([*cost.sources, cost.total])


def test_files_of_one_response_take_one_request() -> None:
    keys = ("espn_box_scores/1.json", "espn_play_by_play/1.json", "espn_team_stats/1.json")
    game = [(a_cell(key=key), GAP) for key in keys]
    other = a_cell(key="espn_box_scores/2.json", fields={"id": "2"})
    espn = _of(_cost(*game, (other, GAP), (a_board(), GAP)), "espn")
    assert espn == SourceCost("espn", Amount(5, 3, 4 * 390_000 + 65_000), Amount(), _after(3), _after(3))


def test_a_command_costs_as_many_requests_as_it_sends() -> None:
    assert _of(_cost((a_cell(cost=3), GAP)), "espn").known.requests == 3


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (GAP, True),
        (Status(State.GAP, "", Kind.STALE), True),
        (Status(State.GAP, "", Kind.UNREADABLE), False),
        (Status(State.DEFERRED, "", limit=Limit.EXAMINE_AT_MOST), False),
        (Status(State.UNAVAILABLE, "", Kind.MISSING), False),
        (Status(State.IN_FLIGHT, "", Kind.MISSING), False),
    ],
)
def test_only_files_that_are_waited_for_count(status: Status, counts: bool) -> None:
    assert bool(_of(_cost((a_cell(), status)), "espn")) is counts


def test_a_file_that_is_deferred_counts_unless_it_is_only_looked_for_again_or_nobody_wants_or_can_store_it() -> None:
    def counts(limit: Limit) -> bool:
        return bool(_of(_cost((a_cell(), Status(State.DEFERRED, "", Kind.MISSING, limit=limit))), "espn"))

    looked_for = {Limit.LOOKS, Limit.NOT_PUBLISHED, Limit.DISAGREEMENT, Limit.EXAMINE_AT_MOST}
    unwanted = {Limit.OPERATOR, Limit.ENABLED, Limit.PARAMETERS, Limit.ROLLOUT}
    assert {limit for limit in Limit if not counts(limit)} == looked_for | unwanted | {Limit.OBSTACLE}


def test_an_estimate_stands_beside_what_is_known() -> None:
    cost = _cost((a_board(), GAP), unlisted={("espn_summary", "2023-24"): 4200, ("nba_playbyplay", "2023-24"): 1400})
    espn, nba = _of(cost, "espn"), _of(cost, "nba_api")
    assert espn.known == Amount(1, 1, 65_000)
    assert espn.estimate == Amount(4200, 1400, 4200 * 390_000)
    assert (espn.known_done, espn.done) == (_after(1), _after(1401))
    assert nba == SourceCost("nba_api", Amount(), Amount(1400, 1400, 1400 * 210_000), None, _after(1400, "nba_api"))
    assert cost.total == SourceCost("all", espn.known, espn.estimate + nba.estimate, espn.known_done, nba.done)


@pytest.mark.parametrize("off", ["everything", "source", "dataset"])
def test_nothing_is_estimated_of_what_is_switched_off(off: str) -> None:
    disabled = {"enabled": False}
    config = {
        "everything": a_config(enabled=False),
        "source": a_config(sources=CONFIG.sources | {"espn": CONFIG.sources["espn"].model_copy(update=disabled)}),
        "dataset": a_config(
            datasets=CONFIG.datasets | {"espn_summary": CONFIG.datasets["espn_summary"].model_copy(update=disabled)}
        ),
    }[off]
    assert not _of(_cost(unlisted={("espn_summary", "2023-24"): 300}, config=config), "espn")


def test_a_pause_and_the_forecast_of_the_fills_are_waited_for() -> None:
    opens, etas = NOW + timedelta(hours=2), NOW + timedelta(hours=3)
    espn = _of(_cost((a_board(), GAP), opens={"espn": opens}), "espn")
    assert espn.known_done == opens + (_after(1) - NOW)
    espn = _of(_cost((a_board(), GAP), opens={"espn": opens}, etas={"espn": etas}), "espn")
    assert (espn.known_done, espn.done) == (etas, etas)
    assert _of(_cost((a_board(), GAP), opens={"espn": NOW - timedelta(hours=2)}), "espn").known_done == _after(1)


def test_a_paused_dataset_is_waited_for_and_the_others_of_its_source_are_fetched_meanwhile() -> None:
    board, game, later = a_board(), a_cell(), NOW + timedelta(hours=2)
    both = (board, GAP), (game, GAP)
    assert _of(_cost(*both, opens={"espn_summary": later}), "espn").known_done == later + (_after(1) - NOW)
    soon = NOW + timedelta(milliseconds=1)
    assert _of(_cost(*both, opens={"espn_summary": soon}), "espn").known_done == _after(2), "one after the other"
    assert _of(_cost((board, GAP), opens={"espn_summary": later}), "espn").known_done == _after(1)


def test_what_is_held_up_with_no_end_has_no_end_and_the_total_has_none() -> None:
    unlisted = {("espn_summary", "2023-24"): 30, ("nba_playbyplay", "2023-24"): 10}
    cost = _cost((a_board(), GAP), unlisted=unlisted, opens={"espn_summary": FOR_EVER})
    espn, nba_api = _of(cost, "espn"), _of(cost, "nba_api")
    assert (espn.known_done, espn.done) == (_after(1), None)
    assert nba_api.done == _after(10, "nba_api")
    assert (cost.total.known_done, cost.total.done) == (_after(1), None)
    cost = _cost((a_board(), GAP), opens={"espn": FOR_EVER}, etas={"espn": NOW})
    assert _of(cost, "espn").known_done is cost.total.known_done is None


def test_maintenance_is_waited_for() -> None:
    night = Maintenance.model_validate({"of": "espn", "from": "2026-01-15T11:00", "to": "2026-01-15T13:00"})
    espn = _of(_cost((a_board(), GAP), config=a_config(maintenance=[night])), "espn")
    assert espn.known_done == NOW + timedelta(hours=1) + (_after(1) - NOW)


def test_sources_that_share_a_rate_are_done_later() -> None:
    slow = Rate(requests=1, seconds=60)
    unlisted = {("nba_playbyplay", "2023-24"): 100, ("br_boxscore", "2023-24"): 100}
    cost = _cost(unlisted=unlisted, config=a_config(rates=[slow]))
    assert cost.total.done == NOW + timedelta(seconds=200 * spacing([slow]))
    assert max(source.done for source in cost.sources if source.done) == NOW + timedelta(seconds=100 * spacing([slow]))


def test_sizes_are_those_of_the_nearest_season_in_the_lake() -> None:
    stored = {
        Partition("espn_summary", "2010-11"): Stored(100, 100 * 1_000),
        Partition("espn_summary", "2020-21"): Stored(20, 20 * 3_000),
        Partition("espn_summary", "2022-23"): Stored(19, 0),
        Partition("nba_schedule", "2010-11"): Stored(1, 5_000),
        Partition("nba_schedule", "2020-21"): Stored(1, 7_000),
    }
    sizes = MeanSizes(CONFIG, stored)
    assert sizes.of(Partition("espn_summary", "2010-11")) == 1_000
    assert sizes.of(Partition("espn_summary", "2022-23")) == 3_000, "19 files are too few"
    assert sizes.of(Partition("nba_schedule", "2022-23")) == 6_000, "the mean of the few that are there"
    assert sizes.of(Partition("br_totals", "2022-23")) == 1_700_000, "the typical size"


def test_the_sizes_of_the_lake_make_the_bytes() -> None:
    cost = _cost(
        (a_board(), GAP), unlisted={("espn_summary", SEASON): 30}, stored={("espn_summary", SEASON): Stored(50, 100)}
    )
    assert _of(cost, "espn").estimate == Amount(30, 10, 60)


def test_a_date_is_one_request_and_another_date_another() -> None:
    boards = [a_board(key=f"{day}", first_day=date(2026, 1, day), last_day=date(2026, 1, day)) for day in (13, 14)]
    assert _of(_cost(*((board, GAP) for board in boards)), "espn").known.requests == 2


def test_estimates_of_several_datasets_of_a_source_add_up() -> None:
    files = {("br_boxscore", "2023-24"): 100, ("br_playbyplay", "2023-24"): 50}
    assert _of(_cost(unlisted=files), "basketball_reference").estimate == Amount(150, 150, 44_000_000 + 11_000_000)
