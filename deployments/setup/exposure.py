"""Who can read and change what is on the Prefect server? Prefect 2.20 asks nobody who they are."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import httpx

_SECONDS = 5.0
_NOWHERE = ("192.0.2.1", 9)  # an address that nobody has (RFC 5737); nothing is sent there


def is_loopback(host: str) -> bool:
    """Is it this machine alone that reaches the host by this name or address?"""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    if f".{host}".rstrip(".").lower().endswith(".localhost"):
        return True
    with suppress(OSError):
        return all(ipaddress.ip_address(address).is_loopback for address in _addresses(host))
    return False


def own_addresses() -> list[str]:
    """The addresses of this machine that others may reach it by, as far as it knows them."""
    found = set()
    with suppress(OSError):
        found |= _addresses(socket.gethostname())
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out:
        way_out.connect(_NOWHERE)  # which only chooses the interface
        found.add(way_out.getsockname()[0])
    return sorted(address for address in found if not is_loopback(address))


async def warnings(api: str | None, own: Iterable[str] | None = None) -> list[str]:
    """A line for each way in which others can use the Prefect API at this address, or read its password.

    `own` are the addresses of this machine, for an API on loopback: the server may listen on the others too.
    """
    if api is None:
        return []
    said = []
    parts = urlsplit(api)
    if "@" in parts.netloc:
        said.append(
            "PREFECT_API_URL has a password in it, which Prefect prints with links to its UI and hands over to tasks "
            "on ECS in plain text; have a proxy take PREFECT_API_KEY: see Security in the runbook"
        )
    async for address in _answering(_places(api, own)):
        said.append(
            f"the Prefect API answers without credentials at {address}: whoever reaches that address can start runs, "
            "change deployments and read logs; put a proxy or a private subnet before it: see Security in the runbook"
        )
        break
    return said


def _places(api: str, own: Iterable[str] | None) -> Iterator[str]:
    """Where the API may answer to others: at its address, or at those of this machine; without any userinfo."""
    parts = urlsplit(api)
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    hosts = (own_addresses() if own is None else own) if is_loopback(host) else [host]
    for one in hosts:
        yield urlunsplit(parts._replace(netloc=(f"[{one}]" if ":" in one else one) + port))


async def _answering(places: Iterable[str]) -> AsyncIterator[str]:
    """Those of the addresses at which the API does something for a stranger."""
    async with httpx.AsyncClient(timeout=_SECONDS, verify=False) as stranger:  # nothing is told
        for address in places:
            with suppress(httpx.HTTPError, httpx.InvalidURL):
                answer = await stranger.post(f"{address.rstrip('/')}/flow_runs/count", json={})
                if answer.status_code == httpx.codes.OK and answer.text.strip().isdigit():
                    yield address


def _addresses(host: str) -> set[str]:
    return {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)}
