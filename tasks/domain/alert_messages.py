"""What does a message about an incident say, and how is it written for each kind of service? Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from config.secrets import masked
from tasks.domain.incidents import BY_KIND, Change, Incident, What, command_of
from tasks.domain.wording import duration, one_line, plural, utc

TEST = "test"  # `what` of a message that only shows that messages arrive
_WORDS = {What.OPENED: "Opened", What.REMINDED: "Still open", What.CLOSED: "Closed"}
_PAGE = "Page: "  # before the address of the service, which is a line of its own
_LONGEST_REASON = 300  # characters
_LONGEST_SUBJECT = 100  # characters that SNS takes
_MOST_CLOSED = 10  # incidents that a message names of those that it ends
_MENTIONS = re.compile(r"@(?=(?:channel|here|everyone|all|group)\b)", re.IGNORECASE)
_NO_MENTION = "@\N{WORD JOINER}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where messages are from."""

    lake: str
    ledger: str = ""  # its id, which tells its messages from those of others; empty if it is not known
    link: str | None = None  # the address of the service
    is_sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message, which is the same whenever it is repeated. `document` is what a program gets."""

    id: str
    what: str  # a value of What, or TEST
    kind: str
    scope: str
    title: str
    lines: tuple[str, ...]
    document: Mapping[str, Any] = field(default_factory=dict)

    def with_document(self, document: Mapping[str, Any]) -> Message:
        """The same message, of which a program gets this document."""
        return replace(self, document=document)

    @property
    def text(self) -> str:
        """The message as plain text, without its title."""
        return "\n".join([*self.lines, f"Message {self.id}"])


def id_of(change: Change, place: Place) -> str:
    """The id of the message that tells of a change. It differs from those of the messages of other ledgers."""
    is_known = place.ledger and change.incident.id[:1].isdigit()
    return f"{place.ledger[:12]}-{change.id}" if is_known else change.id


def message_of(change: Change, limit: float, place: Place) -> Message:
    """The message that tells of a change of an incident whose condition has this limit."""
    incident = change.incident
    title = f"{_WORDS[change.what]}: {name_of(incident)}"
    lines = (*_lines(change, limit), *_where(place))
    return Message(
        id_of(change, place),
        change.what.value,
        incident.kind.value,
        incident.scope,
        _from(place, title),
        lines,
    )


def trial_message(id_: str, place: Place) -> Message:
    """A message that only shows that messages arrive."""
    lines = ("Messages of ADCE arrive here. This is a test.", *_where(place))
    return Message(id_, TEST, "", "", _from(place, "Test"), lines)


def name_of(incident: Incident) -> str:
    """What is wrong, and where."""
    title = BY_KIND[incident.kind].title
    return f"{title}: {one_line(incident.scope)}" if incident.scope else title


def lasted(incident: Incident) -> timedelta:
    """For how long the condition of an incident that is closed held."""
    return max((incident.cleared or incident.closed or incident.began) - incident.began, timedelta(0))


def end_of(incident: Incident) -> str:
    """Since when an open incident is over, and when it is closed; empty while its condition holds."""
    if not (incident.cleared and incident.closes_at):
        return ""
    why = f" because {incident.unwatched}" if incident.unwatched else ""
    return f"over since {utc(incident.cleared)}{why}, and closed at {utc(incident.closes_at)} if it stays so"


def reason_of(incident: Incident) -> str:
    """The cause of an incident in one line, without secrets."""
    reason = masked(one_line(incident.reason))
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"


def was_held_back(change: Change) -> bool:
    """Is this the end of an incident of whose beginning nothing was told, because messages were held back?"""
    return change.what is What.CLOSED and change.incident.told == change.at


def _lines(change: Change, limit: float) -> Iterator[str]:
    incident = change.incident
    if change.what is What.CLOSED:
        end = incident.cleared or incident.closed or change.at
        yield f"It lasted {duration(lasted(incident))}, from {utc(incident.began)} to {utc(end)}."
        if incident.unwatched:
            yield f"It is over because {incident.unwatched}."
        if was_held_back(change):
            yield "This is told only now, because messages about it were held back."
    else:
        yield f"Since {utc(incident.began)}{_for(change)}."
        measure, says_all = BY_KIND[incident.kind].measure, incident.files and not limit  # how many files it concerns
        if (value := measure.text(incident.value)) and not says_all:
            yield f"It is {value}; the limit is {measure.text(limit)}."
    if incident.files:
        yield f"It {'concerned' if change.what is What.CLOSED else 'concerns'} {plural(incident.files, 'file')}."
    if reason := reason_of(incident):
        yield f"{'The reason was' if change.what is What.CLOSED else 'Reason'}: {reason}"
    if change.closes:
        names = [name_of(one) for one in change.closes]
        more = f"; and {len(names) - _MOST_CLOSED:,} more" if len(names) > _MOST_CLOSED else ""
        yield f"It explains, and this message ends: {'; '.join(names[:_MOST_CLOSED])}{more}"
    yield f"More: {command_of(incident)}"


def _for(change: Change) -> str:
    """For how long a reminder says that the condition has held."""
    held = change.at - change.incident.began
    is_told = change.what is What.REMINDED and held > timedelta(0)
    return f", for {duration(held)} (reminder {change.incident.reminders:,})" if is_told else ""


def _where(place: Place) -> Iterator[str]:
    yield f"Lake: {masked(one_line(place.lake))}"
    if place.link:
        yield f"{_PAGE}{place.link}"


def _from(place: Place, title: str) -> str:
    return f"[sandbox] {title}" if place.is_sandbox else title


def for_slack(message: Message) -> str:
    """The message in Slack's markup. No text in it is a link, a mention or a command, but the service's address."""
    lines = (_linked(line) for line in message.text.split("\n"))
    return "\n".join([f"*{_escaped(message.title)}*", *lines])


def _linked(line: str) -> str:
    """The line in Slack's markup; that with the address of the service is a link with a text."""
    address = line.removeprefix(_PAGE)
    is_link = line != address and re.fullmatch(r"https?://[^\s<>|]+", address)
    return f"<{_escaped(address)}|Status page>" if is_link else _escaped(line)


def _escaped(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return _MENTIONS.sub(_NO_MENTION, text)


def subject_of(message: Message) -> str:
    """The subject of a message for SNS: printable characters of ASCII in one line, at most 100."""
    plain = unicodedata.normalize("NFKD", f"ADCE: {message.title}").encode("ascii", "ignore").decode()
    subject = one_line(plain)
    return subject if len(subject) <= _LONGEST_SUBJECT else f"{subject[: _LONGEST_SUBJECT - 3].rstrip()}..."
