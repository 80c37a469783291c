"""Which JSON do `adce sources`, `pause`, `resume` and `runs` print? As in `documents`, the names must not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.domain.reasons import Limit
from tasks.show.documents import Document

if TYPE_CHECKING:
    from tasks.answers.holds import Hold


class HeldUp(Document):
    """Something for which a source, or a dataset, is not asked for now."""

    name: str
    limit: Limit
    reason: str
    since: datetime | None
    until: datetime | None
    by: str | None
    waiting: Mapping[str, int]

    @classmethod
    def of(cls, hold: Hold) -> HeldUp:
        """The document for a hold."""
        return cls(
            name=hold.name,
            limit=hold.reason.limit,
            reason=hold.reason.text,
            since=hold.since,
            until=hold.reason.until,
            by=hold.by,
            waiting=hold.waiting,
        )


class Paused(Document):
    """The pause that an operator has begun, and the one of which it takes the place."""

    pause: HeldUp
    replaces: HeldUp | None

    @classmethod
    def of(cls, begun: Hold, former: Hold | None) -> Paused:
        """The document for a pause that has begun."""
        return cls(pause=HeldUp.of(begun), replaces=HeldUp.of(former) if former else None)


class Resumed(Document):
    """What held up a source or a dataset and is ended, and what still holds it up."""

    name: str
    ended: list[HeldUp]
    holds: list[HeldUp]
    free: Mapping[str, int]  # the files that nothing holds up any more, by dataset

    @classmethod
    def of(cls, name: str, ended: Iterable[Hold], stays: Iterable[Hold], free: Mapping[str, int]) -> Resumed:
        """The document for what is resumed."""
        return cls(name=name, ended=list(map(HeldUp.of, ended)), holds=list(map(HeldUp.of, stays)), free=free)
