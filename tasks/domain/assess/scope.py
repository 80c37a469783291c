"""Does a look list the whole lake, or only the ranges of keys in which something can have changed?"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from tasks.domain.event_path import EventPath, PathState
from tasks.domain.wording import duration


class Everything(StrEnum):
    """Why a look lists everything that is selected."""

    NOT_SET = "not_set"  # reconcile.verify_every
    ASKED = "asked"
    SELECTION = "selection"
    FOLDER = "folder"
    NOT_WATCHED = "not_watched"
    PATH = "path"
    NOTHING_HELD = "nothing_held"


class Scope(NamedTuple):
    """What a look lists, in words, and why that is everything, if it is."""

    everything: Everything | None  # None: only some ranges
    text: str

    @property
    def is_worth_telling(self) -> bool:
        """Is it worth a line in the log? Not where every look lists everything."""
        return self.everything is not Everything.NOT_SET


def scope_of(
    verify_every: timedelta | None,
    *,
    is_scheduled: bool,
    is_everything: bool,
    is_folder: bool,
    path: EventPath | None,
    is_held: bool,
) -> Scope:
    """What a look lists.

    A look `is_scheduled` if nobody has started it and its clock is not set. If events are not watched, there is no
    `path`. It `is_held` if there is a judgement of everything by the present settings and code.
    """
    if verify_every is None:
        return Scope(Everything.NOT_SET, "the whole lake: reconcile.verify_every is not set")
    if not is_scheduled:
        return Scope(Everything.ASKED, "all that is selected, since no schedule has started this run")
    if not is_everything:
        return Scope(Everything.SELECTION, "all that is selected, which is a part of the lake")
    if is_folder:
        return Scope(Everything.FOLDER, "the whole lake: no events tell of changes in a folder")
    if path is None:
        return Scope(Everything.NOT_WATCHED, "the whole lake: its events are not watched")
    if path.state is not PathState.PROVED:
        return Scope(Everything.PATH, f"the whole lake: the event path is {path.state}: {path.reason}")
    if not is_held:
        text = "the whole lake: the ledger has no digests of all of it by the present settings and code"
        return Scope(Everything.NOTHING_HELD, text)
    return Scope(None, f"where something can have changed, and all else within {duration(verify_every)}")
