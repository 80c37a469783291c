"""What is a valid configuration, and what is said of a wrong one?"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from config.load import ConfigError, load_config
from config.models import CloudWatch, Config, Priority, Reconcile, Scoring, Serve, lake_address, ledger_address
from config.models.base import Model
from config.secrets import masked
from tasks.domain.expected.cells import game_cells
from tests.builders import NOW, a_game

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

COMMAND = """
datasets:
  nba_boxscore_usage:
    source: nba_api
    command:
      argv: [Rscript, scripts/usage.R, --game, "{id}", "--first={first}"]
      parameters: {id: {type: text, pattern: "00.*"}, first: {type: int, value: -1}}
      files: ["{id}.json"]
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


def _types_of(annotation: Any) -> set[Any]:
    """The classes that a type is made of, such as int and None for `int | None`."""
    return {annotation}.union(*map(_types_of, get_args(annotation)))


def _fields_of(kind: type) -> Iterator[tuple[type[Model], str]]:
    """The fields of all sections that have values of this class, or containers of them."""
    models: list[type[Model]] = [Config]
    for model in models:
        for name, field in model.model_fields.items():
            types = _types_of(field.annotation)
            models += [one for one in types if one not in models and isinstance(one, type) and issubclass(one, Model)]
            if kind in types:
                yield model, name


def _said_of(model: type[Model], name: str, value: object) -> str:
    """The errors of a field for a value, alone and in a list and a mapping; none if one of these is valid."""
    lines = []
    for given in (value, [value], {"LOW": value}):
        with pytest.raises(ValidationError) as caught:
            model.model_validate({model.model_fields[name].alias or name: given})
        lines += [str(error["msg"]) for error in caught.value.errors() if name in error["loc"]]
    return "\n".join(lines)


def test_no_number_can_be_true_or_false() -> None:
    fields = [*_fields_of(int), *_fields_of(float)]
    assert {(Reconcile, "list_price"), (Scoring, "base")} <= {*fields}
    for model, name in fields:
        assert "must be a number" in _said_of(model, name, True), f"{model.__name__}.{name}"


def test_the_bounds_of_a_duration_are_said_in_words() -> None:
    fields = list(_fields_of(timedelta))
    assert {(Reconcile, "verify_every"), (Reconcile, "look_again")} <= {*fields}
    said = [_said_of(model, name, "4000d") for model, name in fields]
    assert all("a duration is at most 3660d" in one for one in said)
    assert _said_of(Reconcile, "verify_every", "0s").startswith("Value error, must be greater than 0 seconds")


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


