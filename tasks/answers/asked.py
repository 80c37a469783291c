"""Which of the files that somebody asks for can be fetched now, and why not the others?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from blocks.store import Store
from config.models import Config
from tasks.answers.holds import remedy_of
from tasks.answers.why import keys_of, schedules_of
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Selection
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import plural
from tasks.ledger import Ledger
from tasks.observe.look import look_at_cells
from tasks.observe.planner import Planner
from tasks.observe.session import Session

_CLEAR = "`adce unavailable clear KEY` has it looked for again"
_MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class NotFetched:
    """Why a file is not fetched, and what to do."""

    reason: str
    remedy: str = ""  # a command in it has KEY in the place of the file's key

    def __str__(self) -> str:
        return self.reason + (f"; {self.remedy}" if self.remedy else "")

    def of(self, key: str) -> NotFetched:
        """The same of the file with this key."""
        return replace(self, remedy=self.remedy.replace("KEY", key))

    @property
    def of_several(self) -> NotFetched:
        """The same in the plural."""
        reason = re.sub("^it is ", "they are ", self.reason)
        return NotFetched(reason, self.remedy.replace("fetches it", "fetches them"))


@dataclass(frozen=True, slots=True)
class Asked:
    """The files that somebody asks for."""

    keys: list[str]  # those to fetch
    refused: Mapping[str, NotFetched]  # why the others are not fetched, by key

    def lines(self) -> list[str]:
        """A line about the refused files for each reason, such as "a.json and 2 more: it is there and whole".

        Each of the reasons of a wide pattern may be that of one file, so that only the first few have a line.
        """
        by_reason: dict[NotFetched, list[str]] = {}
        for key, why in self.refused.items():
            by_reason.setdefault(why, []).append(key)
        told = [
            f"{first} and {len(more):,} more: {why.of_several}" if more else f"{first}: {why.of(first)}"
            for why, (first, *more) in islice(by_reason.items(), _MOST_REASONS)
        ]
        others = sum(map(len, islice(by_reason.values(), _MOST_REASONS, None)))
        return told + ([f"{plural(others, 'other file')}: `adce why KEY` tells the reason of each"] if others else [])


async def asked_for(
    config: Config, ledger: Ledger, store: Store, texts: Iterable[str], as_of: datetime | None, *, again: bool = False
) -> Asked:
    """The files that these keys, patterns, games and dates stand for. With `again`, files that are whole are fetched.

    Raises SelectionError for a text that stands for no file.
    """
    session = Session(config, Selection(), store, ledger, as_of=as_of)
    now = session.now()
    cells = keys_of(config, await schedules_of(session), texts, now)
    look = await look_at_cells(session, cells)
    planner = Planner.of_a_look(session)
    gaps = look.gaps(cells) + (look.again(cells, now) if again else [])
    # The caps of a run are not asked about: they say how much one run does, and not what it may do.
    plan = planner.plan(gaps, look.known.absences, ends=session.begun)
    refused = {d.gap.cell.key: _held(d.reason) for d in plan.deferred if d.reason.limit is not Limit.MAX_FILLS}
    wanted = {gap.cell.key for gap in gaps} - refused.keys()
    statuses = look.assessment.statuses
    refused |= {key: _why_not(statuses[key]) for key in cells if key not in wanted and key not in refused}
    return Asked([key for key in cells if key in wanted], refused)


def _held(reason: Reason) -> NotFetched:
    return NotFetched(f"{reason.text}{remedy_of(reason)}")


def _why_not(status: Status) -> NotFetched:
    """Why a file that is no gap is not fetched, and what to do."""
    until = f", {status.until_in_words}" if status.until else ""
    match status.state:
        case State.PRESENT:
            return NotFetched("it is there and whole", "--again fetches it again")
        case State.NOT_DUE:  # without a limit, the reason is from when it is due, or what its schedule says
            return NotFetched(f"it is not due: {status.reason}{until if status.limit else ''}")
        case State.UNAVAILABLE:
            return NotFetched(f"{status.reason}{until}", _CLEAR)
        case State.IN_FLIGHT:
            return NotFetched(f"it is being fetched: {status.reason}")
        case State.GAP if status.kind is Kind.UNREADABLE or status.limit is Limit.OBSTACLE:
            return NotFetched(status.reason, "`adce why KEY` says what to do")
        case _:
            return NotFetched(f"{status.reason}{until}", _CLEAR if status.limit is Limit.LOOKS else "")
