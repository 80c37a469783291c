"""What does the document of a plan say of a source?"""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.holds import Hold
from tasks.domain.survey import take_survey
from tasks.inventory import check_ids
from tasks.report import Report
from tests.builders import a_config

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("ends_in", "phase", "is_paused", "reason"),
    [
        pytest.param(HOUR, "open", True, "HTTP 403", id="paused"),
        pytest.param(-HOUR, "half-open", False, "HTTP 403", id="the first request after it is not answered yet"),
        pytest.param(None, "closed", False, None, id="neither"),
    ],
)
def test_a_source_has_its_reason_until_it_has_answered_again(
    ends_in: timedelta | None, phase: str, is_paused: bool, reason: str | None
) -> None:
    config, now = a_config(), datetime.now(UTC)
    hold = Hold("espn", ends_in and now + ends_in, "HTTP 403", resumed_at=now)
    report = Report(take_survey(config, {}, {}, {}, check_ids(config), now), (), (), config, {"espn": hold})
    espn, nba_api, _ = report.document()["sources"]
    assert (espn["phase"], bool(espn["paused_until"]), espn["reason"]) == (phase, is_paused, reason)
    assert espn["breaker"] == "closed", "that is of its datasets"
    assert nba_api["phase"] == "closed"