@pytest.mark.parametrize(
    ("text", "env", "days"),
    [
        pytest.param("", {}, 180, id="default"),
        pytest.param("reconcile: {keep: 7d}", {}, 7, id="former name"),
        pytest.param("reconcile: {keep: 7d}", {"ADCE_KEEP__ATTEMPTS": "8d"}, 8, id="a later layer wins"),
        pytest.param("keep: {attempts: 8d}", {"ADCE_RECONCILE__KEEP": "7d"}, 7, id="by its former name, too"),
        pytest.param("{keep: {attempts: 8d}, reconcile: {keep: 7d}}", {}, 8, id="the present name wins"),
    ],
)
def test_the_former_name_of_keep_attempts_is_accepted(
    tmp_path: Path, text: str, env: dict[str, str], days: int
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    assert load_config(file, env).keep.attempts == timedelta(days=days)


def test_the_box_scores_say_their_kind_in_one_word(tmp_path: Path) -> None:
    config = load_config(env={})
    kinds = {name: config.datasets[f"nba_boxscore_{name}"].check.kind for name in ("traditional", "advanced")}
    assert kinds == {"traditional": "traditional", "advanced": "advanced"}
    [said] = _lines(tmp_path, "datasets: {nba_boxscore_advanced: {check: {kind: boxScoreAdvanced}}}")
    assert "nba_boxscore_advanced.check.kind" in said


def test_games_that_a_script_does_not_take_are_left_out_by_their_type(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(COMMAND.replace("00.*", "002.*").rstrip() + "\n    season_types: [regular]\n")
    load_config(tmp_path / "my.yaml", {})


def test_a_new_dataset_of_a_source_is_yaml_only(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(DATASET)
    config = load_config(tmp_path / "my.yaml", {})
    game = a_game(id="0022500001")
    keys = [cell.key for cell in game_cells(config, "nba_schedule", [game], NOW)]
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
            "my.yaml: sources.espn.rates.0.requests: must be greater than or equal to 1 (it is 0)",
            id="rate of nothing",
        ),
        pytest.param(
            "sources: {espn: {rates: [{requests: 10, seconds: -1}]}}",
            "my.yaml: sources.espn.rates.0.seconds: must be greater than 0 (it is -1)",
            id="negative rate",
        ),
        pytest.param(
            "sources: {espn: {rates: [{requests: 100000, seconds: 1}]}}",
            "my.yaml: sources.espn.rates.0.requests: must be less than or equal to 1000 (it is 100000)",
            id="absurd rate",
        ),
        pytest.param(
            "sources: {espn: {rates: [{requests: 1, seconds: 0.0001}]}}",
            "my.yaml: sources.espn.rates.0: a rate is at most 1000 requests a second",
            id="absurd rate by its window",
        ),
        pytest.param(
            "sources: {espn: {rates: []}}",
            "my.yaml: sources.espn.rates: List should have at least 1 item",
            id="no rate",
        ),
        pytest.param(
            "scoring: {base: {LOW: .nan}}",
            "my.yaml: scoring.base.LOW: must be a finite number (it is nan)",
            id="weight of NaN",
        ),
        pytest.param(
            "scoring: {age_per_hour: .inf}",
            "my.yaml: scoring.age_per_hour: must be a finite number (it is inf)",
            id="infinite weight",
        ),
        pytest.param(
            "scoring: {base: {LOW: 1.0e+300}}",
            "my.yaml: scoring.base.LOW: must be less than or equal to 1000000000 (it is 1e+300)",
            id="weight that overflows",
        ),
        pytest.param(
            "scoring: {base: {URGENT: 3}}",
            "my.yaml: scoring.base.URGENT: must be CRITICAL, HIGH, MEDIUM or LOW (it is 'URGENT')",
            id="unknown priority",
        ),
        pytest.param(
            "reconcile: {max_fills_by_priority: {LOW: -3}}",
            "my.yaml: reconcile.max_fills_by_priority.LOW: must be greater than or equal to 0 (it is -3)",
            id="negative cap",
        ),
        pytest.param(
            "scoring: {success: {half_life: 0s}}",
            "my.yaml: scoring.success.half_life: must be greater than 0 seconds (it is '0s')",
            id="half-life of nothing",
        ),
        pytest.param(
            "keep: {runs: 10m}",
            "my.yaml: keep.runs: must be greater than or equal to 1 hour (it is '10m')",
            id="duration out of range",
        ),
        pytest.param(
            "keep: {runs: 2026-01-31}",
            "my.yaml: keep.runs: a duration is a number and a unit: 30s, 15m, 4h or 7d (it is '2026-01-31')",
            id="date for a duration",
        ),
        pytest.param(
            "reconcile: {interval: 99999999999999d}",
            "my.yaml: reconcile.interval: a duration is at most 3660d (it is '99999999999999d')",
            id="duration that overflows",
        ),
        *(
            pytest.param(
                DATASET.replace("2015-16", season),
                "my.yaml: datasets.nba_boxscore_usage.first_season: a season is two consecutive years, written as",
                id=f"season {season}",
            )
            for season in ("2015-12-01", "2024-13-45", "2015", "2015-17", "2015_16", "null")
        ),
        pytest.param("2024-13-45: 1", "my.yaml: 2024-13-45: no such setting; known here: ", id="name that is a date"),
        pytest.param(
            "yes: 1", "my.yaml: line 1, column 1 not YAML: the name of a setting must be text, and", id="bool name"
        ),
        pytest.param('"a\\nb": 1', "my.yaml: 'a\\nb': no such setting; known here: ", id="name of two lines"),
        pytest.param(
            "a: " + "[" * 10**5 + "]" * 10**5, "my.yaml: not YAML: it is nested too deeply", id="deep nesting"
        ),
        pytest.param(
            "ledger: mysql://me:s3cret@h/db",
            "my.yaml: ledger: not the address of a ledger; write it as sqlite:///adce.db or postgresql://host/adce "
            "(it is of type str, and is not shown)",
            id="password",
        ),
        *(
            pytest.param(
                f"lake: '{text}'",
                "my.yaml: lake: not the address of a lake; write it as file:///folder or s3://bucket/prefix "
                f"(it is {shown})",
                id=f"lake {text!r}",
            )
            for text, shown in {
                "s4://x": "of type str, and begins with s4://",
                "mysql://S3CRET": "of type str, and begins with mysql://",
                "u:S3CRET": "of type str, and is not shown",
                "s3://": "'s3://'",
                "": "''",
            }.items()
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
            "my.yaml: datasets.nba_boxscore_usage.source: no source 'nba'; did you mean nba_api?",
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
        *(
            pytest.param(
                DATASET.replace("nba_api_comprehensive/boxscores_usage/usage_{id}.json", keys),
                f"my.yaml: datasets.nba_boxscore_usage.keys: {line}",
                id=f"key that is taken: {keys}",
            )
            for keys, line in [
                ("espn_box_scores/{id}.json", "'espn_box_scores/{id}.json' is already a key of espn_summary"),
                (
                    'a/{id}.json", "a/{id}.json',
                    "'a/{id}.json' is already a key of nba_boxscore_usage",
                ),
                (
                    'a/{start_year}/{id}", "a/{end_year}/{id}',
                    "'a/{end_year}/{id}' collides with 'a/{start_year}/{id}' of nba_boxscore_usage: "
                    "both can be a/2016/0012300001",
                ),
            ]
        ),
        pytest.param(
            "datasets: {espn_scoreboard: {keys: ['espn_box_scores/{yyyymmdd}.json']}}",
            "my.yaml: datasets.espn_summary.keys: 'espn_box_scores/{id}.json' collides with "
            "'espn_box_scores/{yyyymmdd}.json' of espn_scoreboard: both can be espn_box_scores/20030115.json",
            id="a day that could be a game",
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
            "datasets that do: nba_schedule",
            id="schedule of another site",
        ),
        *(
            pytest.param(
                DATASET.replace("{name: nba_api.box_score}", check),
                f"my.yaml: datasets.nba_boxscore_usage.check.{line}",
                id=check,
            )
            for check, line in [
                ("{name: nba_api.boxscore}", "name: no check 'nba_api.boxscore'; did you mean nba_api.box_score?"),
                ("{name: xml}", "name: no check 'xml'; there are json, html_table, espn.scoreboard, "),
                ("{name: json, min_row: 2}", "min_row: no such setting; did you mean min_rows?"),
                (
                    "{name: json, tables: [a]}",
                    "tables: not an option of the check json; its options: must_have, equals, rows, min_rows",
                ),
                ("{name: espn.summary, kind: a}", "kind: not an option of the check espn.summary; its options: none"),
                ("{name: html_table}", "tables: the check html_table needs the id of a table; as in [totals_stats]"),
            ]
        ),
        pytest.param(
            DATASET.replace("{name: nba_api.box_score}", "{name: json, equals: {game.gameId: '{game}'}}"),
            "my.yaml: datasets.nba_boxscore_usage: '{game}' names game; allowed per game: date, end_year, id, season, ",
            id="check with an unknown field",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, datasets: [br_totals], changes: {check: {name: html_tables}}}}",
            "my.yaml: rollout.x.changes.check.name: no check 'html_tables'; did you mean html_table?",
            id="rollout of an unknown check",
        ),
        pytest.param(
            COMMAND.replace("per:", "url: /x?id={id}\n    per:"),
            "my.yaml: datasets.nba_boxscore_usage: a dataset has either a url or a command",
            id="a URL and a command",
        ),
        *(
            pytest.param(COMMAND.replace(right, wrong), f"my.yaml: datasets.nba_boxscore_usage{line}", id=line)
            for right, wrong, line in [
                ("value: -1", "value: a", ".command.parameters.first: 'a' is not a valid int"),
                (
                    "type: int, value: -1",
                    "type: date, value: 2026-1-1",
                    ".command.parameters.first: '2026-1-1' is not a valid date",
                ),
                (
                    "--first={first}",
                    "{first}",
                    ".command: parameters: first: '-1' would be taken for an option; write --f",
                ),
                (", value: -1", "", ": parameters: first has no value and is not a field per game"),
                (
                    'pattern: "00.*"',
                    'pattern: "00.*", value: "001"',
                    ": parameters: id is already a field, so it may not have a value",
                ),
                ('type: text, pattern: "00.*"', "type: text", ".command.parameters.id: a text needs a pattern"),
                ('"00.*"', '"0("', ".command.parameters.id: not a regular expression: missing )"),
                (
                    '"00.*"',
                    '"002.*"',
                    ".command.parameters.id: '0012300001' is not a valid text: 002.*; preseason games have such "
                    "ids: allow them, or leave these games out by season_types",
                ),
                (
                    'type: text, pattern: "00.*"',
                    "type: season",
                    ".command.parameters.id: '0012300001' is not a valid season; preseason games have",
                ),
                (
                    "]\n      parameters: {",
                    ", '{season}']\n      parameters: {season: {type: int}, ",
                    ".command.parameters.season: '2015-16' is not a valid int",
                ),
                ("Rscript", '"{id}"', ".command: argv: its first part, the program, must be fixed text, {python}"),
                (
                    "scripts/usage.R",
                    '"{script}"',
                    ".command: argv names {script}, but no script is given: set script, or see",
                ),
                (
                    "scripts/usage.R",
                    '"{game}"',
                    ": 'Rscript {game} --game {id} --first={first}' names game; allowed per",
                ),
                (
                    "files:",
                    "cwd: /tmp\n      files:",
                    ".command: with cwd, argv must name {out}, the folder for its files",
                ),
                ("files: [", 'files: ["a", "b", ', ": files: give one for all keys, or one for each of the 1"),
                ('files: ["{id}', 'files: ["../{id}', ": '../{id}.json' is not a file in a folder: letters"),
            ]
        ),
        *(
            pytest.param(f"collect: {{{text}}}", f"my.yaml: collect.{line}", id=text)
            for text, line in [
                ("sources: [esppn]", "sources: no source 'esppn'; did you mean espn?"),
                ("datasets: [br_total]", "datasets: no dataset 'br_total'; did you mean br_totals?"),
                (
                    "season_types: [playofs]",
                    "season_types.0: must be preseason, regular, all-star, playoffs, play-in or cup-final (it is "
                    "'playofs'); did you mean playoffs?",
                ),
                (
                    "sources: [espn], datasets: [br_totals]",
                    "datasets: br_totals is a dataset of basketball_reference; add that to collect.sources",
                ),
                (
                    "sources: [espn, nba_api], datasets: [espn_summary]",
                    "sources: none of the datasets is of nba_api; leave it out, or add one to collect.datasets",
                ),
                ("since: 1990-91", "since: 1990-91 is too early; the first season is 1996-97"),
                ("since: 1995-12-31", "since: 1995-12-31 is too early; the first season is 1996-97"),
                (
                    "seasons: [1999-00], sources: [espn]",
                    "seasons: 1999-00 is too early; the first season of what is collected is 2002-03",
                ),
                (
                    "since: 2015-16, seasons: [2014-15]",
                    "seasons: 2014-15 is before collect.since; that is 2015-16",
                ),
                (
                    "since: 2015",
                    "since: the beginning is a season, written as 2015-16, or a day, written as 2015-10-27 (it is 2015",
                ),
                ("until: 2015-16", "until: no such setting; known here: datasets, season_types, seasons, since, sour"),
            ]
        ),
        pytest.param(
            "maintenance: [{from: 13:00, to: '14:00'}]",
            "my.yaml: maintenance.0.from: a time is text in quotes: ",
            id="time that YAML reads as a number",
        ),
        pytest.param(
            "maintenance: [{from: '03:00', to: '05:00', timezone: EST5PDT}]",
            "my.yaml: maintenance.0.timezone: 'EST5PDT' is not a time zone; write it as America/New_York",
            id="unknown time zone",
        ),
        pytest.param(
            "maintenance: [{of: espm, from: '03:00', to: '05:00'}]",
            "my.yaml: maintenance.0.of: no source or dataset 'espm'; did you mean espn?",
            id="maintenance of nothing",
        ),
        pytest.param(
            "maintenance: [{from: '2026-12-02T05:00', to: '2026-12-01T05:00'}]",
            "my.yaml: maintenance.0: it ends at 2026-12-01 05:00:00, which is not after its beginning at 2026-12-02",
            id="maintenance that ends before it begins",
        ),
        pytest.param(
            "maintenance: [{from: '2026-12-01T05:00', to: '9999-12-31T00:00'}]",
            "my.yaml: maintenance.0: from and to must be in the years 1947 to 2100; with no end, it is `enabled: ",
            id="maintenance that ends beyond all years",
        ),
        pytest.param(
            "maintenance: [{from: '03:00', to: '03:00'}]",
            'my.yaml: maintenance.0: from and to are both 03:00; a whole day is two windows, "00:00" to "12:00" and ',
            id="maintenance of no time, or of all day",
        ),
        pytest.param(
            "maintenance: [{to: '05:00'}]",
            "my.yaml: maintenance.0.from: Field required",
            id="maintenance from when",
        ),
        pytest.param(
            "datasets: {br_totals: {rollout: 101}}",
            "my.yaml: datasets.br_totals.rollout: must be less than or equal to 100 (it is 101)",
            id="more than all",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, datasets: [br_totals], changes: {url: '/all'}}}",
            "my.yaml: rollout.x.changes: does not fit br_totals: '/all' is the same for every season; it must name",
            id="rollout that asks for one thing only",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, sources: [espn], changes: {base_url: espn.com}}}",
            "my.yaml: rollout.x.changes.base_url: does not fit espn_scoreboard: not the address of a site;",
            id="rollout to no address",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, datasets: [br_total], changes: {}}}",
            "my.yaml: rollout.x: no source or dataset br_total; did you mean br_totals?",
            id="rollout of nothing there is",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, changes: {}}}",
            "my.yaml: rollout.x: name the datasets or sources that it applies to",
            id="rollout of nothing",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, datasets: [br_totals], changes: {keys: [a]}}}",
            "my.yaml: rollout.x.changes.keys: no such setting; known here: base_url, check,",
            id="rollout of other keys",
        ),
        pytest.param(
            "rollout: {x: &a {percent: 10, datasets: [br_totals], changes: {}}, y: *a}",
            "my.yaml: rollout.y: br_totals is already in the variant x; a dataset may be",
            id="two rollouts of one dataset",
        ),
        pytest.param(
            "rollout: {x: {percent: 10, datasets: [br_totals], changes: {command: {argv: [get, '{season}'], files: [a],"
            " parameters: {season: {type: choice, choices: ['2024-25']}}}}}}",
            "my.yaml: rollout.x.changes.command.parameters.season: '1999-00' is not a valid choice: 2024-25",
            id="rollout of a command for one season",
        ),
        pytest.param(
            "sources: {nba_api: {game_ids: {regular: 22300061}}}",
            "my.yaml: sources.nba_api.game_ids.regular: must be a single text, in quotes if it is a number (it is 22",
            id="game id without quotes",
        ),
        pytest.param(
            "sources: {nba_api: {game_ids: {regular: '22300061'}}}",
            "my.yaml: sources.nba_api: game_ids: regular: '22300061' does not match game_id, '[0-9]{10}'",
            id="game id of another form",
        ),
        pytest.param(
            "collect: {sources: espn}", "my.yaml: collect.sources: must be a list, as in [a, b] (it is", id="no list"
        ),
        pytest.param("dry_run: maybe", "my.yaml: dry_run: must be true or false (it is 'maybe')", id="no bool"),
        pytest.param(
            "reconcile: {max_fills: some}", "my.yaml: reconcile.max_fills: must be a whole number (it is 'some')"
        ),
        pytest.param(
            "scoring: {base: {LOW: yes}}", "my.yaml: scoring.base.LOW: must be a number (it is True)", id="bool"
        ),
        pytest.param(
            "reconcile: {list_price: free}", "my.yaml: reconcile.list_price: must be a number (it is 'free')", id="word"
        ),
        pytest.param(
            "lake: ./a b\nledger: ./a b",
            "my.yaml: ledger: is the folder of the lake; name a file beside it, such as ./adce.db",
            id="ledger in place of the lake",
        ),
        pytest.param("lake ./lake", "my.yaml: must be a mapping of settings, not a str; write `name: value`", id="str"),
        pytest.param("a: [1", "my.yaml: line 2, column 1 not YAML:", id="broken YAML"),
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


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        pytest.param("RECONCILE__MAX_FILLS", "lots", "reconcile.max_fills: must be a whole number", id="type"),
        pytest.param("RECONCILE__MAX_FILLS", "2024-13-45", "reconcile.max_fills: must be a", id="date"),
        pytest.param("RECONCILE__MAX_FILLS", "", "reconcile.max_fills: must be a whole number", id="nothing"),
        pytest.param("RECONCILE__MAX_FILS", "1", "reconcile.max_fils: no such setting; did you mean", id="typo"),
        pytest.param("RECONCILE", "lots", "reconcile: must be a mapping of settings", id="section"),
        pytest.param("SCORING__BASE__LOW", ".inf", "scoring.base.LOW: must be a finite number", id="infinity"),
        pytest.param("SOURCES__ESPN__RETRIES", "{attempts: 1, attempts: 2}", "its text is not YAML", id="twice"),
        pytest.param("LEDGER", "mysql://me:s3cret@h/db", "ledger: not the address of a ledger; write", id="password"),
        *(
            pytest.param("LEDGER", url, "ledger: a SQLite ledger must be a file: sqlite:///adce.db in", id=url)
            for url in (
                "sqlite://",
                "sqlite:///",
                "sqlite:///?timeout=3",
                "sqlite:///:memory:",
                "sqlite:///file::memory:?uri=true",
                "sqlite:///file:x?mode=memory&uri=true",
                "sqlite://adce.db",
            )
        ),
    ],
)
def test_a_mistake_in_the_environment_is_one_line_with_its_variable(
    tmp_path: Path, name: str, text: str, line: str
) -> None:
    [said] = _lines(tmp_path, "", {f"ADCE_{name}": text})
    assert said.startswith(f"environment variable ADCE_{name}: {line}")
    assert "s3cret" not in said
    assert "attempts: 1" not in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ADCE_DRYRUN", "ADCE_DRY_RUN"),
        ("ADCE_LEGDER", "ADCE_LEDGER"),
        ("ADCE_LAEK", "ADCE_LAKE"),
        ("ADCE_LAKE_URL", "ADCE_LAKE"),
        ("ADCE_CONFIGS", "ADCE_CONFIG"),
        ("ADCE_CONFIG_FILE", "ADCE_CONFIG"),
        ("ADCE_RECONCILE_MAX_FILLS", "ADCE_RECONCILE__MAX_FILLS"),
        ("ADCE_RECONCILE_FOO", "ADCE_RECONCILE__FOO"),
        ("ADCE_MAX_FILLS", "ADCE_RECONCILE__MAX_FILLS"),
        ("ADCE_MAX_FILS", "ADCE_RECONCILE__MAX_FILLS"),
        ("ADCE_BREAKER_FAILURES", "ADCE_RECONCILE__BREAKER__FAILURES"),
        ("ADCE_ESPN_LANES", "ADCE_SOURCES__ESPN__LANES"),
        ("ADCE_SOURCES_NBA_API_BASE_URL", "ADCE_SOURCES__NBA_API__BASE_URL"),
        ("ADCE_BASE_URL", "ADCE_SOURCES__<SOURCE>__BASE_URL"),
    ],
)
def test_a_misspelt_variable_is_not_passed_over(tmp_path: Path, name: str, meant: str) -> None:
    [said] = _lines(tmp_path, "", {name: "1"})
    assert said == f"environment variable {name}: no such setting; did you mean {meant}?"


