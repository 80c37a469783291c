"""Which incidents have faults opened, and are they closed again?"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.table import Table

from tasks.domain.access import Access
from tasks.domain.errors import LedgerError
from tasks.domain.incidents import Incident, Kind
from tasks.ledger import Ledger
from tests.up_process import UpProcess

Place = tuple[Kind, str]  # a kind, and a source or "" for everything
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Strike:
    """One time at which a fault was there: since when, and which incidents were to be opened."""

    fault: str
    began: datetime
    opens: Collection[Place]


@dataclass
class Strikes:
    """All faults that were there, and what followed from them in the ledger of the system."""

    system: UpProcess
    all: list[Strike] = field(default_factory=list)

    def begin(self, fault: str, opens: Collection[Place]) -> Strike:
        """Notes that a fault begins."""
        self.all.append(Strike(fault, datetime.now(UTC), opens))
        return self.all[-1]

    def opened(self, strike: Strike) -> list[Incident]:
        """The incidents that were opened after the begin of this fault, and before that of the next one."""
        later = [one.began for one in self.all if one.began > strike.began]
        ends = min(later, default=datetime.max.replace(tzinfo=UTC))
        return [one for one in self.incidents() if one.opened and strike.began <= one.opened < ends]

    def incidents(self) -> Sequence[Incident]:
        """The incidents that are open, and those that were closed. Raises LedgerError if the ledger cannot be read."""
        with closing(Ledger(f"sqlite:///{self.system.home / 'ledger.db'}", Access.LOOK)) as ledger:
            return [*ledger.incidents.open(), *ledger.incidents.closed_since(datetime.now(UTC) - _DAY)]

    def wait_for_opened(self, strike: Strike, within: float) -> None:
        """Waits until all incidents of a fault are open, or until some seconds are over."""
        _wait(lambda: set(strike.opens) <= set(map(_place, self.opened(strike))), within)

    def wait_for_closed(self, within: float) -> float | None:
        """Waits until no incident is open. Returns how many seconds that took; None if it took longer than `within`."""
        return _wait(lambda: not any(one.is_open for one in self.incidents()), within)

    def table(self) -> tuple[Table, bool]:
        """What each fault was to open, and what it has opened and not closed; and whether all is as expected."""
        table, is_expected = Table(title="Incidents of these faults"), True
        for name in ("fault", "to open", "opened", "not closed", "as expected"):
            table.add_column(name)
        for strike in self.all:
            opened = self.opened(strike)
            still = [one for one in opened if one.is_open]
            fits = set(map(_place, opened)) == set(strike.opens) and not still
            is_expected &= fits
            wanted, found = _words(strike.opens), _words(map(_place, opened))
            open_ = ", ".join(f"{one.kind} {one.scope} {one.reason}" for one in still)
            table.add_row(strike.fault, wanted, found, open_ or "none", "yes" if fits else "NO")
        return table, is_expected


def _place(incident: Incident) -> Place:
    return incident.kind, incident.scope.partition("/")[0]


def _words(places: Collection[Place] | map[Place]) -> str:
    counts: Mapping[str, None] = dict.fromkeys(f"{kind} {source}".rstrip() for kind, source in sorted(set(places)))
    return ", ".join(counts) or "none"


def _wait(is_so: Callable[[], bool], within: float) -> float | None:
    begun = time.monotonic()
    while True:
        try:
            if is_so():
                return time.monotonic() - begun
        except LedgerError:  # it is locked
            pass
        if time.monotonic() - begun > within:
            return None
        time.sleep(1)
