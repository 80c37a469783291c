"""What do `adce config diff` and `adce config show` print as JSON?"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import by_season
from tasks.show.documents.coverage import UnknownSeason
from tasks.show.documents.document import Document

if TYPE_CHECKING:
    from tasks.answers.difference import Difference

T = TypeVar("T")


class Both(Document, Generic[T]):
    """A value for the old configuration and for the new one."""

    old: T
    new: T


class Setting(Document):
    """A setting that differs."""

    name: str
    old: Any
    new: Any


class StateAndReason(Document):
    """The state of a file, and its reason."""

    state: State
    reason: str


class StateChange(Document):
    """A file whose state changes."""

    key: str
    old: StateAndReason
    new: StateAndReason


class Move(Document):
    """A file whose fill has a different place in the new plan."""

    key: str
    old: int
    new: int


class SourceChange(Document):
    """The requests that each plan sends to a source, and when each plan would be done."""

    name: str
    requests: Both[int]
    eta: Both[datetime | None]


class ConfigDifference(Document):
    """The output of `adce config diff`."""

    as_of: datetime
    settings: list[Setting]
    switches: Both[list[str]]
    cells: Both[dict[str, int]]
    unknown: Both[list[UnknownSeason]]
    added: list[str]
    dropped: list[str]
    orphaned: list[str]
    states: list[StateChange]
    moved: list[Move]
    sources: list[SourceChange]

    @classmethod
    def of(cls, difference: Difference) -> ConfigDifference:
        """The document for a difference."""
        old, new = difference.old, difference.new
        return cls.model_validate(
            {
                "switches": {"old": old.switches, "new": new.switches},
                "cells": {"old": old.counts, "new": new.counts},
                "unknown": {"old": by_season(old.unknown), "new": by_season(new.unknown)},
                "as_of": new.looked_at.taken_at,
                "settings": [{"name": name, "old": was, "new": now} for name, was, now in difference.settings],
                "added": difference.added,
                "dropped": difference.dropped,
                "orphaned": difference.orphaned,
                "states": [{"key": key, "old": was, "new": now} for key, was, now in difference.states],
                "moved": [{"key": key, "old": was, "new": now} for key, was, now in difference.moved],
                "sources": difference.sources(),
            }
        )


class EffectiveSetting(Document):
    """A setting with its value, without secrets, and where the value comes from."""

    name: str
    value: Any
    origin: str  # a file, an option, an environment variable, or "default"


class EffectiveSettings(Document):
    """The output of `adce config show`."""

    file: str | None
    settings: list[EffectiveSetting]
