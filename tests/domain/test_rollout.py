"""Which cells go first in a rollout?"""

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.plan import make_plan
from tasks.domain.rollout import reached
from tests.builders import NOW, a_cell, a_config, a_gap

CONFIG = a_config()


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 10**6))
def test_a_larger_part_holds_the_smaller(one: float, other: float, game: int) -> None:
    cell = a_cell(fields={"id": f"{game}"})
    small, large = sorted((one, other))
    assert reached("x", large, cell) or not reached("x", small, cell)
    assert reached("x", 100, cell)
    assert not reached("x", 0, cell)


def test_the_part_is_as_large_as_it_says_the_same_in_every_process_and_another_one_of_each_dataset() -> None:
    cells = [a_cell(fields={"id": f"4018{n:05}"}) for n in range(4000)]
    first = [cell.fields["id"] for cell in cells if reached("rollout", 10, cell)]
    assert 330 < len(first) < 470
    assert first[:3] == ["401800005", "401800009", "401800028"]
    others = [c.fields["id"] for c in cells if reached("rollout", 10, c._replace(dataset="nba_playbyplay"))]
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
    assert {d.reason for d in plan.deferred} == {"rollout: 50 % of espn_summary"}
    later, now = {d.gap.cell.request for d in plan.deferred}, {r for fill in plan.fills for r in fill.requests()}
    assert later
    assert now
    assert not later & now
