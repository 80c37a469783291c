"""Do runs of two Prefect servers use the same ledger? Pure: the runs are arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    """A run of a server, from its beginning to its end; None while it is at work."""

    server: Server
    began: datetime
    ended: datetime | None


def two_servers(uses: Sequence[Use]) -> tuple[Server, Server] | None:
    """Two servers whose runs were at work at the same time or in turn, although both have a bucket for one rate.

    If somebody has moved from one server to another, all runs of the one come before those of the other, and that is
    fine.
    """
    by_server: dict[frozenset[tuple[str, str]], list[Use]] = {}
    for use in uses:
        by_server.setdefault(frozenset(use.server.buckets.items()), []).append(use)
    for some, others in permutations(by_server.values(), 2):
        if some[0].server.doubles_rates_with(others[0].server):
            ended = [use.ended for use in some]
            last = None if None in ended else max(filter(None, ended))
            first = min(use.began for use in others)
            began_before = min(use.began for use in some) <= first
            if began_before and (last is None or first < last):
                return some[0].server, others[0].server
    return None
