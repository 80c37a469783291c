"""Does the ledger alone tell the state of a file as a look at the lake has just found it?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.assess.states import Status
from tasks.domain.expected.cells import Selection
from tasks.domain.reasons import Limit
from tasks.observe.look import look_at_recorded
from tasks.observe.session import Session
from tests.deployments.test_serve import a_look
from tests.tasks.observe.test_held import World, _change, filled

__all__ = ["filled"]


def _told(statuses: Mapping[str, Status], without: set[str]) -> dict[str, Any]:
    return {key: (one.state, one.limit) for key, one in sorted(statuses.items()) if key not in without}


@settings(max_examples=10)
@given(changes=st.lists(_change(), max_size=5))
def test_what_the_ledger_knows_after_a_look_is_what_the_look_has_found(filled: World, changes: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = filled.copy(Path(folder))
        world.look(anew=False)
        for change in changes:
            change(world)
            world.lake.in_the_way.clear()  # what stands at a key only the lake knows
            world.look(anew=False)
        found = world.look(anew=True).assessment
        world.ledger.looks.record(a_look(taken_at=world.now))
        session = Session(world.config, Selection(), world.lake, world.ledger, world.now)
        world.lake.objects.clear()
        recorded = look_at_recorded(session, found.cells).assessment
        world.ledger.close()
    # Of a new version that nobody has read, the ledger knows nothing: it goes by the one before.
    unread = {key for key, one in found.statuses.items() if one.limit is Limit.EXAMINE_AT_MOST}
    assert _told(recorded.statuses, unread) == _told(found.statuses, unread)
