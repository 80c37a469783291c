"""No state rests on an inventory that may be wrong about it, and few requests tell the truth."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.assess.doubts import Doubt, FromInventory, Settlement, doubt_of, settlement
from tasks.domain.assess.states import Examination, Kind, LakeObject, State, Status
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tests.builders import NOW, a_cell, an_object

DAY = timedelta(days=1)
AS_OF = NOW - DAY
OLD = a_cell(due_at=NOW - 30 * DAY)
HAVE = an_object(key=OLD.key, modified=NOW - 30 * DAY)
SEEN = Examination("etag", 100_000, "check", Verdict(Wholeness.WHOLE))
FUTURE = a_cell(due_at=NOW + timedelta(hours=1))
PRESENT, STALE = Status(State.PRESENT, "complete"), Status(State.GAP, "old", Kind.STALE)


@pytest.mark.parametrize(
    ("cell", "have", "seen", "status", "learnt_since", "doubt"),
    [
        pytest.param(OLD, HAVE, None, None, False, None, id="there for long"),
        pytest.param(OLD, HAVE, SEEN, PRESENT, False, None, id="as it was read"),
        pytest.param(OLD, None, None, None, False, Doubt.LACKING, id="not there"),
        pytest.param(FUTURE, None, None, None, False, None, id="not there, and not due"),
        pytest.param(OLD, HAVE, SEEN, PRESENT, True, Doubt.CONTRADICTED, id="an event has come since"),
        pytest.param(FUTURE, None, SEEN, None, True, Doubt.CONTRADICTED, id="stored since, and not due"),
        pytest.param(OLD, HAVE, SEEN._replace(etag="x"), PRESENT, False, Doubt.CONTRADICTED, id="another was read"),
        pytest.param(OLD, HAVE._replace(modified=AS_OF - DAY), SEEN, PRESENT, False, Doubt.RECENT, id="just stored"),
        pytest.param(a_cell(due_at=AS_OF - DAY), HAVE, SEEN, PRESENT, False, Doubt.RECENT, id="due lately"),
        pytest.param(OLD, HAVE, SEEN, STALE, False, Doubt.FAULTY, id="it would be fetched"),
    ],
)
def test_why_a_state_may_not_rest_on_an_inventory(
    cell: object, have: LakeObject | None, seen: Examination | None, status: Status, learnt_since: bool, doubt: Doubt
) -> None:
    assert doubt_of(cell, have, seen, status, learnt_since, AS_OF, NOW) is doubt  # type: ignore[arg-type]


def _keys(folder: str, count: int) -> list[str]:
    return [f"{folder}/{n:05}" for n in range(count)]


def test_a_folder_is_listed_where_that_costs_less_than_to_look_up_its_files() -> None:
    few, many = _keys("a", 12), _keys("b", 13)
    assert settlement([*few, *many], [*few, *many], _nothing) == Settlement(tuple(few), ("b",))
    large = _keys("b", 4000)  # five pages
    assert settlement(many, large, _nothing) == Settlement(tuple(many))
    assert settlement([], large, _nothing) == Settlement()


def test_a_folder_of_many_small_folders_is_listed_as_a_whole() -> None:
    keys = [f"games/{n:04}/{name}.json" for n in range(900) for name in "ab"]
    assert settlement(keys, keys, _nothing) == Settlement((), ("games",))
    assert settlement(keys[:10], keys, _nothing) == Settlement(tuple(keys[:10]))
    assert settlement(["x", "y"] * 100, keys, _nothing).folders == (), "the lake itself is never listed as one folder"


def _nothing(folder: str) -> int:
    """The number of files that an inventory has in a folder."""
    return 0


def test_a_folder_is_not_listed_of_which_the_inventory_has_many_more_pages_than_is_doubtful() -> None:
    """The doubts may be about one season, and the folder have thirty."""
    season = [f"games/{n}" for n in range(100)]
    assert settlement(season, season, _nothing).folders == ("games",)
    assert settlement(season, season, {"games": 30_000}.__getitem__) == Settlement(tuple(sorted(season)))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 2000)), max_size=60))
def test_every_doubt_is_settled_once(places: list[tuple[str, str, int]]) -> None:
    keys = sorted({f"{top}/{inner}/{n}" for top, inner, n in places})
    found = settlement(keys, keys, _nothing)
    covered = [key for key in keys for folder in found.folders if key.startswith(f"{folder}/")]
    assert sorted([*found.keys, *covered]) == keys
    assert len(found.keys) + 12 * len(found.folders) <= max(len(keys), 12)


def test_people_read_as_of_when_the_states_are() -> None:
    assert str(FromInventory(AS_OF, 1, 2)).startswith(
        "By the S3 Inventory of 2026-01-14 12:00 UTC, with 1 file looked up and 2 folders listed now."
    )
    doubts = {Doubt.RECENT: 3, Doubt.LACKING: 1200}
    assert "listed now (1,200 not in it, 3 stored or due in the days before it)." in str(
        FromInventory(AS_OF, 1, 2, doubts)
    )
    assert str(FromInventory(AS_OF, 1, 2, found_later=1)) == (
        "The run began from the S3 Inventory of 2026-01-14 12:00 UTC, with 1 file looked up and 2 folders listed now. "
        "At its end the lake was listed, which showed 1 more file for the next run to fetch"
    )
    assert str(FromInventory(AS_OF, 1, 2, found_later=0)).endswith(
        "the lake was listed, which showed nothing more to fetch"
    )