def test_every_variable_that_is_no_setting_is_refused_with_what_to_do(tmp_path: Path) -> None:
    lines = _lines(tmp_path, "", {"ADCE_XYZ": "1", "ADCE_LAEK": "/data", "ADCE_RECORDED": "x", "ADCE_CONFIG": ""})
    assert lines == [
        "environment variable ADCE_LAEK: no such setting; did you mean ADCE_LAKE?",
        "environment variable ADCE_XYZ: no such setting; if it is not meant for ADCE, type: unset ADCE_XYZ",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "sources: {epsn: {enabled: false}}",
            "sources.epsn: no source epsn; did you mean espn? (a new one needs base_url, game_id and rates as well)",
        ),
        (
            "datasets: {espn_sumary: {enabled: false}}",
            "datasets.espn_sumary: no dataset espn_sumary; did you mean espn_summary? (a new one needs source, keys,",
        ),
        (
            "rollout: {new: {percent: 1, datasets: [br_totals], changes: {}}, neww: {percent: 3}}",
            "rollout.neww: no variant neww; did you mean new? (a new one needs changes as well)",
        ),
        (
            "sources: {wnba: {rates: [{requests: 1, seconds: 1}], base_url: 'https://wnba.com'}}",
            "sources.wnba: no source wnba; a new one needs game_id as well",
        ),
        (
            "sources: {wnba: {rates: [{requests: 1, seconds: 1}], game_id: '[0-9]+', base_ulr: 'https://wnba.com'}}",
            "sources.wnba.base_ulr: no such setting; did you mean base_url?",
        ),
        (
            "sources: {espn: {rates: [{requests: 10, second: 1}]}}",
            "sources.espn.rates.0.second: no such setting; did you mean seconds?",
        ),
        ("maintenance: [{form: '03:00', to: '05:00'}]", "maintenance.0.form: no such setting; did you mean from?"),
    ],
)
def test_a_misspelt_name_is_one_line_and_what_a_new_one_lacks_is_too(tmp_path: Path, text: str, line: str) -> None:
    [said] = _lines(tmp_path, text)
    assert said.startswith(f"my.yaml: {line}")


