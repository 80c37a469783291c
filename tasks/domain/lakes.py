"""Do this lake, this ledger and this command belong together?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from config.models import OWN_FOLDER, Config
from config.secrets import MASK
from tasks.domain.errors import MismatchError

MARK_KEY = f"{OWN_FOLDER}/lake.json"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")  # the hosts of a stand-in for the sites
FORGOTTEN = ""  # an address in the ledger; see KnownLake.url


class LakeKind(StrEnum):
    """What a lake is for."""

    REAL = "lake"
    SANDBOX = "sandbox"  # holds invented games


@dataclass(frozen=True, slots=True)
class LakeMark:
    """The mark of a lake: the object under MARK_KEY that identifies it."""

    id: str
    kind: LakeKind
    made: datetime

    def body(self) -> bytes:
        """The content of the object under MARK_KEY."""
        return json.dumps({"id": self.id, "kind": self.kind.value, "made": self.made.isoformat()}).encode()


def mark_from(body: bytes) -> LakeMark | None:
    """The mark in a body; None if the body is not one."""
    try:
        fields = json.loads(body)
        return LakeMark(str(fields["id"]), LakeKind(fields["kind"]), datetime.fromisoformat(fields["made"]))
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class KnownLake:
    """The lake that a ledger belongs to."""

    id: str
    kind: LakeKind
    url: str  # its address; FORGOTTEN if the ledger accepts any new lake of that kind

    @property
    def place(self) -> str | None:
        """The address; None if it is not known exactly, because former versions stored it with its password masked."""
        return None if self.url == FORGOTTEN or MASK in self.url else self.url

    def is_at(self, address: str) -> bool:
        """Can this be the lake at that address, judging by the address alone?"""
        return self.url in (address, FORGOTTEN)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a lake and a ledger that a command wants to use together."""

    lake: str  # address of the lake
    ledger: str  # address of the ledger, without a password
    mark: LakeMark | None  # None: the lake has no mark
    known: KnownLake | None  # None: the ledger has not been used with a lake so far
    lake_is_empty: bool = False  # only looked up if a sandbox is to write to the lake
    ledger_is_new: bool = True  # no file was ever fetched with the ledger
    files_gone: int = 0  # number of files that the ledger knows, if the lake has lost its mark and all its files


@dataclass(frozen=True, slots=True)
class Pairing:
    """A lake and a ledger that belong together."""

    mark: LakeMark  # the mark of the lake, or the one to write if `is_marked` is false
    is_marked: bool
    news: str | None = None  # what has changed since the last time, as a line for the log


def pair(facts: Facts, wanted: LakeKind | None, new: LakeMark) -> Pairing:
    """Decides whether a lake and a ledger belong together. Raises MismatchError if not.

    `wanted` is the kind of lake that the command writes to; None if it only reads. `new` is the mark for a lake that
    has none and that the ledger does not know.
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
        if mark is not None and known.url == facts.lake:
            raise MismatchError(
                f"the lake at {facts.lake} is not the one of ledger {facts.ledger}, though its address is the same: "
                f"its mark {MARK_KEY} says lake {mark.id}, and the ledger knows lake {known.id}; "
                "if folders were swapped, put the right one back; "
                "otherwise use another ledger: ADCE_LEDGER=sqlite:///another.db, or the option --ledger another.db"
            )
        moved = f"; if this is the same lake after a move, copy its {MARK_KEY} as well" if mark is None else ""
        raise MismatchError(
            f"ledger {facts.ledger} belongs to lake {known.url}, not to {facts.lake}{moved}; "
            "otherwise use another ledger: ADCE_LEDGER=sqlite:///another.db, or the option --ledger another.db"
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
            return Pairing(mark, is_marked=True)
        made = f"lake {facts.lake} was begun on {mark.made:%Y-%m-%d}"
        return Pairing(mark, True, f"{made}; its history until now is not in ledger {facts.ledger}")
    news = f"lake {known.place} is at {facts.lake} now" if known.place not in (None, facts.lake) else None
    return Pairing(mark, is_marked=True, news=news)


def no_ledger(ledger: str, lake: str = "", mark: LakeMark | None = None) -> str:
    """What is said beside an answer for which there is no ledger: a new lake has none yet, and one can be lost.

    `mark` is that of the lake, if the lake was looked at and has one.
    """
    lost = f"lake {lake} was begun on {mark.made:%Y-%m-%d}, so the ledger is lost, or elsewhere" if mark else ""
    return (
        f"there is no ledger at {ledger}: {lost or 'no run has used it so far, or it is lost'}; the next run makes one"
    )


def _all_gone(facts: Facts) -> str:
    files = f"{facts.files_gone:,} files" if facts.files_gone > 1 else "a file"
    return (
        f"lake {facts.lake} is empty, but ledger {facts.ledger} knows {files} of it: is the disk mounted, and is the "
        f"address right? To fill the lake again from nothing: ADCE_LEDGER={facts.ledger} adce ledger forget-lake"
    )


def _check_kind(facts: Facts, kind: LakeKind, wanted: LakeKind | None) -> None:
    if wanted in (None, kind):
        return
    if wanted is LakeKind.SANDBOX:
        raise MismatchError(
            f"lake {facts.lake} is neither empty nor a sandbox's, and a sandbox's games are invented; "
            "leave out --lake and ADCE_LAKE, or name an empty lake"
        )
    raise MismatchError(
        f"lake {facts.lake} is a sandbox's, and its games are invented; name another lake with --lake or ADCE_LAKE"
    )


def check_sites(config: Config) -> None:
    """Raises MismatchError if the lake of a sandbox would be filled from a real site."""
    for name, source in config.sources.items():
        host = urlsplit(source.base_url).hostname or ""
        if config.sandbox and host not in _LOOPBACK:
            raise MismatchError(
                f"the settings are a sandbox's (sandbox: true), but {name} is asked at {host}; add --sandbox to "
                "`adce reconcile` or `adce up`, which starts a stand-in for the sites"
            )


def _check_history(facts: Facts) -> None:
    """Raises MismatchError if a sandbox would use a ledger that has fetched files already, for another lake."""
    if not facts.ledger_is_new:
        raise MismatchError(
            f"ledger {facts.ledger} belongs to another lake, and {facts.lake} is a sandbox's; "
            "leave out ADCE_LEDGER, or name a new ledger"
        )


def check_part(planned: tuple[str | None, str | None], here: tuple[str, str], facts: Facts) -> None:
    """Raises MismatchError unless this process uses the lake and the ledger of the run that made the plan.

    `planned` and `here` are the ids of a lake and a ledger; an id of None in `planned` is not compared.
    """
    for what, address, want, have in zip(("lake", "ledger"), (facts.lake, facts.ledger), planned, here, strict=True):
        if want is not None and want != have:
            raise MismatchError(
                f"the {what} here, {address}, is not that of the run that made the plan; "
                f"set ADCE_{what.upper()} for this worker to the same value as there"
            )
