"""Does a stopwatch count each second once?"""

import pytest

from tasks import clock
from tasks.clock import Stopwatch


def test_of_a_part_within_another_only_the_inner_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "seconds", lambda: now)
    watch = Stopwatch()
    with watch.running("look"):
        now += 1
        with watch.running("judge"):
            now += 10
        now += 2
    now += 1000
    with watch.running("judge"):
        now += 20
    assert watch.seconds == {"look": 3, "judge": 30}
