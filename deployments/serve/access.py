"""Who may ask the service, and how often? Pure: the clock is an argument."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase
from functools import lru_cache

from config.models import Rate, Serve
from deployments.serve.paths import INDEX, LOGIN, METRICS, OF_ASSETS, OF_SECTIONS, PROBES

COOKIE = "adce"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_GUESSES = Rate(requests=10, seconds=60)
_MOST_ADDRESSES = 10_000  # whose requests are counted; beyond that, those that are not limited are forgotten
_PORT = re.compile(r":[0-9]+\Z")
_LONGEST_ADDRESS = 64  # characters
_SUBNET = 64  # bits of an IPv6 address that count as one address, since a host has all of the rest


@dataclass(frozen=True)
class Gate:
    """Which hosts may be named, and who may see what."""

    settings: Serve

    def is_named(self, host: str) -> bool:
        """Is this Host header one of this service's? Its port does not matter, because a proxy may have another."""
        name = _PORT.sub("", host.lower())
        own = self.settings.host
        return name in (*_LOCAL_NAMES, own, f"[{own}]", *self.settings.hosts)

    def is_open(self, path: str) -> bool:
        """Is no token needed for this path?"""
        asked = INDEX if path in OF_SECTIONS else path  # the page asks for its sections
        is_public = any(fnmatchcase(asked, public) for public in self.settings.public)
        is_always = path in PROBES or path == LOGIN or path in OF_ASSETS  # the form for the token has its style
        return self.settings.token is None or is_always or is_public

    def is_shown(self, authorization: str, cookies: str) -> bool:
        """Does a request show the token, in its header `Authorization` or by the cookie of the form?"""
        scheme, _, given = authorization.partition(" ")
        by_header = scheme.lower() == "bearer" and self.is_token(given.strip())
        return by_header or hmac.compare_digest(_cookie(cookies).encode(), self.cookie.encode())

    def guess_of(self, authorization: str, cookies: str) -> Kind | None:
        """As what does a request count that shows another token? None if it shows none."""
        return Kind.GUESS if authorization else Kind.COOKIE if _cookie(cookies) else None

    def is_token(self, given: str) -> bool:
        """Is it the token? The time that this takes does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode(), (self.settings.token or "").encode()) and bool(given)

    @property
    def cookie(self) -> str:
        """The value of the cookie, from which nobody can tell the token."""
        return hmac.digest((self.settings.token or "").encode(), b"cookie of adce serve", "sha256").hex()


def _cookie(header: str) -> str:
    """The value of our cookie. Others in the header may have any form."""
    parts = (part.strip() for part in header.split(";"))
    return next((part.removeprefix(f"{COOKIE}=") for part in parts if part.startswith(f"{COOKIE}=")), "")


class Kind(Enum):
    """What is limited apart from the rest."""

    PAGE = auto()
    PROBE = auto()
    METRICS = auto()
    GUESS = auto()  # a wrong token, by the form or in a header
    COOKIE = auto()  # a wrong cookie; an open page has one after the token was changed, and the form still answers


def kind_of(path: str) -> Kind:
    """Of which kind is a request at this path?"""
    return Kind.PROBE if path in PROBES else Kind.METRICS if path == METRICS else Kind.PAGE


@dataclass
class Limiter:
    """A rate limit for each address, and for each kind of request."""

    rate: Rate
    _taken: dict[tuple[str, Kind], float] = field(default_factory=dict)  # when the whole rate is free again

    def wait(self, address: str, kind: Kind, now: float) -> float:
        """The seconds that this address has to wait before a request is answered; 0 if it is answered now.

        `now` is in seconds of a clock that is never set.
        """
        rate = _GUESSES if kind in (Kind.GUESS, Kind.COOKIE) else self.rate
        of = (host_of(address[:_LONGEST_ADDRESS]), kind)
        free = max(self._taken.get(of, 0.0), now) + rate.seconds / rate.requests
        if free - now > rate.seconds:
            return free - now - rate.seconds
        if len(self._taken) >= _MOST_ADDRESSES and of not in self._taken:
            self._forget(now)
        self._taken[of] = free
        return 0.0

    def _forget(self, now: float) -> None:
        """Forgets whoever has its whole rate again; if nobody has, everybody."""
        self._taken = {of: free for of, free in self._taken.items() if free > now}
        if len(self._taken) >= _MOST_ADDRESSES:
            self._taken.clear()


@lru_cache(maxsize=4096)
def host_of(address: str) -> str:
    """What counts as one address. All texts that are none count as one, since a client may make up many."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, _SUBNET), strict=False))


_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


def target_of(path: str, host: str) -> tuple[str, str]:
    """The path and the host of a request. Its target may name both, and then the header Host does not count."""
    found = _ABSOLUTE.fullmatch(path)
    return (found[2] or "/", found[1]) if found else (path, host)


def headers_of(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers of a request by their names in small letters. Of several with one name, the last counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
