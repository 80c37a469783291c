"""How do names read in a message?"""

import pytest

from config.names import listed, suggestion_or_list


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["espn"], "espn"),
        (["espn", "nba_api"], "espn and nba_api"),
        (["a", "b", "c"], "a, b and c"),
    ],
)
def test_names_in_a_row_end_with_and(names: list[str], told: str) -> None:
    assert listed(names) == told


def test_a_name_that_was_nearly_right_is_proposed_and_for_any_other_the_names_are_listed() -> None:
    known = ["espn", "nba_api", "espn_summary"]
    assert suggestion_or_list("espm", known, "the sources are") == "did you mean espn?"
    assert suggestion_or_list("xyz", known, "the sources are") == "the sources are espn, nba_api, espn_summary"
    assert suggestion_or_list("xyz", known, "the sources are", known[:2]) == "the sources are espn, nba_api"
