"""Whose key is this?"""

import pytest

from tasks.domain.expected.cells import Selection, calendar_cells, game_cells
from tasks.domain.expected.keys import KeyPatterns, find_misnamed, fixed_folder, folders
from tests.builders import NOW, a_config, a_game

CONFIG = a_config()


def test_every_expected_key_is_its_datasets_and_foreign_keys_are_nobodys() -> None:
    patterns = KeyPatterns(CONFIG)
    cells = [
        *calendar_cells(CONFIG, NOW, Selection(seasons=("2019-20", "2023-24"))),
        *game_cells(CONFIG, "espn_scoreboard", [a_game()], NOW),
        *game_cells(CONFIG, "nba_schedule", [a_game(id="0022500001")], NOW),
        *game_cells(CONFIG, "br_schedule", [a_game(id="202601130BOS")], NOW),
    ]
    assert {cell.key for cell in cells if patterns.dataset_of(cell.key) != cell.dataset} == set()
    for foreign in ("x", "espn_schedules/2024.json", "espn_box_scores/../401810001.json", "espn_box_scores/1\n.json"):
        assert patterns.dataset_of(foreign) is None


def test_a_key_tells_its_dataset_and_its_fields() -> None:
    patterns = KeyPatterns(CONFIG)
    assert patterns.match("espn_schedules/20260113.json") == ("espn_scoreboard", {"yyyymmdd": "20260113"})
    box_score = "basketball_reference/box_scores/2026/202601130BOS.json"
    assert patterns.match(box_score) == ("br_boxscore", {"end_year": "2026", "id": "202601130BOS"})
    assert patterns.match("basketball_reference/schedules/2020/october-2019.html") == (
        "br_schedule",
        {"end_year": "2020", "month": "october-2019"},
    )
    assert patterns.match("x") is None


@pytest.mark.parametrize(
    ("field", "value", "other"),
    [
        ("season", "2023-24", "2023"),
        ("start_year", "2023", "23"),
        ("end_year", "2024", "2024-25"),
        ("date", "2024-01-05", "20240105"),
        ("yyyymmdd", "20240105", "2024-01-05"),
        ("month", "october-2019", "October"),
    ],
)
def test_a_field_of_a_key_is_known_by_its_shape(field: str, value: str, other: str) -> None:
    totals = CONFIG.datasets["br_totals"].model_copy(update={"keys": [f"t/{{{field}}}.html"]})
    patterns = KeyPatterns(a_config(datasets={"br_totals": totals}))
    assert patterns.match(f"t/{value}.html") == ("br_totals", {field: value})
    assert patterns.match(f"t/{other}.html") is None
    assert patterns.match(f"t/1{value}.html") is None


def test_a_field_may_stand_in_a_key_twice_and_what_is_no_field_stands_for_itself() -> None:
    totals = CONFIG.datasets["br_totals"].model_copy(update={"keys": ["t/{end_year}/x.y_{end_year}.html"]})
    patterns = KeyPatterns(a_config(datasets={"br_totals": totals}))
    assert patterns.match("t/2026/x.y_2026.html") == ("br_totals", {"end_year": "2026"})
    assert patterns.match("t/2026/x.y_26.html") is None
    assert patterns.match("t/2026/x-y_2026.html") is None, "a dot is a dot"


def test_the_folder_that_all_keys_of_a_template_are_in_ends_before_its_first_field() -> None:
    assert fixed_folder("a/b/{end_year}/{id}.json") == "a/b"
    assert fixed_folder("a/b_{season}/c.json") == "a"


def test_a_folder_inside_another_is_not_listed_once_more() -> None:
    totals = CONFIG.datasets["br_totals"]
    inner, outer, beside = (
        totals.model_copy(update={"keys": [f"{folder}/{{end_year}}.html"]}) for folder in ("a/b/c", "a/b", "a/bc")
    )
    assert folders([inner, outer, beside]) == ["a/b", "a/bc"]
    assert folders([inner, beside]) == ["a/b/c", "a/bc"]


def test_the_folders_to_list_are_the_fixed_ones_of_all_keys() -> None:
    assert folders(CONFIG.datasets[name] for name in ("espn_summary", "br_totals", "nba_schedule")) == [
        "basketball_reference/totals",
        "espn_box_scores",
        "espn_play_by_play",
        "espn_team_stats",
        "nba_api_comprehensive/schedules",
    ]


def test_a_dataset_is_misnamed_if_only_files_of_no_dataset_are_in_its_folders() -> None:
    names = ("espn_summary", "espn_scoreboard", "br_totals")
    good, bad = "espn_box_scores/401810001.json", "espn_schedules/2026-01-15.json"
    others = ["espn_schedules/readme.txt", "espn_schedulesX/1.json", "elsewhere/x.json"]
    [one] = find_misnamed(CONFIG, names, [bad, good, "espn_box_scores/x.json", *others])
    assert one == ("espn_scoreboard", ("espn_schedules/{yyyymmdd}.json",), 2, bad)
    assert str(one) == (
        "espn_scoreboard: found no file named espn_schedules/{yyyymmdd}.json, but 2 files that no dataset has, such as "
        f"{bad}; if these are its files, set datasets.espn_scoreboard.keys to their names"
    )
    assert find_misnamed(CONFIG, names, [bad, "espn_schedules/20260115.json"]) == [], "a file of the dataset is there"
    assert find_misnamed(CONFIG, names[:2], [good, "espn_schedules/20260115.json", bad]) == [], "and of every dataset"
    [games] = find_misnamed(CONFIG, ["espn_summary"], ["espn_team_stats/x.json"])
    assert f"named {' or '.join(CONFIG.datasets['espn_summary'].keys)}, but 1 file that" in str(games)
    assert find_misnamed(CONFIG, names, [good]) == find_misnamed(CONFIG, ["br_totals"], [bad]) == []


def test_a_file_of_another_dataset_in_the_same_folder_is_not_misnamed() -> None:
    inner = CONFIG.datasets["br_totals"].model_copy(update={"keys": ["espn_schedules/{season}.html"]})
    config = a_config(datasets={**CONFIG.datasets, "br_totals": inner})
    names = ("espn_scoreboard", "br_totals")
    assert find_misnamed(config, names, ["espn_schedules/20260115.json"]) == []
    found = find_misnamed(config, names, ["espn_schedules/20260115.json", "espn_schedules/x.html"])
    assert [(one.dataset, one.files) for one in found] == [("br_totals", 1)]
    [only] = found
    assert "but 1 file that no dataset has, espn_schedules/x.html; if" in str(only)
