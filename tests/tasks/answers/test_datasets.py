"""What is said of a dataset and of a body check?"""

from dataclasses import replace

from config.models import CHECK_OPTIONS
from tasks.answers.datasets import DatasetAnswer, checks
from tasks.domain.assess.coverage import Tally
from tasks.sources.checks import CHECKS
from tests.builders import a_config

DATASETS = a_config().datasets


def test_a_dataset_is_told_with_its_keys_schedule_check_and_files() -> None:
    summary = DatasetAnswer("espn_summary", DATASETS["espn_summary"], Tally(present=1229, gap=1), None)
    assert list(summary.lines()) == [
        "espn_summary: 3 files per game of espn_scoreboard, since 2002-03, check espn.summary",
        "  espn_play_by_play/{id}.json",
        "  espn_box_scores/{id}.json",
        "  espn_team_stats/{id}.json",
        "  1,230 files known, 1,229 of them present",
    ]
    unread = replace(summary, known=Tally(unknown=frozenset({"a", "b"})))
    assert list(unread.lines())[-1] == "  0 files known, 0 of them present; 2 schedules not read yet may list more"
    assert list(replace(summary, why_not="collect.since is 2015-16").lines())[-1] == (
        "  nothing is fetched: collect.since is 2015-16"
    )
    board = DatasetAnswer("espn_scoreboard", DATASETS["espn_scoreboard"], Tally(gap=1), None)
    assert next(board.lines()).startswith("espn_scoreboard: a file per date, lists the games, since 2002-03")
    disabled = replace(board, dataset=board.dataset.model_copy(update={"enabled": False}))
    assert list(disabled.lines())[-1] == "  nothing is fetched: it is disabled"


def test_every_body_check_says_in_a_sentence_what_it_is_for_and_the_general_ones_come_first() -> None:
    found = checks()
    assert [check.name for check in found[:2]] == ["json", "html_table"]
    assert {check.name for check in found} == set(CHECKS) == set(CHECK_OPTIONS)
    for check in found:
        assert check.about.startswith("For "), check.name
        assert check.about.endswith("."), check.name
    assert found[0].line().startswith("json: For any JSON: it must be no error")
    assert found[0].line().endswith("Options: must_have, equals, rows, min_rows.")
