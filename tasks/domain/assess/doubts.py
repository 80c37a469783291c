"""Which states may not rest on an S3 Inventory, and with which requests is the truth found?

An inventory is a rolling snapshot: objects that were stored, replaced or deleted in its last days may be missing from
it, or may be there in a former version. What it shows is a hint, and so is what it does not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.domain.assess.states import Examination, LakeObject, Status, is_due
from tasks.domain.expected.cells import Cell
from tasks.domain.wording import plural, utc

_RECENT = timedelta(days=2)  # an inventory may lack the changes of so long before it
_HEADS_A_PAGE = 12  # S3 charges as much for a page of a listing as for so many HEAD requests


class Doubt(StrEnum):
    """Why the state of a file may not rest on an inventory, so that the lake is asked."""

    LACKING = "lacking"  # the inventory does not have the file, which is due
    RECENT = "recent"  # the file was stored or expected in the last days before the inventory
    CONTRADICTED = "contradicted"  # the ledger knows another version, or has learnt of the file since
    FAULTY = "faulty"  # by the inventory, something is wrong with the file


_WHY = {
    Doubt.LACKING: "not in it",
    Doubt.RECENT: "stored or due in the days before it",
    Doubt.CONTRADICTED: "known otherwise",
    Doubt.FAULTY: "bad or stale in it",
}


@dataclass(frozen=True)
class FromInventory:
    """What a look, or the first look of a run, has from an inventory, and for how much it has asked the lake itself."""

    as_of: datetime  # when the inventory was begun: nothing counts as looked at later
    looked_up: int  # files
    listed: int  # folders
    doubts: Mapping[Doubt, int] = field(default_factory=dict)  # how many files the lake was asked for, by why it was
    # How many files to fetch were found when the run listed the lake at its end; None if it has not done so.
    found_later: int | None = None

    def __str__(self) -> str:
        why = ", ".join(f"{count:,} {_WHY[doubt]}" for doubt, count in sorted(self.doubts.items()))
        asked = f"{plural(self.looked_up, 'file')} looked up and {plural(self.listed, 'folder')} listed now"
        asked += f" ({why})" if why else ""
        if self.found_later is None:
            return (
                f"By the S3 Inventory of {utc(self.as_of)}, with {asked}. The first run lists the lake at its end, "
                "which shows what was deleted since"
            )
        found = f"{plural(self.found_later, 'more file')} for the next run" if self.found_later else "nothing more"
        return (
            f"The run began from the S3 Inventory of {utc(self.as_of)}, with {asked}. "
            f"At its end the lake was listed, which showed {found} to fetch"
        )


def complete_until(as_of: datetime) -> datetime:
    """The time up to which the inventory that was begun at `as_of` has all changes. It may lack any later one."""
    return as_of - _RECENT


def doubt_of(
    cell: Cell,
    have: LakeObject | None,
    seen: Examination | None,
    status: Status | None,
    learnt_since: bool,
    as_of: datetime,
    now: datetime,
) -> Doubt | None:
    """Why the state of a file at `now` may not rest on the inventory of `as_of`; None if it may.

    `have` is the object that the inventory shows, and `status` what follows from it, if the file has been judged.
    `seen` is the last version that was read, and `learnt_since` says that the ledger has learnt of the file since the
    time from which the inventory may lack changes.
    """
    if learnt_since:
        return Doubt.CONTRADICTED
    if have is None:
        return Doubt.LACKING if is_due(cell, now) else None
    if seen is not None and not seen.is_of(have):
        return Doubt.CONTRADICTED
    if have.modified > complete_until(as_of) or complete_until(as_of) < cell.due_at <= now:
        return Doubt.RECENT
    return Doubt.FAULTY if status is not None and status.kind is not None else None


@dataclass(frozen=True)
class Settlement:
    """The requests that find the truth about some files: a HEAD for each key, and listings of whole folders."""

    keys: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.folders)


def settlement(doubtful: Iterable[str], expected: Iterable[str], count_within: Callable[[str], int]) -> Settlement:
    """The cheapest requests that find the truth about the `doubtful` keys.

    How many pages a listing of a folder has follows from the `expected` keys in it, and from how many files the
    inventory has there by `count_within`.
    """
    by_folder: dict[str, list[str]] = {}
    for key in doubtful:
        by_folder.setdefault(folder_of(key), []).append(key)
    if not by_folder:
        return Settlement()
    costs = _summed({folder: len(keys) for folder, keys in by_folder.items()})
    sizes = _summed(Counter(map(folder_of, expected)))
    listed: set[str] = set()
    for folder in sorted(costs, key=lambda one: one.count("/"), reverse=True):  # the deepest first
        if not folder or costs[folder] <= _HEADS_A_PAGE:
            continue
        whole = _HEADS_A_PAGE * (1 + max(sizes[folder], count_within(folder)) // 1000)
        if (saved := costs[folder] - whole) > 0:
            listed.add(folder)
            for one in (folder, *above(folder)):
                costs[one] -= saved
    outer = {folder for folder in listed if listed.isdisjoint(above(folder))}
    rest = (f for f in by_folder if f not in outer and outer.isdisjoint(above(f)))
    return Settlement(tuple(sorted(key for folder in rest for key in by_folder[folder])), tuple(sorted(outer)))


def _summed(counts: Mapping[str, int]) -> Counter[str]:
    """The counts of folders, each with those of the folders below it."""
    summed: Counter[str] = Counter()
    for folder, count in counts.items():
        for one in (folder, *above(folder)):
            summed[one] += count
    return summed


def above(folder: str) -> Iterator[str]:
    """The folders that contain a folder or a file, the innermost first."""
    while folder := folder_of(folder):
        yield folder


def folder_of(key: str) -> str:
    """The folder of a file, or the one that contains a folder; empty if that is the lake itself."""
    return key.rpartition("/")[0]
