"""Which files can an operator mark as unavailable, and which are in the lake already?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from blocks.store import Store
from config.models import Config
from tasks.answers.why import keys_of, schedules_of
from tasks.domain.assess.absences import Absence
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Cell, Selection
from tasks.domain.wording import plural, verb
from tasks.ledger import Ledger
from tasks.observe.look import look_at_cells
from tasks.observe.session import Session

_MOST_NAMED = 3  # the most keys of one dataset that a line names


@dataclass(frozen=True)
class Marking:
    """The files that an operator asks to mark as unavailable."""

    marks: Mapping[str, Cell]  # files that would be marked, by key
    in_lake: list[str]  # keys of files in the lake, which would not be marked
    not_due: int  # how many of `marks` are not due yet
    config: Config

    def lines(self) -> Iterator[str]:
        """The lines to show before files are marked: one for each dataset, and one for files that are not marked."""
        by_dataset: dict[str, list[str]] = {}
        for key, cell in self.marks.items():
            by_dataset.setdefault(cell.dataset, []).append(key)
        for dataset, keys in by_dataset.items():
            more = f" and {len(keys) - _MOST_NAMED:,} more" if len(keys) > _MOST_NAMED else ""
            games = "; no game that they would list is expected" if self.config.datasets[dataset].lists_games else ""
            yield f"{plural(len(keys), 'file')} of {dataset}: {', '.join(sorted(keys)[:_MOST_NAMED])}{more}{games}"
        if self.not_due:
            yield f"{plural(self.not_due, 'file')} of these {verb(self.not_due, 'is', 'are')} not due yet"
        if self.in_lake:
            yield self.not_marked

    @property
    def not_marked(self) -> str:
        """A sentence such as "espn_box_scores/1.json is in the lake: it is not marked"."""
        if len(self.in_lake) == 1:
            return f"{self.in_lake[0]} is in the lake: it is not marked"
        return f"{self.in_lake[0]} and {len(self.in_lake) - 1:,} more are in the lake: they are not marked"

    def absences(self, note: str, by: str, until: datetime, now: datetime) -> list[Absence]:
        """The absences to record, with the note and the name of the operator."""
        said = Absence("", "", now, now, until=until, note=note, by=by)
        return [replace(said, key=key, dataset=cell.dataset) for key, cell in self.marks.items()]


async def marking_of(config: Config, ledger: Ledger, store: Store, texts: Iterable[str], now: datetime) -> Marking:
    """The marking of the files that these keys, patterns, game ids and dates stand for.

    Raises SelectionError for a text that stands for no file. A file is not marked if the lake has it and it is not a
    gap, or is only stale. A list in the lake that its source no longer has is unavailable, and can be marked.
    """
    session = Session(config, Selection(), store, ledger, as_of=now)
    cells = keys_of(config, await schedules_of(session), texts, now)
    look = await look_at_cells(session, cells)
    statuses = look.assessment.statuses
    in_lake = [key for key in cells if key in look.known.objects and _is_good(statuses[key])]
    marks = {key: cell for key, cell in cells.items() if key not in set(in_lake)}
    not_due = sum(statuses[key].state is State.NOT_DUE for key in marks)
    return Marking(marks, in_lake, not_due, config)


def _is_good(status: Status) -> bool:
    return status.state is not State.UNAVAILABLE and status.kind in (None, Kind.STALE)
