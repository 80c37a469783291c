"""What does `adce why` say of a text that stands for no file?"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from config.models import Collect
from tasks.answers.why import Schedules, keys_of
from tasks.domain.assess.states import Examination, LakeObject
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import SelectionError
from tasks.domain.expected.games import Game, GameStatus
from tasks.ledger import Ledger
from tests.builders import a_config

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
BOARD = "espn_schedules/20260113.json"
PRESEASON = Game("401810009", date(2026, 1, 13), None, GameStatus.FINAL, "2025-26", "preseason")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger that knows a game which was collected once."""
    folder: Path = tmp_path_factory.mktemp("why")
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    have = LakeObject(BOARD, 1000, NOW, "etag")
    ledger.objects.record({BOARD: Examination("etag", 1000, "check", whole((PRESEASON,)))}, objects={BOARD: have})
    return ledger


@pytest.mark.parametrize(
    ("collect", "text", "why_not"),
    [
        ({"since": "2015-16"}, "espn_schedules/20031231.json", "collect.since is 2015-16"),
        ({"since": "2015-16"}, "2003-12-31", "collect.since is 2015-16"),
        ({"since": "2015-16"}, "espn_schedules/2003*.json", "collect.since is 2015-16"),
        ({"since": "2015-16"}, "nba_api_playbyplay/playbyplay_0020300040.json", "collect.since is 2015-16"),
        ({"since": "2015-16"}, "0020300040", "collect.since is 2015-16"),
        ({"seasons": ["2023-24"]}, BOARD, "collect.seasons is 2023-24"),
        ({"sources": ["espn"]}, "0022500040", "collect.sources is espn"),
        ({"datasets": ["br_totals"]}, f"espn_box_scores/{PRESEASON.id}.json", "collect.datasets is br_totals"),
        ({"datasets": ["br_totals"]}, "espn_box_scores/401999999.json", "collect.datasets is br_totals"),
        ({"season_types": ["regular", "playoffs"]}, PRESEASON.id, "collect.season_types is regular, playoffs"),
    ],
)
def test_a_file_that_is_not_collected_is_said_to_be_so_in_one_line_with_the_setting(
    ledger: Ledger, collect: dict[str, object], text: str, why_not: str
) -> None:
    with pytest.raises(SelectionError) as said:
        keys_of(a_config(collect=Collect.model_validate(collect)), Schedules(ledger), [text], NOW)
    assert str(said.value) == f"{text}: not collected: {why_not}"


def test_of_a_file_that_nobody_has_it_is_not_said(ledger: Ledger) -> None:
    with pytest.raises(SelectionError, match="but is not expected: no schedule of espn_scoreboard"):
        keys_of(a_config(collect=Collect(since="2015-16")), Schedules(ledger), ["espn_box_scores/401999999.json"], NOW)


@pytest.mark.parametrize(
    "pattern", [f"*{PRESEASON.id}*", f"espn_*{PRESEASON.id}.json", f"espn_box_scores/*{PRESEASON.id}.j?on"]
)
def test_a_pattern_finds_a_file_whatever_its_folder(ledger: Ledger, pattern: str) -> None:
    assert f"espn_box_scores/{PRESEASON.id}.json" in keys_of(a_config(), Schedules(ledger), [pattern], NOW)


@pytest.mark.parametrize("pattern", ["espn_box_score/*", "*/401999999.json", "[x]*", "?"])
def test_of_a_pattern_that_finds_nothing_it_is_said_what_patterns_are(ledger: Ledger, pattern: str) -> None:
    with pytest.raises(
        SelectionError, match=r"no file that the lake should hold has a key of this pattern\. \* matches"
    ):
        keys_of(a_config(), Schedules(ledger), [pattern], NOW)


@pytest.mark.parametrize("text", ["espn\x1b[2J", "espn\udcff*", "a\n/b"], ids=["escape", "not Unicode", "line break"])
def test_of_a_text_that_no_key_can_be_the_terminal_is_not_controlled(ledger: Ledger, text: str) -> None:
    with pytest.raises(SelectionError) as said:
        keys_of(a_config(), Schedules(ledger), [text], NOW)
    assert str(said.value) == f"{text!r}: no file has such a key, since a key has printable characters only"
