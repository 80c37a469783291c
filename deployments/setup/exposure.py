"""Who can read and change the data of the Prefect server? Prefect 2.20 itself has no authentication."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import httpx

_SECONDS = 5.0
_NOWHERE = ("192.0.2.1", 9)  # an address reserved for documentation (RFC 5737); nothing is sent to it


def is_loopback(host: str) -> bool:
    """Whether a host's name or address leads to this machine itself, so that no other machine can use it."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    if f".{host}".rstrip(".").lower().endswith(".localhost"):
        return True
    with suppress(OSError):
        return all(ipaddress.ip_address(address).is_loopback for address in _addresses(host))
    return False


def own_addresses() -> list[str]:
    """The addresses by which other machines may reach this one, as far as it knows them."""
    found = set()
    with suppress(OSError):
        found |= _addresses(socket.gethostname())
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out:
        way_out.connect(_NOWHERE)  # for a datagram socket this only chooses the interface
        found.add(way_out.getsockname()[0])
    return sorted(address for address in found if not is_loopback(address))


async def warnings(api: str | None, own: Iterable[str] | None = None) -> list[str]:
    """A warning for each way in which others can use the Prefect API at the address `api`, or read its password.

    If that address is on loopback, the addresses of this machine (`own`; by default `own_addresses()`) are tried, since
    the server may listen on these too. Without an address there is no warning.
    """
    if api is None:
        return []
    found = []
    parts = urlsplit(api)
    if "@" in parts.netloc:
        found.append(
            "PREFECT_API_URL has a password in it, which Prefect prints with links to its UI and passes to tasks on "
            "ECS in plain text; use a proxy that accepts PREFECT_API_KEY: see Security in the runbook"
        )
    if address := await _open_one(_places(api, own)):
        found.append(
            f"the Prefect API answers without credentials at {address}: whoever reaches that address can start runs, "
            "change deployments and read logs; put a proxy or a private subnet before it: see Security in the runbook"
        )
    return found


def _places(api: str, own: Iterable[str] | None) -> Iterator[str]:
    """The URLs, without userinfo, at which other machines may reach the API."""
    parts = urlsplit(api)
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    hosts = (own_addresses() if own is None else own) if is_loopback(host) else [host]
    for one in hosts:
        yield urlunsplit(parts._replace(netloc=(f"[{one}]" if ":" in one else one) + port))


async def _open_one(places: Iterable[str]) -> str | None:
    """The first URL at which the API answers a request without credentials, or None."""
    async with httpx.AsyncClient(timeout=_SECONDS, verify=False) as stranger:  # the request contains nothing secret
        for address in places:
            with suppress(httpx.HTTPError, httpx.InvalidURL):
                answer = await stranger.post(f"{address.rstrip('/')}/flow_runs/count", json={})
                if answer.status_code == httpx.codes.OK and answer.text.strip().isdigit():
                    return address
    return None


def _addresses(host: str) -> set[str]:
    return {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)}
