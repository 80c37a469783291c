"""Which value has each setting, where is it from, and is no secret among them?"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from config.effective import DEFAULT, effective_settings, in_section
from config.load import load_config, load_layers
from config.models import Duration, written

TEXT = """
lake: ./lake
ledger: postgresql://me:hunter2secret@db/adce
serve: {token: a-token-of-sixteen-or-more}
sources: {espn: {headers: {Cookie: abc, User-Agent: me}}}
maintenance: [{of: espn, days: [tue], from: "03:00", to: "05:00"}]
rollout: {new: {percent: 10, sources: [espn], changes: {timeouts: {read: 60}}}}
datasets:
  usage:
    source: nba_api
    command: {argv: [usage, "{id}", --token, abc, --password=abc], files: ["{id}.json"]}
    keys: ["a/usage_{id}.json"]
    per: game
    schedule: nba_schedule
    first_season: 2015-16
    due_after: 90m
    check: {name: nba_api.box_score}
"""


@pytest.fixture
def shown(tmp_path: Path) -> dict[str, tuple[Any, str]]:
    """Value and origin of each setting, by its name."""
    (tmp_path / "my.yaml").write_text(TEXT)
    config, layers = load_layers(tmp_path / "my.yaml", {"ADCE_RECONCILE__MAX_FILLS": "7"})
    settings = effective_settings(config, layers)
    return {setting.name: (setting.value, setting.origin.removeprefix(f"{tmp_path}/")) for setting in settings}


def test_each_value_is_written_as_in_a_file_and_has_its_origin(tmp_path: Path, shown: dict[str, Any]) -> None:
    assert shown["lake"] == ((tmp_path / "lake").as_uri(), "my.yaml")
    assert shown["reconcile.max_fills"] == (7, "environment variable ADCE_RECONCILE__MAX_FILLS")
    assert shown["reconcile.interval"] == ("15m", DEFAULT)
    assert shown["sources.espn.backoff.shut_out"] == ("15m", DEFAULT)
    assert shown["sources.espn.rates"] == ([{"requests": 10, "seconds": 1}], DEFAULT)
    assert shown["datasets.usage.due_after"] == ("90m", "my.yaml")
    assert shown["datasets.usage.enabled"] == (True, DEFAULT), "no file sets it"
    assert shown["scoring.base.HIGH"] == (100, DEFAULT)
    [window] = shown["maintenance"][0]
    assert (window["from"], window["to"]) == ("03:00", "05:00")
    assert [name for name in shown if name.startswith("rollout.new.changes")] == ["rollout.new.changes.timeouts.read"]


def test_no_secret_is_shown(shown: dict[str, Any]) -> None:
    assert shown["ledger"][0] == "postgresql://***@db/adce"
    assert shown["serve.token"][0] == "***"
    assert (shown["sources.espn.headers.Cookie"][0], shown["sources.espn.headers.User-Agent"][0]) == ("***", "me")
    assert shown["datasets.usage.command.argv"][0] == ["usage", "{id}", "--token", "***", "--password=***"]


def test_everything_that_is_shown_can_be_a_file_of_settings(tmp_path: Path) -> None:
    settings: dict[str, Any] = {}
    config, layers = load_layers(env={})
    for setting in effective_settings(config, layers):
        inner = settings
        for part in setting.path[:-1]:
            inner = inner.setdefault(part, {})
        inner[setting.path[-1]] = setting.value
    (tmp_path / "same.yaml").write_text(yaml.safe_dump(settings))
    same = load_config(tmp_path / "same.yaml", {})
    assert same.model_copy(update={"lake": config.lake, "ledger": config.ledger}) == config


def test_a_section_is_named_with_dots() -> None:
    settings = list(effective_settings(*load_layers(env={})))
    assert [s.name for s in in_section(settings, "scoring.success")] == [
        f"scoring.success.{name}" for name in ("enabled", "half_life", "floor")
    ]
    assert [s.name for s in in_section(settings, "lake")] == ["lake"]
    assert in_section(settings, "lak") == []
    assert in_section(settings, "") == settings


@pytest.mark.parametrize("text", ["0s", "0.5s", "1s", "90m", "36h", "3660d", "1000001s"])
def test_a_duration_is_written_as_it_can_be_read(text: str) -> None:
    assert written(TypeAdapter(Duration).validate_python(text)) == text
