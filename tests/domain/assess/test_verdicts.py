"""What becomes of a body, by what the check found in it?"""

import pytest

from tasks.domain.assess.verdicts import (
    Consequence,
    Fault,
    Verdict,
    Wholeness,
    bad,
    consequence_of,
    partial,
    unfinished,
    whole,
)
from tests.builders import a_config, a_game

DATASETS = a_config().datasets
GAME_FILE, LIST = DATASETS["espn_summary"], DATASETS["br_totals"]
GAMES = (a_game(),)


@pytest.mark.parametrize(
    ("verdict", "of_game", "of_list"),
    [
        pytest.param(whole(GAMES), "stored", "stored", id="whole"),
        pytest.param(partial("2 of 9 games not final", GAMES), "stored", "stored", id="a list that grows"),
        pytest.param(unfinished("in progress"), "absent", "stored", id="not whole: stored only if asked for again"),
        pytest.param(bad("404", Fault.ABSENT), "absent", "absent", id="the source says it has none"),
        pytest.param(bad("a wall", Fault.REFUSED), "refused", "refused", id="a wall"),
        pytest.param(bad("cut off", Fault.CUT_OFF), "heals", "heals", id="cut off"),
        pytest.param(bad("another game"), "bad", "bad", id="another document"),
    ],
)
def test_each_verdict_has_its_consequence(verdict: Verdict, of_game: str, of_list: str) -> None:
    assert GAME_FILE.refresh is None
    assert LIST.refresh is not None
    assert consequence_of(verdict, GAME_FILE) is Consequence(of_game)
    assert consequence_of(verdict, LIST) is Consequence(of_list)
    assert verdict.fits(GAME_FILE) == (of_game == "stored")
    assert verdict.fits(LIST) == (of_list == "stored")


def test_a_verdict_keeps_its_reason_its_games_and_its_fault() -> None:
    assert whole(GAMES) == Verdict(Wholeness.WHOLE, "", GAMES, None)
    assert whole().games == ()
    assert partial("more", GAMES) == Verdict(Wholeness.PARTIAL, "more", GAMES, None)
    assert partial("more").games == ()
    assert unfinished("no plays") == Verdict(Wholeness.PARTIAL, "no plays", (), Fault.UNFINISHED)
    assert bad("junk") == Verdict(Wholeness.BAD, "junk", (), Fault.UNFIT)
    assert bad("none", Fault.ABSENT).fault is Fault.ABSENT


def test_the_names_of_what_a_check_finds_are_stored_in_the_ledger_and_told_by_the_command() -> None:
    assert [one.value for one in Wholeness] == ["whole", "partial", "bad"]
    assert [one.value for one in Fault] == ["refused", "absent", "unfinished", "cut_off", "unfit"]
    assert [one.value for one in Consequence] == ["stored", "absent", "refused", "heals", "bad"]
