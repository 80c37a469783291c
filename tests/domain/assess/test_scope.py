"""When does a look list the whole lake? Unless everything speaks for less."""

from datetime import timedelta
from typing import Any

import pytest

from tasks.domain.assess.scope import Everything, scope_of
from tasks.domain.event_path import EventPath, PathState

ROTATED: dict[str, Any] = {
    "verify_every": timedelta(days=1),
    "is_scheduled": True,
    "is_everything": True,
    "is_folder": False,
    "path": EventPath(PathState.PROVED, "an event has come"),
    "is_held": True,
}


def test_a_scheduled_look_lists_less_if_events_are_proved_to_arrive() -> None:
    scope = scope_of(**ROTATED)
    assert scope.everything is None
    assert scope.text == "where something can have changed, and all else within 1d"
    assert scope.is_worth_telling


@pytest.mark.parametrize(
    ("change", "why", "text"),
    [
        ({"verify_every": None}, Everything.NOT_SET, "reconcile.verify_every is not set"),
        ({"is_scheduled": False}, Everything.ASKED, "no schedule has started this run"),
        ({"is_everything": False}, Everything.SELECTION, "a part of the lake"),
        ({"is_folder": True}, Everything.FOLDER, "in a folder"),
        ({"path": None}, Everything.NOT_WATCHED, "its events are not watched"),
        ({"path": EventPath(PathState.BROKEN, "no event")}, Everything.PATH, "the event path is broken: no event"),
        ({"path": EventPath(PathState.UNPROVED, "too new")}, Everything.PATH, "the event path is unproved: too new"),
        ({"is_held": False}, Everything.NOTHING_HELD, "no digests of all of it"),
    ],
)
def test_it_lists_everything_if_anything_speaks_against_that(
    change: dict[str, Any], why: Everything, text: str
) -> None:
    scope = scope_of(**ROTATED | change)
    assert scope.everything is why
    assert text in scope.text
    assert scope.is_worth_telling == (why is not Everything.NOT_SET)
