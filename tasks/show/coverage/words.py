"""How is a coverage put into words and numbers? The same way in a terminal, a picture, a page and an artifact."""

from __future__ import annotations

from typing import NamedTuple

from tasks.domain.assess.coverage import Coverage, Tally
from tasks.domain.assess.states import State, Status
from tasks.domain.reasons import Limit
from tasks.domain.wording import plural, utc

_SHOWN_ID = 8  # characters of a run's id
NOT_KNOWN = "?: percent of what is known. Schedules that would list more are lacking, or files are not read yet."


class Count(NamedTuple):
    """A column of counts beside the percentages."""

    heading: tuple[str, ...]  # its lines
    name: str  # of the property of a tally

    @property
    def title(self) -> str:
        """The heading in one line."""
        return " ".join(self.heading).replace("- ", "")

    def of(self, tally: Tally) -> str:
        """The count of a tally, or an empty text instead of 0."""
        count: int = getattr(tally, self.name)
        return f"{count:,}" if count else ""


_COUNTS = (
    Count(("lack-", "ing"), "lacking"),
    Count(("not", "read"), "unread"),
    Count(("dis-", "abled"), "switched_off"),
    Count(("unavail-", "able"), "unavailable"),
)


def counts_of(total: Tally) -> list[Count]:
    """The columns of counts for a table with this total. Except for the first, those that are all 0 are left out."""
    return [count for count in _COUNTS if count is _COUNTS[0] or count.of(total)]


def title_of(coverage: Coverage) -> str:
    """The lake, the time, and the part of the lake: "Coverage of s3://bucket as of 2026-01-15 12:00 UTC"."""
    lake = f" of {coverage.lake}" if coverage.lake else ""
    moment = f" as of {utc(coverage.as_of)}" if coverage.as_of else ""
    since = f"; parts of it as of {utc(coverage.since)} or later" if coverage.since else ""
    inventory = f"; by the S3 Inventory of {utc(coverage.inventory)}" if coverage.inventory else ""
    part = f"; only {coverage.part}" if coverage.part else ""
    run = f"; recorded by run {coverage.run[:_SHOWN_ID]}" if coverage.run else ""
    return f"Coverage{lake}{moment}{since}{inventory}{part}{run}"


def percent_of(tally: Tally) -> str:
    """The percentage of files that are present, rounded down, such as "99.9"; "100" only if all files are present.

    It is "-" if no files are wanted, and empty if none are expected. If schedules are unknown or files are not read, it
    ends with a question mark, such as "99.9?", and if nothing is known it is "?".
    """
    if tally.is_empty:
        return ""
    percent, mark = tally.percent, "" if tally.is_known else "?"
    if percent is None:
        return mark or "-"
    return "100" if percent == 100 else f"{percent:.1f}{mark}"


def summary_of(tally: Tally) -> str:
    """The percentage and the counts: "99.8 %: 3,684 of 3,690 files complete; 6 gaps"."""
    if tally.percent is None:
        return sentence_of(tally)
    known = "" if tally.is_known else ", as far as is known"
    return f"{percent_of(tally).rstrip('?')} %{known}: {sentence_of(tally)}"


def sentence_of(tally: Tally) -> str:
    """The counts of a tally: "3,684 of 3,690 files complete; 4 gaps, 2 deferred, 2 unavailable, 10 not due"."""
    if tally.is_empty:
        return "no files expected"
    deferred = tally.deferred - tally.unread - tally.switched_off
    others = [plural(tally.gap, "gap")] if tally.gap else []
    others += [f"{tally.in_flight:,} in flight"] if tally.in_flight else []
    others += [f"{deferred:,} deferred"] if deferred else []
    others += [f"{tally.unread:,} not read yet"] if tally.unread else []
    others += [f"{tally.switched_off:,} disabled"] if tally.switched_off else []
    others += [tally.unavailable_in_words] if tally.unavailable else []
    others += [f"{tally.not_due:,} not due"] if tally.not_due else []
    others += [f"unknown what {plural(len(tally.unknown), 'schedule')} would list"] if tally.unknown else []
    complete = [f"{tally.present:,} of {plural(tally.wanted, 'file')} complete"] if tally.wanted else []
    return "; ".join(complete + ([", ".join(others)] if others else []))


def state_in_words(status: Status) -> str:
    """The state of a file that is due and not present, in the words of `sentence_of`."""
    if status.state is State.DEFERRED and status.limit is Limit.EXAMINE_AT_MOST:
        return "not read yet"
    if status.state is State.DEFERRED and status.limit is Limit.ENABLED and status.of != "enabled":
        return "disabled"  # the source or the dataset, not everything
    return status.state.value.replace("_", " ")
