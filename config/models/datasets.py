"""Datasets: kinds of files, and how they are requested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from config.models.base import Duration, Model, Number, PositiveDuration, Season, SeasonType, WholeNumber, matching
from config.models.checks import Check
from config.models.commands import COMMAND_FIELDS, Command
from config.models.templates import FIELDS, IDENTIFYING, Partition, example_fields, template_fields

_MB = 1024 * 1024


class Typical(Model):
    """What the files of a dataset are usually like, for estimates of what is not in the lake yet."""

    bytes: WholeNumber = Field(default=100_000, ge=1, description="mean size of a file")
    season_types: list[SeasonType] = Field(
        default=[], description="of a dataset that lists games: the types of game that its files list; default: all"
    )


class Dataset(Model):
    """One kind of file of a source: how it is requested, stored and checked, and when it is due.

    Each partition (a date, a month, a season or a game) takes one request, whose response is stored under `keys`.
    """

    enabled: bool = True
    source: str
    url: Annotated[str, matching(r"/\S*", "not a path and query; write it as /scoreboard?dates={yyyymmdd}")] | None = (
        Field(default=None, description="template of the path and query that follow the source's base URL")
    )
    command: Command | None = None
    keys: list[str] = Field(min_length=1, description="templates of the lake keys under which one response is stored")
    per: Partition
    schedule: str | None = Field(default=None, description="of a dataset per game: the dataset that lists the games")
    lists_games: bool = False
    required: bool = False
    first_season: Season
    due_after: Duration = Field(
        description="counted from a game's start, a date's end, or the first day of a month or season"
    )
    refresh: Duration | None = Field(
        default=None, description="interval at which a file that is not final is downloaded again"
    )
    min_bytes: WholeNumber = Field(default=1, ge=1)
    max_bytes: WholeNumber | None = Field(
        default=None,
        ge=1,
        le=64 * _MB,
        description="largest size of a file, unpacked; default: 16 MB, or 32 MB if it lists_games",
    )
    batch: WholeNumber | None = Field(default=None, ge=1, le=1000, description="largest number of requests in one fill")
    season_types: list[SeasonType] | None = None
    rollout: Number = Field(
        default=100, ge=0, le=100, description="percentage of its requests that are sent; the rest is deferred"
    )
    promise: PositiveDuration = Field(
        default=timedelta(days=1), description="time after it is due within which a file is to be in the lake"
    )
    objective: Number = Field(
        default=99, ge=0, le=100, description="percentage of its files that are to be there within `promise`"
    )
    typical: Typical = Typical()
    check: Check

    @model_validator(mode="after")
    def _templates_fit_the_partition(self) -> Dataset:
        if (self.url is None) == (self.command is None):
            raise ValueError("a dataset has either a url or a command")
        allowed = FIELDS[self.per]
        asked = self._check_command(self.command) if self.command else allowed
        files = self.command.files if self.command else []
        request = self.url or " ".join(self.command.argv if self.command else [])
        others = [*self.keys, *files, *self.check.equals.values()]
        for template, known in [(request, asked), *((template, allowed) for template in others)]:
            try:
                used = template_fields(template)
            except ValueError as error:
                raise ValueError(f"{template!r} is not a template: {error}") from None
            if unknown := used - known:
                names, all_known = ", ".join(sorted(unknown)), ", ".join(sorted(known))
                raise ValueError(f"{template!r} names {names}; allowed per {self.per}: {all_known}")
        for template in [request, *self.keys]:
            if not any(needed <= template_fields(template) for needed in IDENTIFYING[self.per]):
                ways = " or ".join(" and ".join(sorted(needed)) for needed in IDENTIFYING[self.per])
                raise ValueError(f"{template!r} is the same for every {self.per}; it must name {ways}")
        for path in [*self.keys, *files]:
            if not re.fullmatch(r"[A-Za-z0-9_.{}/-]+", path) or path.startswith("/") or ".." in path or "//" in path:
                what = "lake key" if path in self.keys else "file in a folder"
                raise ValueError(f"{path!r} is not a {what}: letters, digits, _ - . and single / only")
        for key in self.keys:
            if "{" in key.split("/")[0]:
                raise ValueError(f"{key!r} must begin with a fixed folder, so that the lake can be listed by it")
        if (self.per == "game") != (self.schedule is not None):
            raise ValueError("schedule is for datasets per game, which all need it: name a dataset that lists_games")
        if self.lists_games and self.refresh is None:
            raise ValueError("a dataset that lists_games needs refresh: how often to look while games are not final")
        return self

    def _check_command(self, command: Command) -> set[str]:
        """The fields that the command line may name. Raises ValueError if its parameters or files do not fit."""
        fields, fixed = FIELDS[self.per], command.fixed.keys()
        if unknown := command.parameters.keys() - fixed - fields:
            raise ValueError(f"parameters: {', '.join(sorted(unknown))} has no value and is not a field per {self.per}")
        if taken := fixed & (fields | COMMAND_FIELDS):
            raise ValueError(f"parameters: {', '.join(sorted(taken))} is already a field, so it may not have a value")
        if len(command.files) not in (1, len(self.keys)):
            raise ValueError(f"files: give one for all keys, or one for each of the {len(self.keys)} keys")
        return fields | fixed | COMMAND_FIELDS

    def unfit_example(self, game_ids: Mapping[SeasonType, str]) -> tuple[str, str] | None:
        """A field that the command can never take, or not of every game, and why; None without one.

        `game_ids` has a game's id of each season type.
        """
        if self.command is None:
            return None
        fields = {name: value for name, value in example_fields(self.first_season).items() if name in FIELDS[self.per]}
        games = game_ids if self.per == "game" else {}
        for kind in self.season_types or games:
            if kind in games and (problem := self.command.problem("id", games[kind])):
                return (
                    "id",
                    f"{problem}; {kind} games have such ids: allow them, or leave these games out by season_types",
                )
        return self.command.unfit(fields)

    @property
    def request(self) -> str:
        """Template of the request for a partition's files: a path and query, or a command line."""
        return self.command.line if self.command else self.url or ""

    @property
    def largest(self) -> int:
        """Largest size of a file in bytes, unpacked. A larger body is rejected, and not read further."""
        return self.max_bytes or (32 if self.lists_games else 16) * _MB

    @property
    def cost(self) -> int:
        """Number of requests that the source's rate bucket counts for one partition."""
        return self.command.requests if self.command else 1