def test_a_field_is_still_required_beside_an_unknown_name_that_does_not_resemble_it(tmp_path: Path) -> None:
    required, unknown = _lines(tmp_path, "sources: {espn: {rates: [{requests: 10, per: 1}]}}")
    assert required == "my.yaml: sources.espn.rates.0.seconds: Field required"
    assert unknown.startswith("my.yaml: sources.espn.rates.0.per: no such setting; known here: ")


def test_a_misspelt_name_in_a_variable_is_one_line(tmp_path: Path) -> None:
    [said] = _lines(tmp_path, "", {"ADCE_SOURCES__ESPNN__ENABLED": "false"})
    assert said.startswith(
        "environment variable ADCE_SOURCES__ESPNN__ENABLED: sources.espnn: no source espnn; did you mean espn?"
    )


@pytest.mark.parametrize(
    ("text", "name", "value", "line"),
    [
        pytest.param(
            "",
            "DATASETS__ESPN_SUMMARY__KEYS",
            '["_adce/x_{id}.json"]',
            "datasets.espn_summary.keys: '_adce/x_{id}.json' is in the folder of the lake for ADCE's own files; begin",
            id="folder of the lake's mark",
        ),
        pytest.param(
            "",
            "DATASETS__ESPN_SUMMARY__KEYS",
            '["_test/x_{id}.json"]',
            "datasets.espn_summary.keys: '_test/x_{id}.json' is in the folder of the lake for what runs in test mode",
            id="folder of test mode",
        ),
        pytest.param(
            "",
            "HISTORY",
            "espn_box_scores",
            "datasets.espn_summary.keys: 'espn_box_scores/{id}.json' is in the folder of the lake for former versions",
            id="folder of former versions",
        ),
        pytest.param("", "HISTORY", "_adce", "history: '_adce' cannot hold former versions; write", id="history"),
        pytest.param(
            "reconcile: {max_concurrent: 3}",
            "RECONCILE__INTERVAL",
            "10m",
            "reconcile: time_budget must be more than 0 and less than interval",
            id="a section",
        ),
        pytest.param(
            "",
            "DATASETS__BR_TOTALS__KEYS",
            '["basketball_reference/advanced_totals/{end_year}/player_advanced_totals.json"]',
            "datasets.br_advanced.keys: 'basketball_reference/advanced_totals/{end_year}/player_advanced_totals.json' ",
            id="two datasets",
        ),
    ],
)
def test_a_mistake_of_several_settings_is_that_of_the_variable_or_file_that_it_came_with(
    tmp_path: Path, text: str, name: str, value: str, line: str
) -> None:
    later = {"ADCE_SOURCES__NBA_API__RATES": "[{requests: 1, seconds: 1}]", "ADCE_RECONCILE__MAX_FILLS": "3"}
    [said] = _lines(tmp_path, text, {f"ADCE_{name}": value, "ADCE_DATASETS__BR_TOTALS__BATCH": "3"} | later)
    assert said.startswith(f"environment variable ADCE_{name}: {line}")


