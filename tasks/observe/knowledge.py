"""What is known of the files in the lake: objects, examinations of their bodies, and what the sources have said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from blocks.listing import Listing
from tasks.domain.assess.absences import Absence
from tasks.domain.assess.agreement import Disagreement
from tasks.domain.assess.states import Examination, LakeObject, Unreadable, taken_at
from tasks.domain.assess.verdicts import Verdict
from tasks.domain.expected.cells import Cell
from tasks.observe.inventory import InventoryUse


@dataclass
class Knowledge:
    """What is known of files, by key. A look at the lake fills it, and files that a run stores later are added."""

    objects: MutableMapping[str, LakeObject] = field(default_factory=dict)
    examinations: dict[str, Examination] = field(default_factory=dict)
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    absences: dict[str, Absence] = field(default_factory=dict)
    obstacles: dict[str, str] = field(default_factory=dict)  # what is in the place of a file, such as "a folder"
    first_seen: dict[str, datetime] = field(default_factory=dict)  # when a gap was first detected
    disagreements: list[Disagreement] = field(default_factory=list)
    loaded: set[str] | None = field(default_factory=set)  # the files of which the ledger was asked; None: all of them
    # A time before the lake was listed. What others have learnt later may be newer than the listing.
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    list_requests: int = 0  # LIST requests that it took to list the lake in S3
    inventory: InventoryUse | None = None  # where `objects` are from, if not from a listing
    last_file: int = 0  # the number of the last attempt that the ledger had before the lake was listed

    def as_of(self, key: str) -> datetime:
        """The time as of which it is known which object there is. What others have learnt later may be newer."""
        return (self.inventory and self.inventory.settled_at(key)) or self.begun

    def is_examined(self, cell: Cell) -> bool:
        """Whether the present version of a file has been read, by this check or by a former one."""
        have, known = self.objects.get(cell.key), self.examinations.get(cell.key)
        return bool(have and known and known.is_of(have))

    def is_as_read(self, key: str) -> bool:
        """Whether the lake has the version of a file that was last read or stored; or none, if there never was one."""
        have, known = self.objects.get(key), self.examinations.get(key)
        return known is None if have is None else known is not None and known.is_of(have)

    def not_as_read(self, keys: Collection[str]) -> set[str]:
        """Those of some files of which the lake has another version than the one that was last read or stored."""
        found = set()
        both = map(self.objects.get, keys), map(self.examinations.get, keys)
        for key, have, known in zip(keys, *both, strict=True):
            if have is None or known is None:
                if (have is None) != (known is None):
                    found.add(key)
            elif known.etag != have.etag or known.size != have.size:
                found.add(key)
        return found

    def has_asked(self, key: str) -> bool:
        """Was the lake asked for a file? If not, nothing follows from its absence."""
        return not isinstance(self.objects, Listing) or self.objects.knows(key)

    def verdicts(self, cells: Iterable[Cell]) -> dict[str, Verdict]:
        """The verdicts on the present versions of files, by key."""
        return {cell.key: self.examinations[cell.key].verdict for cell in cells if self.is_examined(cell)}

    def taken(self, cells: Iterable[Cell], now: datetime, horizon: datetime) -> dict[str, datetime]:
        """When the examined files were taken from their source, by key, as far as that is known."""
        times = {
            cell.key: taken_at(self.objects[cell.key], self.examinations[cell.key], now, horizon)
            for cell in cells
            if self.is_examined(cell)
        }
        return {key: at for key, at in times.items() if at is not None}

    def stored(self, key: str, have: LakeObject, examination: Examination) -> None:
        """Records that there is an object under the key now, and what was found in it."""
        self.objects[key], self.examinations[key] = have, examination

    def gone(self, key: str) -> None:
        """Records that there is no object under the key any more."""
        self.objects.pop(key, None)
