"""What is a gap?"""

from datetime import datetime, timedelta

import pytest

from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tests.builders import NOW, a_cell


@pytest.mark.parametrize(
    ("kind", "since", "came_due"),
    [
        pytest.param(Kind.MISSING, None, True, id="missing, and noticed from the beginning"),
        pytest.param(Kind.MISSING, NOW - timedelta(seconds=1), True, id="missing, and due after"),
        pytest.param(Kind.MISSING, NOW, False, id="missing, and due at that moment"),
        pytest.param(Kind.STALE, None, False, id="there, but stale"),
    ],
)
def test_only_a_missing_file_came_due_after_a_moment(kind: Kind, since: datetime | None, came_due: bool) -> None:
    assert Gap(a_cell(due_at=NOW), kind, "", NOW).came_due_after(since) is came_due
