"""Which JSON does a webhook get? Programs read it, so the names of fields must not change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tasks.domain.alert_messages import TEST
from tasks.domain.incidents import Change, Incident, Kind, What
from tasks.publish.messages import MessageDocument, message_about, place_of, trial
from tests.builders import NOW, a_config

HOUR = timedelta(hours=1)
PAUSED = Incident("7", Kind.SOURCE_PAUSED, "espn", NOW - 4 * HOUR, opened=NOW, told=NOW, value=14400, files=12)
BREAKER = Incident("5", Kind.BREAKER, "espn/espn_summary", NOW, opened=NOW, told=NOW, closed=NOW)


def test_a_document_has_all_that_is_known_of_an_incident() -> None:
    config = a_config(sandbox=True, lake="s3://nba/lake")
    change = Change("7-opened", PAUSED._replace(reason="HTTP 429"), What.OPENED, NOW, (BREAKER,))
    document = dict(message_about(change, config, place_of(config, "0123456789abcdef")).document)
    assert document.pop("text").startswith("Since 2026-01-15 08:00 UTC.\nIt is 4h; the limit is 3h.\n")
    assert document == {
        "id": "0123456789ab-7-opened",
        "what": "opened",
        "at": "2026-01-15T12:00:00Z",
        "title": "[sandbox] Opened: A source is paused after refusals: espn",
        "lake": "s3://nba/lake",
        "sandbox": True,
        "link": None,
        "incident": "7",
        "kind": "source_paused",
        "scope": "espn",
        "name": "A source is paused after refusals: espn",
        "began": "2026-01-15T08:00:00Z",
        "opened": "2026-01-15T12:00:00Z",
        "cleared": None,
        "closed": None,
        "value": 14400.0,
        "limit": 10800.0,
        "files": 12,
        "reason": "HTTP 429",
        "command": "adce sources",
        "reminders": 0,
        "held_back": False,
        "closes": [
            {
                "kind": "breaker",
                "scope": "espn/espn_summary",
                "incident": "5",
                "name": "A circuit breaker opens again and again: espn/espn_summary",
                "opened": "2026-01-15T12:00:00Z",
            }
        ],
    }


def test_the_limit_is_the_one_that_was_passed() -> None:
    config = a_config()
    change = Change("7-opened", PAUSED._replace(passed=60.0), What.OPENED, NOW)
    message = message_about(change, config, place_of(config))
    assert message.document["limit"] == 60
    assert "It is 4h; the limit is 1m." in message.lines


@pytest.mark.parametrize("what", list(What))
def test_all_documents_have_the_same_fields(what: What) -> None:
    config = a_config()
    change = Change(f"7-{what}", PAUSED._replace(cleared=NOW, closed=NOW), what, NOW)
    documents = [message_about(change, config, place_of(config)).document, trial(config, NOW).document]
    assert [set(document) for document in documents] == 2 * [set(MessageDocument.model_fields)]


def test_a_trial_differs_each_time_and_has_no_incident() -> None:
    one, other = trial(a_config(), NOW), trial(a_config(), NOW)
    assert one.id != other.id
    assert (one.what, one.document["incident"], one.document["kind"]) == (TEST, None, None)
