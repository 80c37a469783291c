"""What do messages about incidents say, and can a text in them do anything but be read?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.domain import alert_messages as messages
from tasks.domain.alert_messages import Place, for_slack, id_of, message_of, subject_of
from tasks.domain.incidents import BY_KIND, CATALOGUE, Change, Incident, Kind, What

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLACE = Place("s3://nba/lake", "0123456789abcdef", "https://adce.example.org")


def a_change(what: What = What.OPENED, closes: tuple[Incident, ...] = (), **changes: Any) -> Change:
    began = NOW - 4 * HOUR
    incident = Incident("7", Kind.SOURCE_PAUSED, "espn", began, opened=NOW - HOUR, told=NOW - HOUR, value=4 * 3600)
    return Change(f"7-{what}", incident._replace(**({"files": 12, "reason": "HTTP 429"} | changes)), what, NOW, closes)


def test_a_message_says_what_since_when_how_much_why_and_what_to_type() -> None:
    message = message_of(a_change(), 3 * 3600, PLACE)
    assert message.title == "Opened: A source is paused after refusals: espn"
    assert message.text.splitlines() == [
        "Since 2026-01-15 08:00 UTC.",
        "It is 4h; the limit is 3h.",
        "It concerns 12 files.",
        "Reason: HTTP 429",
        "More: adce sources",
        "Lake: s3://nba/lake",
        "Page: https://adce.example.org",
        "Message 0123456789ab-7-opened",
    ]


def test_a_limit_of_no_file_is_not_told() -> None:
    lost = message_of(a_change(kind=Kind.LOST, value=3, files=3), 0, PLACE)
    assert lost.lines[1] == "It concerns 3 files."
    unread = message_of(a_change(kind=Kind.DEAD_LETTERS, value=3, files=0), 0, PLACE)
    assert unread.lines[1] == "It is 3; the limit is 0."


def test_a_reminder_says_for_how_long_and_how_often() -> None:
    message = message_of(a_change(What.REMINDED, reminders=2), 3 * 3600, PLACE)
    assert message.title == "Still open: A source is paused after refusals: espn"
    assert message.lines[0] == "Since 2026-01-15 08:00 UTC, for 4h (reminder 2)."


def test_the_end_says_how_long_it_lasted() -> None:
    change = a_change(What.CLOSED, cleared=NOW - HOUR / 4, closed=NOW)
    message = message_of(change, 3 * 3600, PLACE)
    assert message.title == "Closed: A source is paused after refusals: espn"
    assert message.lines[0] == "It lasted 3h 45m, from 2026-01-15 08:00 UTC to 2026-01-15 11:45 UTC."
    assert message.lines[1:3] == ("It concerned 12 files.", "The reason was: HTTP 429")
    change = a_change(What.CLOSED, cleared=NOW, closed=NOW, unwatched="nobody looks")
    assert message_of(change, 3 * 3600, PLACE).lines[1] == "It is over because nobody looks."
    assert "held back" not in message.text


def test_what_was_held_back_is_told_as_such() -> None:
    message = message_of(a_change(What.CLOSED, cleared=NOW, closed=NOW, told=NOW), 3 * 3600, PLACE)
    assert message.lines[1] == "This is told only now, because messages about it were held back."


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    began = NOW + HOUR
    assert "It lasted 0s" in message_of(a_change(What.CLOSED, began=began, cleared=NOW), 1, PLACE).text
    assert message_of(a_change(What.REMINDED, began=began), 1, PLACE).lines[0] == "Since 2026-01-15 13:00 UTC."


def test_the_message_of_a_parent_names_what_it_ends() -> None:
    told = tuple(Incident(str(n), Kind.BREAKER, f"espn/d{n}", NOW, opened=NOW, told=NOW, closed=NOW) for n in range(12))
    [line] = [line for line in message_of(a_change(closes=told), 1, PLACE).lines if "ends" in line]
    assert line.startswith("It explains, and this message ends: A circuit breaker opens again and again: espn/d0; A")
    assert line.endswith("espn/d9; and 2 more")


def test_a_condition_that_only_holds_or_not_has_no_value() -> None:
    text = message_of(a_change(kind=Kind.LAKE, scope="", value=1, files=0, reason=""), 0, PLACE).text
    assert "limit" not in text
    assert "Reason" not in text
    assert "concerns" not in text


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("what", list(What))
def test_every_kind_has_a_message(kind: Kind, what: What) -> None:
    message = message_of(a_change(what, kind=kind), 1, PLACE)
    assert f"More: {BY_KIND[kind].command}" in message.lines
    assert all(line == " ".join(line.split()) for line in (message.title, *message.lines))
    assert 10 < len(subject_of(message)) <= 100


def test_a_critical_file_is_named_in_the_command() -> None:
    change = a_change(kind=Kind.CRITICAL_FAILURES, reason="espn_box_scores/401810001.json")
    assert "More: adce why espn_box_scores/401810001.json" in message_of(change, 1, PLACE).lines


def test_a_limit_that_is_no_whole_number_is_shown_as_such() -> None:
    change = a_change(kind=Kind.MISSED_EVENTS, scope="", value=3)
    assert "It is 3; the limit is 2.50." in message_of(change, 2.5, PLACE).lines


def test_ids_tell_ledgers_apart_and_memory_needs_none() -> None:
    assert id_of(a_change(), Place("file:///lake", "")) == "7-opened"
    assert id_of(a_change(), PLACE) != id_of(a_change(), Place("file:///lake", "fedcba9876543210"))
    in_memory = a_change()
    in_memory = Change("m-0a-1-opened", in_memory.incident._replace(id="m-0a-1"), What.OPENED, NOW)
    assert id_of(in_memory, PLACE) == "m-0a-1-opened", "the ledger's id may be learnt only later"


def test_a_sandbox_says_so() -> None:
    place = Place("file:///lake", is_sandbox=True)
    assert message_of(a_change(), 1, place).title.startswith("[sandbox] Opened: ")
    assert messages.trial_message("x", place).title == "[sandbox] Test"


def test_no_text_is_markup_of_slack_nor_calls_everybody() -> None:
    message = message_of(a_change(reason="<!channel> <https://evil|x> & @here @Channel me@allied.org"), 1, PLACE)
    lines = for_slack(message).split("\n")
    assert lines.pop(-2) == "<https://adce.example.org|Status page>", "the only link is the service's"
    text = "\n".join(lines)
    assert not {"<", ">"} & set(text)
    assert "&lt;!channel&gt; &lt;https://evil|x&gt; &amp; @\N{WORD JOINER}here @\N{WORD JOINER}Channel me@a" in text


def test_a_reason_is_one_line_without_secrets_and_not_endless() -> None:
    reason = "https://me:hunter2@h failed\n\x1b[31m" + "x" * 1000
    [line] = [line for line in message_of(a_change(reason=reason), 1, PLACE).lines if line.startswith("Reason")]
    assert line.startswith("Reason: https://***@h failed [31mxxx")
    assert len(line) < 320


@pytest.mark.parametrize("scope", ["x" * 300, "dé\nté\r\x00 ☃", ""])
def test_a_subject_for_sns_is_a_short_line_of_ascii(scope: str) -> None:
    subject = subject_of(message_of(a_change(scope=scope), 1, PLACE))
    assert len(subject) <= 100
    assert all(" " <= character <= "~" for character in subject)
    assert subject.startswith("ADCE: Opened: A source is paused after refusals")


def test_every_title_of_the_catalogue_fits_into_a_subject() -> None:
    for condition in CATALOGUE:
        change = a_change(What.REMINDED, kind=condition.kind, scope="")
        assert not subject_of(message_of(change, 1, Place("x", is_sandbox=True))).endswith("...")
