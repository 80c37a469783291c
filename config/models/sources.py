"""Sources: the sites' addresses, their rate limits, and the settings of their requests."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from config.models.base import Duration, Model, Number, SeasonType, WholeNumber, check_expression, matching, plain_path


class Rate(Model):
    """Rate limit: at most `requests` requests in any window of `seconds` seconds."""

    requests: WholeNumber = Field(ge=1, le=1000)
    seconds: Number = Field(gt=0, le=86400)

    @model_validator(mode="after")
    def _no_flood(self) -> Rate:
        if self.requests > 1000 * self.seconds:
            raise ValueError("a rate is at most 1000 requests a second")
        return self


class Timeouts(Model):
    """Time limits of a request, in seconds: to connect, between two pieces of the body, and for the whole file."""

    connect: Number = Field(default=10, gt=0, le=120)
    read: Number = Field(default=30, gt=0, le=300)
    total: Number = Field(default=90, gt=0, le=900)


class Retries(Model):
    """Retries of a request: `attempts` counts the first one too, and the wait doubles from `first_wait`."""

    attempts: WholeNumber = Field(default=4, ge=1, le=10)
    first_wait: Duration = timedelta(seconds=1)
    longest_wait: Duration = timedelta(seconds=60)


class Backoff(Model):
    """Length of the pause after a source refuses a request. It doubles with each incident, up to `longest`."""

    first: Duration = Field(default=timedelta(seconds=5), description="after a 429, a 503 or a hang")
    shut_out: Duration = Field(default=timedelta(minutes=15), description="after a 403 or a block page")
    longest: Duration = timedelta(hours=6)
    quiet: Duration = Field(
        default=timedelta(minutes=10),
        description="time without an incident, counted from an answer, after which the doubling begins anew",
    )
    jitter: Number = Field(default=0.1, ge=0, le=1, description="largest random extension, as a share of the pause")
    ramp: Duration = Field(
        default=timedelta(seconds=30), description="time from the first answer after a pause to the full rate"
    )


def _suggested_site(text: str) -> str | None:
    return f"https://{path.lstrip('/')}" if (path := plain_path(text)) and "." in path and " " not in path else None


class Source(Model):
    """A site: its address, its rate limits, and the settings of its requests."""

    enabled: bool = True
    base_url: Annotated[
        str,
        matching(
            r"https?://[^\s/]+(/\S*)?",
            "not the address of a site; write it as https://host or https://host/path",
            _suggested_site,
        ),
    ]
    site: Annotated[str, matching(r"([a-z0-9-]+\.)*[a-z0-9-]*", "not a domain; write it as espn.com")] = Field(
        default="",
        description="domain that the site's own pages mention; default: the host of base_url",
    )
    game_id: str = Field(description="regular expression of a game's id on this site")
    game_ids: dict[SeasonType, str] = Field(
        default={}, description="the id of a game of each season type; parameters of commands are tried with them"
    )
    rates: list[Rate] = Field(min_length=1)
    lanes: WholeNumber = Field(default=5, ge=1, le=50, description="largest number of fills of this source at once")
    connections: WholeNumber = Field(
        default=20, ge=1, le=200, description="largest number of requests in flight at once"
    )
    processes: WholeNumber = Field(default=2, ge=1, le=50, description="largest number of commands at once")
    multiplier: Number = Field(default=1.0, gt=0, le=10)
    headers: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    backoff: Backoff = Backoff()

    @property
    def domain(self) -> str:
        """Domain that the site's own pages mention."""
        return self.site or urlsplit(self.base_url).hostname or ""

    def game_id_examples(self) -> list[str]:
        """Ids that a game can have: those of `game_ids`, or else numbers that match `game_id`; at least one text."""
        numbers = ["0" * length for length in range(1, 21)]
        return list(self.game_ids.values()) or [n for n in numbers if re.fullmatch(self.game_id, n)] or [""]

    @field_validator("game_id")
    @classmethod
    def _game_id_is_an_expression(cls, text: str) -> str:
        check_expression(text)
        return text

    @model_validator(mode="after")
    def _examples_are_game_ids(self) -> Source:
        for season_type, example in self.game_ids.items():
            if re.fullmatch(self.game_id, example) is None:
                raise ValueError(f"game_ids: {season_type}: {example!r} does not match game_id, {self.game_id!r}")
        return self
