"""Is somebody told of settings that have no effect?"""

import pytest

from config.models import Events
from tasks.answers.without_effect import events_without_effect
from tests.builders import a_config

QUEUE = "arn:aws:sqs:us-east-1:123456789012:changes"


@pytest.mark.parametrize(
    ("lake", "events", "line"),
    [
        ("s3://lake", Events(queue=QUEUE, fill=True), None),
        ("s3://lake", Events(), None),
        ("file:lake", Events(), None),
        ("s3://lake", Events(fill=True), "events.fill has no effect without a queue; name one in events.queue, or set"),
        ("file:lake", Events(queue=QUEUE), "events.queue has no effect: lake file:lake is a folder, which sends no"),
    ],
)
def test_settings_of_events_without_effect_are_told(lake: str, events: Events, line: str | None) -> None:
    found = events_without_effect(a_config().model_copy(update={"lake": lake, "events": events}))
    assert (found or "").startswith(line or "")
    assert (found is None) == (line is None)
