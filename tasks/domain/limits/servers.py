"""Do runs of two Prefect servers use the same ledger? Pure: the runs are arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import permutations


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server: its address, for people, and the ids of its rate buckets by name.

    The ids tell servers apart: one server can have several addresses, but every server's database has its own buckets.
    """

    address: str
    buckets: Mapping[str, str]

    def doubles_rates_with(self, other: Server) -> bool:
        """Do both servers have a bucket of their own for the same rate, so that the rate would be spent twice?"""
        return any(other.buckets.get(name, id) != id for name, id in self.buckets.items())


@dataclass(frozen=True, slots=True)
class Use:
    """A run of a server, from its beginning to its end; None while it is at work. The ledger may have refused it."""

    server: Server
    began: datetime
    ended: datetime | None
    is_refused: bool = False


def two_servers(uses: Sequence[Use], interval: timedelta) -> tuple[Server, Server] | None:
    """Two servers whose runs were at work at the same time or in turn, although both have a bucket for one rate.

    If somebody has moved from one server to another, all runs of the one come before those of the other, and that is
    fine. So is a run that was refused, which has sent nothing, unless a schedule, one run each interval, begins more.
    """
    by_server: dict[frozenset[tuple[str, str]], list[Use]] = {}
    for use in uses:
        by_server.setdefault(frozenset(use.server.buckets.items()), []).append(use)
    by_server = {name: counted for name, found in by_server.items() if (counted := _counted(found, interval))}
    for some, others in permutations(by_server.values(), 2):
        if some[0].server.doubles_rates_with(others[0].server):
            ended = [use.ended for use in some]
            last = None if None in ended else max(filter(None, ended))
            first = min(use.began for use in others)
            began_before = min(use.began for use in some) <= first
            if began_before and (last is None or first < last):
                return some[0].server, others[0].server
    return None


def _counted(uses: Sequence[Use], interval: timedelta) -> list[Use]:
    """The runs of a server, without those that were refused, if all at about one time, as when people begin them."""
    refused = [use.began for use in uses if use.is_refused]
    is_scheduled = bool(refused) and max(refused) - min(refused) >= interval / 2
    return [use for use in uses if is_scheduled or not use.is_refused]