@pytest.mark.parametrize(
    ("setting", "text", "line"),
    [
        ("LAKE", "ftp://x", "not the address of a lake; write it as file:///folder or s3://bucket/prefix (it is of"),
        ("LAKE", "~nobody-at-all/lake", "not the address of a lake; write it as file:///folder or s3://bucket/prefix"),
        ("LAKE", "file://data/lake", "…; did you mean file:///data/lake or file:data/lake?"),
        ("LAKE", "s3:/bucket/x", "…; did you mean s3://bucket/x?"),
        ("LEDGER", "sqlite://adce.db", "a SQLite ledger must be a file: sqlite:///adce.db in this folder, or sqlite"),
        ("LEDGER", "postgres://me:hunter2-x@h/x", "…; did you mean postgresql://…?"),
        ("SOURCES__ESPN__BASE_URL", "foo", "not the address of a site; write it as https://host or https://host/path"),
        ("SOURCES__ESPN__BASE_URL", "espn.com/v2", "…; did you mean https://espn.com/v2?"),
        ("SOURCES__ESPN__SITE", "https://espn.com", "not a domain; write it as espn.com (it is 'https://espn.com')"),
        ("HISTORY", "a/b", "not a folder's name; use letters, digits, _ - and . only, as in _history (it is 'a/b')"),
        ("SCRAPER", "scraper", "not the name of a deployment for each source; write it as scraper/{source}"),
        ("DATASETS__ESPN_SUMMARY__URL", "summary", "not a path and query; write it as /scoreboard?dates={yyyymmdd}"),
        ("DATASETS__ESPN_SUMMARY__CHECK__NAME", "ESPN", "not the name of a body check; write it as espn.summary"),
        ("DATASETS__ESPN_SUMMARY__PER", "games", "must be date, month, season or game (it is 'games')"),
        ("DISPATCH", "ecs", "must be inline or deployment (it is 'ecs')"),
    ],
)
def test_what_has_not_its_shape_is_told_in_a_sentence_with_an_example(
    tmp_path: Path, setting: str, text: str, line: str
) -> None:
    [said] = _lines(tmp_path, "", {f"ADCE_{setting}": text})
    if line.startswith("…"):
        assert said.endswith(line.removeprefix("…"))
    else:
        field = setting.lower().replace("__", ".")
        assert said.startswith(f"environment variable ADCE_{setting}: {field}: {line}")
    assert "pattern" not in said
    assert "hunter2" not in said


