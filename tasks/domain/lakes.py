"""Do this lake, this ledger and this command belong together? Pure: no clock, no network."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from config.models import OWN_FOLDER
from config.secrets import MASK
from tasks.domain.errors import MismatchError

MARK_KEY = f"{OWN_FOLDER}/lake.json"
FORGOTTEN = ""


class LakeKind(StrEnum):
    REAL = "lake"
    SANDBOX = "sandbox"  # its games are invented


@dataclass(frozen=True, slots=True)
class LakeMark:
    """What a lake says of itself, in an object of its own."""

    id: str
    kind: LakeKind
    made: datetime

    def body(self) -> bytes:
        return json.dumps({"id": self.id, "kind": self.kind.value, "made": self.made.isoformat()}).encode()


def mark_from(body: bytes) -> LakeMark | None:
    """The mark that a body is, or None."""
    try:
        told = json.loads(body)
        return LakeMark(str(told["id"]), LakeKind(told["kind"]), datetime.fromisoformat(told["made"]))
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class KnownLake:
    """The lake that a ledger is of."""

    id: str
    kind: LakeKind
    url: str  # its address; FORGOTTEN where the next lake of that kind is to be it, and be filled anew

    @property
    def place(self) -> str | None:
        """Its address, if that is known: former versions have written some down with *** in it."""
        return None if self.url == FORGOTTEN or MASK in self.url else self.url

    def is_at(self, address: str) -> bool:
        """Is it the lake there, as far as the address alone tells?"""
        return self.url in (address, FORGOTTEN)


@dataclass(frozen=True, slots=True)
class Facts:
    """A lake and a ledger that are to be used together."""

    lake: str  # its address
    ledger: str  # its address, without a password
    mark: LakeMark | None  # None: the lake has none
    known: KnownLake | None  # None: the ledger has not been used with a lake so far
    lake_is_empty: bool = False  # asked of one that a sandbox is to write to
    ledger_is_new: bool = True  # nothing was ever fetched with it
    files_gone: int = 0  # files that the ledger knows, if the lake has lost its mark and all of its files


@dataclass(frozen=True, slots=True)
class Pairing:
    """A lake and a ledger that belong together: the mark that the lake has or is to get, and what is new, for a log."""

    mark: LakeMark
    is_marked: bool
    news: str | None = None


def pair(facts: Facts, wanted: LakeKind | None, new: LakeMark) -> Pairing:
    """Pairs a lake with a ledger; `wanted` is the kind of lake to be written to (None: it is only looked at).

    `new` is the mark of a lake that has none and that the ledger does not know. Raises MismatchError.
    """
    mark, known = facts.mark, facts.known
    if mark is None and known is not None and known.is_at(facts.lake):
        _check_kind(facts, known.kind, wanted)
        if facts.files_gone and wanted is not None:
            raise MismatchError(_all_gone(facts))
        again = replace(new, id=known.id, kind=known.kind)
        lost = f"lake {facts.lake} has no mark ({MARK_KEY}) any more" if known.place else None
        return Pairing(again, is_marked=False, news=_all_gone(facts) if facts.files_gone else lost)
    if known is not None and (mark is None or mark.id != known.id):
        moved = f"; if it is that one, moved, take its {MARK_KEY} along" if mark is None else ""
        raise MismatchError(
            f"ledger {facts.ledger} is of lake {known.url}, and this is {facts.lake}{moved}; "
            "else use another ledger: ADCE_LEDGER=sqlite:///another.db"
        )
    if mark is None:
        if wanted is LakeKind.SANDBOX and not facts.lake_is_empty:
            _check_kind(facts, LakeKind.REAL, wanted)
        if wanted is LakeKind.SANDBOX:
            _check_history(facts)
        return Pairing(replace(new, kind=wanted or LakeKind.REAL), is_marked=False)
    _check_kind(facts, mark.kind, wanted)
    if known is None:
        if mark.kind is LakeKind.SANDBOX:
            _check_history(facts)
        made = f"lake {facts.lake} was begun on {mark.made:%Y-%m-%d}"
        return Pairing(mark, True, f"{made}; what happened to it before is not in ledger {facts.ledger}")
    news = f"lake {known.place} is at {facts.lake} now" if known.place not in (None, facts.lake) else None
    return Pairing(mark, is_marked=True, news=news)


def _all_gone(facts: Facts) -> str:
    files = f"{facts.files_gone:,} files" if facts.files_gone > 1 else "a file"
    return (
        f"lake {facts.lake} is empty, and ledger {facts.ledger} knows {files} of it: is its disk mounted, and is it "
        f"where it was? If it is to be filled anew: ADCE_LEDGER={facts.ledger} adce ledger forget-lake"
    )


def _check_kind(facts: Facts, kind: LakeKind, wanted: LakeKind | None) -> None:
    if wanted in (None, kind):
        return
    if wanted is LakeKind.SANDBOX:
        raise MismatchError(
            f"lake {facts.lake} is neither empty nor a sandbox's, and a sandbox's games are invented; "
            "leave out --lake and ADCE_LAKE, or name an empty one"
        )
    raise MismatchError(
        f"lake {facts.lake} is a sandbox's, and its games are invented; name another one with --lake or ADCE_LAKE"
    )


def _check_history(facts: Facts) -> None:
    """A ledger that has been used without a mark is that of a real lake."""
    if not facts.ledger_is_new:
        raise MismatchError(
            f"ledger {facts.ledger} is of another lake, and {facts.lake} is a sandbox's; "
            "leave out ADCE_LEDGER, or name a new one"
        )


def check_part(planned: tuple[str | None, str | None], here: tuple[str, str], facts: Facts) -> None:
    """Are lake and ledger, by their ids, those of the run that has planned this? Raises MismatchError."""
    for what, address, want, have in zip(("lake", "ledger"), (facts.lake, facts.ledger), planned, here, strict=True):
        if want is not None and want != have:
            raise MismatchError(
                f"the {what} here is {address}, which is not that of the run that has planned this; "
                f"set ADCE_{what.upper()} for this worker as it is there"
            )
