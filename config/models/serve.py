"""The service of status, health and metrics: where it listens, and who may ask it for what."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from config.models.base import Duration, Model, WholeNumber, matching
from config.models.sources import Rate

_LOCALHOST = "localhost"


def _check_address(text: str) -> str:
    """The text, if it is an IP address of this machine or of others."""
    if text != _LOCALHOST:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError("not an IP address; write it as 127.0.0.1, or 0.0.0.0 for all of this machine") from None
    return text


Address = Annotated[str, AfterValidator(_check_address)]
HostName = Annotated[
    str,
    matching(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]",
        "not a host's name; write it in small letters and without a port, as in adce.example.org",
    ),
]
Token = Annotated[
    str,
    matching(
        r"[A-Za-z0-9._~+/=-]{16,512}",
        "not a token; it has 16 to 512 letters, digits and ._~+/=- only, as `openssl rand -hex 32` prints one",
    ),
]
PublicPath = Literal[
    "/",
    "/coverage/*",
    "/files/*",
    "/health",
    "/status",
    "/tasks",
    "/rate-limits",
    "/incidents",
    "/coverage.json",
    "/metrics",
    "/openapi.json",
    "/badge/*",
]


class Serve(Model):
    """The service of status, health and metrics (`adce serve`)."""

    enabled: bool = Field(default=True, description="whether `adce up` runs it")
    host: Address = Field(
        default="127.0.0.1", description="address on which it listens; beyond loopback it needs a token"
    )
    port: WholeNumber = Field(default=8710, ge=1, le=65535)
    hosts: list[HostName] = Field(
        default=[], description="names in the Host header of requests that are answered, besides localhost and `host`"
    )
    token: Token | None = Field(default=None, description="what a request has to show; give it as ADCE_SERVE__TOKEN")
    public: list[PublicPath] = Field(default=[], description="paths that need no token, such as /badge/*")
    proxies: list[Address] = Field(
        default=[], description="addresses of proxies, whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    rate: Rate = Field(default=Rate(requests=100, seconds=1), description="requests of one address that are answered")
    refresh: Duration = Field(
        default=timedelta(seconds=5),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=10),
        description="time between two readings of the ledger",
    )

    @property
    def is_local(self) -> bool:
        """Can only this machine reach the service?"""
        return self.host == _LOCALHOST or ipaddress.ip_address(self.host).is_loopback