def test_yaml_may_merge_and_the_environment_may_name_a_priority(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("sources:\n  espn: &quiet {lanes: 2}\n  nba_api: {<<: *quiet, multiplier: 2}\n")
    config = load_config(file, {"ADCE_SCORING__BASE__LOW": "3"})
    assert (config.sources["nba_api"].lanes, config.sources["nba_api"].multiplier) == (2, 2)
    assert (config.scoring.base[Priority.LOW], config.scoring.base[Priority.HIGH]) == (3, 100)


def test_a_dataset_may_be_filled_by_a_command(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(COMMAND.replace("first={first}", "first={first}{{}}"))
    config = load_config(tmp_path / "my.yaml", {})
    [cell] = [c for c in game_cells(config, "nba_schedule", [a_game(id="0022500001")], NOW) if "usage" in c.dataset]
    assert cell.request == "Rscript scripts/usage.R --game 0022500001 --first=-1{}"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Two scripts of which one says what it fills, and a file that tells where they are."""
    for name in ("usage", "other"):
        (tmp_path / f"scrape_{name}.py").touch()
    (tmp_path / "scrape_usage.yaml").write_text(ENTRY)
    (tmp_path / "my.yaml").write_text(f"scripts: {{folders: [{tmp_path}]}}\n")
    return tmp_path


ENTRY = dedent(COMMAND.partition("usage:\n")[2]).replace("Rscript, scripts/usage.R", '"{python}", "{script}"')


def test_a_script_is_found_with_what_it_fills_beside_it_and_one_that_says_nothing_is_told_of(
    scripts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_config(scripts / "my.yaml", {})
    command = config.datasets["usage"].command
    assert command is not None
    assert command.script == str(scripts / "scrape_usage.py")
    assert "other" not in config.datasets
    assert [r.getMessage() for r in caplog.records] == [
        f"{scripts}/scrape_other.py fills nothing: there is no scrape_other.yaml beside it, and no dataset other"
    ]


def test_settings_without_a_script_are_told_of(scripts: Path, caplog: pytest.LogCaptureFixture) -> None:
    (scripts / "scrape_usage.py").rename(scripts / "usage.py")
    assert "usage" not in load_config(scripts / "my.yaml", {}).datasets
    assert f"{scripts}/scrape_usage.yaml is ignored: there is no script scrape_usage.* beside it" in caplog.text


def test_what_a_script_fills_may_be_among_the_other_datasets(scripts: Path) -> None:
    with (scripts / "my.yaml").open("a") as file:
        file.write(COMMAND.replace("nba_boxscore_usage", "other").replace("Rscript, scripts/usage.R", '"{script}"'))
        file.write("  usage: {enabled: false}\n")
    (scripts / "scrape_usage.yaml").write_text(ENTRY.replace("boxscores_usage", "usage"))
    config = load_config(scripts / "my.yaml", {})
    command = config.datasets["other"].command
    assert command is not None
    assert command.script == str(scripts / "scrape_other.py")
    assert config.datasets["usage"].enabled is False, "a file of settings is laid over what a script says"


@pytest.mark.parametrize(
    ("entry", "settings", "line"),
    [
        (
            ENTRY.replace("files", "fils"),
            "",
            "scrape_usage.yaml: datasets.usage.command.fils: no such setting; did you mean files?",
        ),
        ("- 1", "", "scrape_usage.yaml: must be a mapping of settings, not a list"),
        (ENTRY, "scripts: {folders: [nowhere]}", "my.yaml: scripts.folders: no folder 'nowhere' in "),
        (ENTRY, "scripts: {folders: [.], pattern: x.py}", "my.yaml: scripts.pattern: must be a file name with one *,"),
        (
            ENTRY,
            "scripts: {folders: [., more]}",
            "more/scrape_usage.py: fills usage, and so does /",
        ),
    ],
    ids=["typo", "no entry", "no folder", "no star", "two of a name"],
)
def test_a_mistake_about_scripts_is_one_line(
    scripts: Path, monkeypatch: pytest.MonkeyPatch, entry: str, settings: str, line: str
) -> None:
    monkeypatch.chdir(scripts)
    (scripts / "more").mkdir()
    (scripts / "more/scrape_usage.py").touch()
    (scripts / "more/scrape_usage.yaml").write_text(ENTRY)
    (scripts / "scrape_usage.yaml").write_text(entry)
    [said] = _lines(scripts, settings or (scripts / "my.yaml").read_text())
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("lake", "right"),
    [
        ("file:lake", True),
        ("file:../lake", True),
        ("file:/data/lake", True),
        ("file:///data/lake", True),
        ("file://localhost/data/lake", True),
        ("s3://bucket/prefix", True),
        ("file://lake", False),
        ("file://data/lake", False),
        ("file:", False),
        ("s3://me@bucket", False),
    ],
)
def test_a_folder_that_is_written_as_a_host_is_no_lake(lake: str, right: bool) -> None:
    """The first part would be left out: file://data/lake would be /lake, and file://lake wherever one stands."""
    if right:
        assert load_config(env={"ADCE_LAKE": lake}).lake == lake
    else:
        with pytest.raises(ConfigError, match="lake"):
            load_config(env={"ADCE_LAKE": lake})


@pytest.mark.parametrize(
    ("text", "here", "in_a_folder"),
    [
        ("/data/lake", "file:///data/lake", "file:///data/lake"),
        ("lake", "file:lake", "file:///etc/adce/lake"),
        ("./lake", "file:lake", "file:///etc/adce/lake"),
        (".", "file:.", "file:///etc/adce"),
        ("../my lake", "file:../my%20lake", "file:///etc/my%20lake"),
        ("file:lake", "file:lake", "file:///etc/adce/lake"),
        ("file:my%20lake", "file:my%20lake", "file:///etc/adce/my%20lake"),
        ("~/lake", "file:///home/me/lake", "file:///home/me/lake"),
        ("file:~/lake", "file:///home/me/lake", "file:///home/me/lake"),
        *((text, text, text) for text in ("file:///data/lake", "s3://bucket/x", "s3:/bucket", "", "~nobody-at-all")),
    ],
)
def test_a_lake_may_be_given_as_a_path(text: str, here: str, in_a_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert (lake_address(text), lake_address(text, Path("/etc/adce"))) == (here, in_a_folder)


@pytest.mark.parametrize(
    ("text", "here", "in_a_folder"),
    [
        ("/data/adce.db", "sqlite:////data/adce.db", "sqlite:////data/adce.db"),
        ("./adce.db", "sqlite:///adce.db", "sqlite:////etc/adce/adce.db"),
        ("sqlite:///adce.db?timeout=3", "sqlite:///adce.db?timeout=3", "sqlite:////etc/adce/adce.db?timeout=3"),
        ("sqlite:////data/adce.db", "sqlite:////data/adce.db", "sqlite:////data/adce.db"),
        ("~/adce.db", "sqlite:////home/me/adce.db", "sqlite:////home/me/adce.db"),
        *((text, text, text) for text in ("postgresql://me:x@h/adce", "localhost:5432/adce", "sqlite://", "")),
    ],
)
def test_a_ledger_may_be_given_as_a_path(
    text: str, here: str, in_a_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert (ledger_address(text), ledger_address(text, Path("/etc/adce"))) == (here, in_a_folder)


def test_relative_paths_in_a_file_are_relative_to_that_file(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    (tmp_path / "scripts").mkdir()
    command = COMMAND.replace("command:\n", "command:\n      script: scripts/usage.py\n      cwd: work\n")
    command = command.replace("--game,", '"{out}",')
    file.write_text(f"lake: ./lake\nledger: sqlite:///adce.db\nscripts: {{folders: [scripts]}}\n{command}")
    config = load_config(file, {})
    assert (config.lake, config.ledger) == ((tmp_path / "lake").as_uri(), f"sqlite:///{tmp_path}/adce.db")
    assert config.scripts.folders == [str(tmp_path / "scripts")]
    usage = config.datasets["nba_boxscore_usage"].command
    assert usage is not None
    assert (usage.script, usage.cwd) == (str(tmp_path / "scripts/usage.py"), str(tmp_path / "work"))
    assert load_config(file, {"ADCE_LAKE": "lake"}).lake == "file:lake", (
        "a variable's is relative to the working folder"
    )


def test_a_section_of_which_all_lines_are_comments_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("collect:\n  # since: 2015-16\nsources:\nrollout:\nlake: x\n")
    config, defaults = load_config(tmp_path / "my.yaml", {}), load_config(env={})
    assert (config.collect, config.sources) == (defaults.collect, defaults.sources)
    assert config.lake == (tmp_path / "x").as_uri()
    [said] = _lines(tmp_path, "lake:")
    assert said.startswith("my.yaml: lake: ")


def test_the_file_is_the_named_one_or_that_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ADCE_CONFIG", raising=False)
    for name, most in (("adce.yaml", 1), ("other.yaml", 2)):
        (tmp_path / name).write_text(f"reconcile: {{max_fills: {most}}}")
    default = load_config(env={}).reconcile.max_fills
    assert load_config().reconcile.max_fills == 1
    for named, most in (("other.yaml", 2), ("~/other.yaml", 2), ("", default)):
        monkeypatch.setenv("ADCE_CONFIG", named)
        assert load_config().reconcile.max_fills == most
    assert load_config(Path("adce.yaml")).reconcile.max_fills == 1, "a file that the caller names comes first"


def test_an_inventory_is_a_place_in_s3(tmp_path: Path) -> None:
    def manifest(text: str) -> str | None:
        return load_config(env={"ADCE_INVENTORY__MANIFEST": text}).inventory.manifest

    assert load_config(env={}).inventory.manifest is None
    assert manifest("s3://inventories/lake/daily/") == "s3://inventories/lake/daily"
    for wrong in (
        *("inventories/lake", "s3://inventories", "https://s3/inventories/lake", "s3://key:secret@bucket/x"),
        *("s3://inventories//lake", "s3://inventories/lake//daily"),
    ):
        with pytest.raises(
            ConfigError, match=r"^environment variable ADCE_INVENTORY__MANIFEST: .*write the prefix"
        ) as error:
            manifest(wrong)
        assert "secret" not in str(error.value)


def test_a_token_is_text_though_it_looks_like_a_number_and_no_error_shows_it(tmp_path: Path) -> None:
    digits = "12345678901234567890"
    assert load_config(env={"ADCE_SERVE__TOKEN": digits}).serve.token == digits
    assert masked(f"the token is {digits}") == "the token is ***"
    (line,) = _lines(tmp_path, "serve: {token: much too short}")
    assert line.startswith("my.yaml: serve.token: not a token; it has 16 to 512 letters")
    assert "much" not in line


def test_a_service_listens_at_an_address_and_is_local_on_loopback_only(tmp_path: Path) -> None:
    wrong = "{host: here, port: 0, hosts: [https://a.b], public: [/etc], proxies: [10.0.0.0/8]}"
    assert [line.split(": ")[1] for line in _lines(tmp_path, f"serve: {wrong}")] == [
        "serve.host",
        "serve.port",
        "serve.hosts.0",
        "serve.public.0",
        "serve.proxies.0",
    ]
    local = {host: Serve(host=host).is_local for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.7")}
    assert [host for host, is_local in local.items() if is_local] == ["127.0.0.1", "localhost", "::1"]


def test_a_namespace_of_cloudwatch_and_its_dimensions_are_what_cloudwatch_takes() -> None:
    def settings(**values: str) -> CloudWatch:
        return load_config(env={f"ADCE_CLOUDWATCH__{name.upper()}": value for name, value in values.items()}).cloudwatch

    assert settings().namespace is None
    assert settings(namespace="ADCE/nba").namespace == "ADCE/nba"
    assert settings(dimensions="{lake: nba}").dimensions == {"lake": "nba"}
    for wrong in ("AWS/S3", ":a", "a*b", "x" * 256):
        with pytest.raises(ConfigError, match=r"ADCE_CLOUDWATCH__NAMESPACE: .*not a namespace of CloudWatch"):
            settings(namespace=wrong)
    with pytest.raises(ConfigError, match="some metrics have a dimension source of their own"):
        settings(dimensions="{source: nba}")
    with pytest.raises(ConfigError, match="at most 10 dimensions"):
        settings(dimensions=f"{{{', '.join(f'd{n}: x' for n in range(11))}}}")
    with pytest.raises(ConfigError, match="must be greater than or equal to 1 minute"):
        settings(every="30s")
