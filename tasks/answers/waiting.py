"""Which files wait, for which reasons, and until when?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.answers.report import Report
from tasks.domain.assess.states import State, Status
from tasks.domain.reasons import Limit
from tasks.domain.wording import utc, without_addresses

_PAUSED = {Limit.BACKOFF: "paused", Limit.BREAKER: "breaker open"}
_SAME_CLOCK = timedelta(minutes=5)  # no plan takes longer
_OF_THE_RUN = (Limit.STOPPED, Limit.LEASE)  # another run may begin at any time, or none if nothing is scheduled


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files that wait for one reason."""

    files: int
    limit: Limit | None
    of: str  # what the limit belongs to; see Reason
    text: str
    until: datetime | None  # the earliest

    @property
    def is_failure(self) -> bool:
        """Do files that wait for this make a run fail?"""
        return self.limit is not None and self.limit.is_failure

    def __str__(self) -> str:
        """The reason, and until when it holds, unless the text says so itself."""
        if self.limit and self.limit.tells_its_end:
            return self.text
        if self.limit in _OF_THE_RUN:
            return f"{self.text}; until the next run"
        until = utc(self.until) if self.until else "it is changed"
        name = self.limit.until_name if self.limit and self.until else "until"
        return f"{self.text}; {name} {until}"


def waiting(report: Report) -> list[Waiting]:
    """The files that wait, by reason: first the reasons for which a run fails, then those of the most files."""
    groups: dict[tuple[Limit | None, str], list[Status]] = defaultdict(list)
    for _, status in waiting_files(report):
        of = status.of or ("" if status.limit else status.reason)
        groups[status.limit, of].append(status)
    found = [_group(report, limit, statuses) for (limit, _), statuses in groups.items()]
    return sorted(found, key=lambda one: (not one.is_failure, -one.files))


def waiting_files(report: Report) -> Iterator[tuple[str, Status]]:
    """The keys of the files that wait, and their statuses."""
    waits = (State.DEFERRED, State.IN_FLIGHT)
    return ((key, status) for key, status in report.statuses.items() if status.state in waits)


def whose_clock(report: Report, now: datetime) -> str:
    """By which clock are the times of a plan as of another time than now? Empty unless it has the end of a pause."""
    is_set = abs(now - report.looked_at.taken_at) > _SAME_CLOCK
    if not is_set or not any(one.until and one.limit and one.limit.is_resumable for one in waiting(report)):
        return ""
    return f"The ends of pauses are by the real clock, which says {utc(now)}; all other times are by --as-of."


def _group(report: Report, limit: Limit | None, statuses: list[Status]) -> Waiting:
    of, until = statuses[0].of, min((s.until for s in statuses if s.until), default=None)
    [(text, _)] = Counter(status.reason for status in statuses).most_common(1)
    pause = report.pauses.get(of)
    if limit in _PAUSED and pause and until:
        text = f"{of} {_PAUSED[limit]} until {utc(until)} ({without_addresses(pause.reason)})"
    elif limit is Limit.OPERATOR_PAUSE:
        text = f"{of} {text}"
    return Waiting(len(statuses), limit, of, text, until)
