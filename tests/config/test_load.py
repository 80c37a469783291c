"""What is a valid configuration, and what is said of a wrong one?"""

from pathlib import Path

import pytest

from config.load import ConfigError, load_config
from tasks.domain.expected import game_cells
from tests.builders import a_game

DATASET = """
datasets:
  nba_boxscore_usage:
    source: nba_api
    url: /boxscoreusagev3?GameID={id}
    keys: ["nba_api_comprehensive/boxscores_usage/usage_{id}.json"]
    per: game
    schedule: nba_schedule
    first_season: 2015-16
    due_after: 4h
    check: {name: nba_api.box_score}
"""


def _lines(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, env or {})
    return [line.removeprefix(f"{tmp_path}/") for line in caught.value.lines]


def test_the_defaults_are_valid_and_every_rate_says_where_it_is_from() -> None:
    config = load_config(env={})
    assert {n: s.rates[0].requests / s.rates[0].seconds for n, s in config.sources.items()} == {
        "espn": 10,
        "nba_api": 2,
        "basketball_reference": 1 / 12,
    }
    lines = (Path(__file__).parents[2] / "config/sources.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if "requests:" in line:
            assert lines[number - 1].strip().startswith("#")
            assert "2026" in " ".join(lines[number - 3 : number])


def test_a_file_is_laid_over_the_defaults_and_the_environment_over_both(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("reconcile: {max_fills: 7}\nsources: {espn: {lanes: 2}}\n")
    env = {
        "ADCE_CONFIG": str(file),
        "ADCE_SOURCES__ESPN__BASE_URL": "http://127.0.0.1:1/espn",
        "ADCE_RECONCILE__MAX_CONCURRENT": "3",
        "ADCE_LAKE": "s3://bucket/prefix",
        "ADCE_RECORDED": "/somewhere",
    }
    config = load_config(env=env)
    assert (config.reconcile.max_fills, config.reconcile.max_concurrent, config.reconcile.batch) == (7, 3, 20)
    assert (config.sources["espn"].lanes, config.sources["espn"].multiplier) == (2, 1.5)
    assert config.sources["espn"].base_url == "http://127.0.0.1:1/espn"
    assert config.lake == "s3://bucket/prefix"


def test_a_new_dataset_of_a_source_is_yaml_only(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(DATASET)
    config = load_config(tmp_path / "my.yaml", {})
    game = a_game(id="0022500001")
    keys = [cell.key for cell in game_cells(config, "nba_schedule", [game])]
    assert "nba_api_comprehensive/boxscores_usage/usage_0022500001.json" in keys


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "reconcile: {max_fils: 3}",
            "my.yaml: reconcile.max_fils: no such setting; did you mean max_fills?",
            id="typo",
        ),
        pytest.param(
            "sources: {espn: {retries: {attemps: 3}}}",
            "my.yaml: sources.espn.retries.attemps: no such setting; did you mean attempts?",
            id="typo deep down",
        ),
        pytest.param(
            "sources: {espn: {rates: [{requests: 0, seconds: 1}]}}",
            "my.yaml: sources.espn.rates.0.requests: Input should be greater than or equal to 1 (it is 0)",
            id="rate of nothing",
        ),
        pytest.param(
            "sources: {espn: {rates: [{requests: 10, seconds: -1}]}}",
            "my.yaml: sources.espn.rates.0.seconds: Input should be greater than 0 (it is -1)",
            id="negative rate",
        ),
        pytest.param(
            "sources: {espn: {rates: [{requests: 100000, seconds: 1}]}}",
            "my.yaml: sources.espn.rates.0.requests: Input should be less than or equal to 1000 (it is 100000)",
            id="absurd rate",
        ),
        pytest.param(
            "reconcile: {time_budget: 15m}",
            "my.yaml: reconcile: time_budget must be more than 0 and less than interval",
            id="budget as long as the interval",
        ),
        pytest.param(
            "reconcile: {interval: soon}",
            "my.yaml: reconcile.interval: a duration is a number and a unit: 30s, 15m, 4h or 7d (it is 'soon')",
            id="duration",
        ),
        pytest.param(
            DATASET.replace("nba_api\n", "nba\n"),
            "my.yaml: datasets.nba_boxscore_usage.source: no source 'nba'; there are espn, nba_api, "
            "basketball_reference",
            id="unknown source",
        ),
        pytest.param(
            DATASET.replace("usage_{id}", "usage_{gameid}"),
            "my.yaml: datasets.nba_boxscore_usage: 'nba_api_comprehensive/boxscores_usage/usage_{gameid}.json' names "
            "gameid; allowed per game: date, end_year, id, season, start_year, yyyymmdd",
            id="unknown field",
        ),
        pytest.param(
            DATASET.replace("usage_{id}", "usage_{date}"),
            "my.yaml: datasets.nba_boxscore_usage: 'nba_api_comprehensive/boxscores_usage/usage_{date}.json' is the "
            "same for every game; it must name id",
            id="one key for many games",
        ),
        pytest.param(
            DATASET.replace("usage_{id}.json", "../{id}.json"),
            "my.yaml: datasets.nba_boxscore_usage: 'nba_api_comprehensive/boxscores_usage/../{id}.json' is not a lake "
            "key: letters, digits, _ - . and single / only",
            id="key that leaves the lake",
        ),
        pytest.param(
            DATASET.replace("nba_schedule", "espn_scoreboard"),
            "my.yaml: datasets.nba_boxscore_usage.schedule: 'espn_scoreboard' does not list games of nba_api; "
            "those that do: nba_schedule",
            id="schedule of another site",
        ),
        pytest.param("a: [1", "my.yaml: line 1, column 6 not YAML:", id="broken YAML"),
        pytest.param("dry_run: true\ndry_run: false", "my.yaml: line 2, column 1 not YAML: 'dry_run' is given twice"),
        pytest.param("- 1", "my.yaml: must be a mapping of settings, not a list", id="list"),
    ],
)
def test_a_mistake_is_one_line_with_file_field_and_what_is_allowed(tmp_path: Path, text: str, line: str) -> None:
    [said] = _lines(tmp_path, text)
    assert said.startswith(line)


def test_every_mistake_gets_its_own_line_and_names_its_origin(tmp_path: Path) -> None:
    lines = _lines(tmp_path, "sources: {espn: {lanes: 0, x: 1}}", {"ADCE_RECONCILE__BATCH": "-1"})
    assert [line.split(": ")[:2] for line in lines] == [
        ["environment variable ADCE_RECONCILE__BATCH", "reconcile.batch"],
        ["my.yaml", "sources.espn.lanes"],
        ["my.yaml", "sources.espn.x"],
    ]
