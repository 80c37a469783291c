"""What does `adce why` say of a text that stands for no file, and of a file that is in a plan?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from blocks.store import Store
from config.models import Collect
from tasks.answers.why import Answer, Schedules, keys_of, why
from tasks.domain.assess.states import Examination, LakeObject
from tasks.domain.assess.verdicts import whole
from tasks.domain.errors import SelectionError
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases, leases_table
from tasks.ledger.plans import PLAN, RUN
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


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in which nothing is recorded."""
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        yield ledger


def _answer(ledger: Ledger, lake: Path, now: datetime = NOW) -> Answer:
    [answer] = asyncio.run(why(a_config(), ledger, Store(lake.as_uri()), BOARD, now))
    return answer


def _planned(at: datetime) -> dict[str, object]:
    """A plan of that time in which the fill of BOARD is done a minute later."""
    eta = (at + timedelta(minutes=1)).isoformat()
    fill = {"id": "espn-0", "keys": [BOARD], "starts": at.isoformat(), "eta": eta, "score": 1.0, "score_parts": {}}
    return {"fills": [fill], "later": []}


def test_only_the_plan_of_a_run_that_is_at_work_is_a_promise(empty: Ledger, tmp_path: Path) -> None:
    empty.plans.keep(PLAN, _planned(NOW), NOW, "a dry run")
    dry = _answer(empty, tmp_path)
    assert dry.plan is not None
    assert dry.next_action == "fetched by the next run; one begins every 15m if `adce up` or a schedule runs"
    assert not dry.plan["at_work"]
    leases = Leases(empty.database, "a run", timedelta(minutes=1))
    leases.begin("reconcile", "everything", None, lambda why: None)
    empty.plans.keep(RUN, _planned(NOW), NOW, "a run")
    empty.plans.keep(PLAN, _planned(NOW), NOW, "a dry run meanwhile")
    during, late = _answer(empty, tmp_path), _answer(empty, tmp_path, NOW + timedelta(minutes=2))
    lapse = leases_table.update().values(until=0.0)
    empty.database.write(lambda connection: connection.execute(lapse))
    lapsed = _answer(empty, tmp_path)
    leases.end(RunEnd.ENDED)
    after = _answer(empty, tmp_path)
    assert during.next_action == "fetched by the run of the plan, about 2026-01-15 12:01 UTC"
    assert late.next_action == "fetched by the run of the plan", "a time that is past is no promise"
    assert during.plan is not None
    assert (during.plan["run"], during.plan["at_work"]) == ("a run", True)
    assert lapsed.next_action == after.next_action == dry.next_action
    assert after.plan is not None
    assert not after.plan["at_work"]
