"""Which entry of a game counts, of several?"""

from datetime import date, timedelta
from itertools import permutations

from tasks.domain.assess.assessment import listed_games
from tasks.domain.assess.verdicts import partial, whole
from tasks.domain.expected.games import Game, GameStatus, by_season, deduplicated
from tests.builders import a_board, a_config, a_game

DAY = date(2026, 1, 13)
LATER = DAY + timedelta(days=5)
FINAL, LIVE, SCHEDULED = GameStatus.FINAL, GameStatus.LIVE, GameStatus.SCHEDULED
POSTPONED, CANCELLED = GameStatus.POSTPONED, GameStatus.CANCELLED


def counts(*entries: Game) -> Game:
    """The one that counts, in whatever order they come."""
    found = {deduplicated(order)[0] for order in permutations(entries)}
    assert len(found) == 1
    return found.pop()


def test_the_final_entry_counts_on_whichever_day_it_is() -> None:
    final = a_game(day=DAY)
    for status in (LIVE, SCHEDULED, POSTPONED, CANCELLED):
        assert counts(final, a_game(day=LATER, status=status)) == final
        assert counts(final, a_game(day=DAY, status=status)) == final
        assert counts(final, a_game(day=DAY - timedelta(days=5), status=status)) == final


def test_without_a_final_one_the_later_day_counts() -> None:
    for early, late in permutations((LIVE, SCHEDULED, POSTPONED, CANCELLED), 2):
        assert counts(a_game(day=DAY, status=early), a_game(day=LATER, status=late)).day == LATER


def test_on_one_day_what_is_open_counts_before_what_is_called_off() -> None:
    ranked = [LIVE, SCHEDULED, POSTPONED, CANCELLED]
    assert counts(*(a_game(status=status) for status in ranked)).status is LIVE
    assert counts(*(a_game(status=status) for status in ranked[1:])).status is SCHEDULED
    assert counts(a_game(status=SCHEDULED, start=None), a_game(status=SCHEDULED)).start is not None


def test_of_entries_that_say_the_same_the_first_counts() -> None:
    first, second = a_game(season_type="cup-final"), a_game(season_type="regular")
    assert deduplicated([first, second]) == [first]


def test_games_keep_their_order_and_others_are_left_alone() -> None:
    games = [a_game(id="1", status=POSTPONED), a_game(id="2"), a_game(id="1")]
    assert [(game.id, game.status) for game in deduplicated(games)] == [("1", FINAL), ("2", FINAL)]


def test_the_final_entry_counts_across_files_whichever_is_read_first() -> None:
    config = a_config()
    old = a_board(key="old"), whole((a_game(day=LATER, status=POSTPONED),))
    new = a_board(key="new"), whole((a_game(day=DAY),))
    for order in ([old, new], [new, old]):
        verdicts = {cell.key: verdict for cell, verdict in order}
        [game] = listed_games(config, [cell for cell, _ in order], verdicts)["espn_scoreboard"]
        assert (game.day, game.status) == (DAY, FINAL)
    moved = [(a_board(key=f"{day}"), partial("", (a_game(day=day, status=SCHEDULED),))) for day in (LATER, DAY)]
    [game] = listed_games(config, [cell for cell, _ in moved], {c.key: v for c, v in moved})["espn_scoreboard"]
    assert game.day == LATER


def test_a_game_is_settled_when_its_schedule_will_say_nothing_more_of_it() -> None:
    settled = {status.value for status in GameStatus if status.settled}
    assert settled == {"final", "postponed", "cancelled"}
    assert {status.value for status in GameStatus} - settled == {"scheduled", "live"}


def test_games_are_grouped_by_season_in_their_order() -> None:
    first, second, third = a_game(id="1"), a_game(id="2", season="2023-24"), a_game(id="3")
    assert by_season([first, second, third]) == {"2025-26": [first, third], "2023-24": [second]}
