"""What does `adce up` say of the events of the lake?"""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from config.models import Events
from deployments.up.events import _line, watch_of
from tasks.answers.sources import EventsNow
from tasks.domain.event_path import EventPath, PathState
from tests.builders import a_config

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:changes"


def events(state: PathState, progress: datetime = NOW) -> EventsNow:
    return EventsNow(NOW - MINUTE, progress, EventPath(state, "so it is"), {}, 0, ())


@pytest.mark.parametrize(
    ("found", "level", "line"),
    [
        (events(PathState.PROVED), logging.INFO, "the path of events is proved: so it is"),
        (events(PathState.UNPROVED), logging.INFO, "the path of events is unproved: so it is"),
        (events(PathState.BROKEN), logging.ERROR, "the path of events is broken: so it is"),
        (
            events(PathState.PROVED, NOW - 6 * MINUTE),
            logging.ERROR,
            "adce watch has received nothing from its queue since 2026-01-15 11:54 UTC, not even that it is empty; see "
            "its output with --verbose",
        ),
        (
            None,
            logging.ERROR,
            "adce watch has received nothing from its queue so far, not even that it is empty; see its output with "
            "--verbose",
        ),
    ],
)
def test_the_state_of_the_path_is_told_and_a_watch_that_receives_nothing_is_an_error(
    found: EventsNow | None, level: int, line: str
) -> None:
    assert _line(found, NOW)[::2] == (level, line)


def test_only_a_lake_in_a_bucket_is_watched_and_its_fills_run_on_the_server_of_adce_up() -> None:
    config = a_config().model_copy(update={"lake": "s3://lake", "events": Events(queue=QUEUE)})
    env = {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}
    watch = watch_of(config, env, 2 * MINUTE)
    assert watch
    assert watch.argv[-3:] == ["watch", "--queue", QUEUE]
    assert not watch.is_vital
    assert (watch.env, watch.stops_within) == (env, 30)
    filling = watch_of(config.model_copy(update={"events": Events(queue=QUEUE, fill=True)}), env, 2 * MINUTE)
    assert filling
    assert filling.stops_within == 120, "its fills have their grace"
    assert watch_of(config.model_copy(update={"lake": "file:lake"}), env, MINUTE) is None
    assert watch_of(config.model_copy(update={"events": Events()}), env, MINUTE) is None
