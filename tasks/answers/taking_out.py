"""Which files would count as unavailable if an operator said so, and which are there?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from blocks.store import Store
from config.models import Config
from tasks.answers.why import keys_of
from tasks.domain.assess.absences import Absence
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Cell, Selection
from tasks.domain.wording import plural
from tasks.ledger import Ledger
from tasks.observe.look import look_at_cells
from tasks.observe.session import Session

_NAMED = 3  # keys, of each dataset


@dataclass(frozen=True)
class TakingOut:
    """What an operator asks to take out: the files to mark, and those that are there, which stay as they are."""

    marks: Mapping[str, Cell]
    there: list[str]
    not_due: int  # of those to mark
    config: Config

    def lines(self) -> Iterator[str]:
        """What it means, a dataset a line."""
        by_dataset: dict[str, list[str]] = {}
        for key, cell in self.marks.items():
            by_dataset.setdefault(cell.dataset, []).append(key)
        for dataset, keys in by_dataset.items():
            more = f" and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else ""
            games = "; no game that they would list is expected" if self.config.datasets[dataset].lists_games else ""
            yield f"{plural(len(keys), 'file')} of {dataset}: {', '.join(sorted(keys)[:_NAMED])}{more}{games}"
        if self.not_due:
            yield f"{plural(self.not_due, 'file')} of these {'is' if self.not_due == 1 else 'are'} not due yet"
        if self.there:
            yield self.told_there

    @property
    def told_there(self) -> str:
        """ "espn_box_scores/1.json is in the lake: it is not marked"."""
        if len(self.there) == 1:
            return f"{self.there[0]} is in the lake: it is not marked"
        return f"{self.there[0]} and {len(self.there) - 1:,} more are in the lake: they are not marked"

    def absences(self, note: str, until: datetime, now: datetime) -> list[Absence]:
        return [
            Absence(key, "", now, now, until=until, note=note, dataset=cell.dataset) for key, cell in self.marks.items()
        ]


async def consider(config: Config, ledger: Ledger, store: Store, texts: Iterable[str], now: datetime) -> TakingOut:
    """What some keys, patterns, games and dates come to. Raises SelectionError for one that is about nothing.

    A file is there unless it is a gap; one that only waits to be looked at again is there, too, but not a list that its
    source does not have any more.
    """
    cells = keys_of(config, ledger, texts, now)
    look = await look_at_cells(Session(config, Selection(), store, ledger, as_of=now), cells)
    statuses = look.assessment.statuses
    there = [key for key in cells if key in look.known.objects and _is_there(statuses[key])]
    marks = {key: cell for key, cell in cells.items() if key not in set(there)}
    not_due = sum(statuses[key].state is State.NOT_DUE for key in marks)
    return TakingOut(marks, there, not_due, config)


def _is_there(status: Status) -> bool:
    return status.state is not State.UNAVAILABLE and status.kind in (None, Kind.STALE)
