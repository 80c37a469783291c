"""How many lines does the log get of something that fails for hours, or every now and then?"""

import logging

import pytest

from tasks import clock
from tasks.observe.outages import Outage


class Story:
    """An outage, the clock, and what the log was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
        self.now, self._caplog = 1000.0, caplog
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(clock, "seconds", lambda: self.now)
        self.outage = Outage("the queue answers again; it had not")

    def fail(self, seconds: int) -> None:
        """Fails every five seconds for some time."""
        for _ in range(0, seconds, 5):
            self.outage.failed("it is away")
            self.now += 5

    @property
    def levels(self) -> str:
        return "".join(record.levelname[0] for record in self._caplog.records)

    @property
    def lines(self) -> list[str]:
        return self._caplog.messages


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Story:
    return Story(monkeypatch, caplog)


def test_an_outage_of_an_hour_is_told_at_once_every_ten_minutes_and_when_it_is_over(story: Story) -> None:
    story.fail(3600)
    story.outage.ended()
    story.outage.ended()
    assert story.levels == "E" * 6 + "W"
    assert story.lines[0] == "it is away"
    assert story.lines[1].startswith("it is away; it has failed since ")
    assert story.lines[-1].startswith("the queue answers again; it had not since ")


def test_what_fails_now_and_then_is_told_every_ten_minutes_at_most(story: Story) -> None:
    for _ in range(360):
        story.fail(5)
        story.outage.ended()
        story.now += 5
    assert story.levels == "EW" * 6


def test_an_outage_soon_after_another_is_told_of_when_it_has_lasted_for_a_minute(story: Story) -> None:
    story.fail(5)
    story.outage.ended()
    story.fail(60)
    assert story.levels == "EW"
    story.fail(5)
    assert story.levels == "EWE"
