"""What does a valid configuration look like?"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _parse_duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value))
    if not match:
        raise ValueError("a duration is a number and a unit: 30s, 15m, 4h or 7d")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("a duration is at most 3660d") from None


def _shape(pattern: str, problem: str, suggest: Callable[[str], str | None] = lambda _: None) -> AfterValidator:
    """Validator of a text that `pattern` must match as a whole.

    For any other text the error is `problem`, followed by what `suggest` returns, if that is not None.
    """

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            suggestion = suggest(text)
            raise ValueError(f"{problem}; did you mean {suggestion}?" if suggestion else problem)
        return text

    return AfterValidator(check)


def _plain_path(text: str) -> str | None:
    """The text, if it is only a path. An error may show it, because a path cannot hold a password."""
    return text if re.fullmatch(r"[\w./~ -]+", text) and text.strip("/. ") else None


def _suggested_site(text: str) -> str | None:
    return f"https://{path.lstrip('/')}" if (path := _plain_path(text)) and "." in path and " " not in path else None


Duration = Annotated[timedelta, BeforeValidator(_parse_duration), Field(ge=timedelta(0), le=timedelta(days=3660))]


class Model(BaseModel):
    """Base of all sections: immutable, and without fields that the class does not declare."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Priority(StrEnum):
    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Rate(Model):
    """Rate limit: at most `requests` requests in any window of `seconds` seconds."""

    requests: int = Field(ge=1, le=1000)
    seconds: float = Field(gt=0, le=86400)

    @model_validator(mode="after")
    def _no_flood(self) -> Rate:
        if self.requests > 1000 * self.seconds:
            raise ValueError("a rate is at most 1000 requests a second")
        return self


class Timeouts(Model):
    """Time limits of a request, in seconds: to connect, between two pieces of the body, and for the whole file."""

    connect: float = Field(default=10, gt=0, le=120)
    read: float = Field(default=30, gt=0, le=300)
    total: float = Field(default=90, gt=0, le=900)


class Retries(Model):
    """Retries of a request: `attempts` counts the first one too, and the wait doubles from `first_wait`."""

    attempts: int = Field(default=4, ge=1, le=10)
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
    jitter: float = Field(default=0.1, ge=0, le=1, description="largest random extension, as a share of the pause")
    ramp: Duration = Field(
        default=timedelta(seconds=30), description="time from the first answer after a pause to the full rate"
    )


class Source(Model):
    """A site: its address, its rate limits, and how it is asked."""

    enabled: bool = True
    base_url: Annotated[
        str,
        _shape(
            r"https?://[^\s/]+(/\S*)?",
            "not the address of a site; write it as https://host or https://host/path",
            _suggested_site,
        ),
    ]
    site: Annotated[str, _shape(r"([a-z0-9-]+\.)*[a-z0-9-]*", "not a domain; write it as espn.com")] = Field(
        default="",
        description="domain that the site's own pages mention; default: the host of base_url",
    )
    game_id: str = Field(description="regular expression of a game's id on this site")
    rates: list[Rate] = Field(min_length=1)
    lanes: int = Field(default=5, ge=1, le=50, description="largest number of fills of this source at once")
    connections: int = Field(default=20, ge=1, le=200, description="largest number of requests in flight at once")
    processes: int = Field(default=2, ge=1, le=50, description="largest number of commands at once")
    multiplier: float = Field(default=1.0, gt=0, le=10)
    headers: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    backoff: Backoff = Backoff()

    @property
    def domain(self) -> str:
        """Domain that the site's own pages mention."""
        return self.site or urlsplit(self.base_url).hostname or ""

    @field_validator("game_id")
    @classmethod
    def _game_id_is_an_expression(cls, text: str) -> str:
        _check_expression(text)
        return text


def _check_expression(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _check_season(value: Any) -> Any:
    match = re.fullmatch(r"(19[4-9]\d|20\d\d)-(\d\d)", value) if isinstance(value, str) else None
    if match is None or (int(match[1]) + 1) % 100 != int(match[2]):
        raise ValueError("a season is two consecutive years, written as 2023-24")
    return value


Season = Annotated[str, BeforeValidator(_check_season)]
SeasonType = Literal["preseason", "regular", "all-star", "playoffs", "play-in", "cup-final"]


class Check(Model):
    """Body check of a dataset: its name and its options."""

    name: Annotated[str, _shape(r"[a-z_]+(\.[a-z_]+)?", "not the name of a body check; write it as espn.summary")]
    tables: list[str] = []
    min_rows: int = Field(default=0, ge=0)
    kind: Annotated[str, _shape(r"[a-z]*", "must be one word in small letters, such as traditional")] = Field(
        default="", description="kind of a version 3 box score: traditional, advanced, usage …"
    )


_MB = 1024 * 1024
Partition = Literal["date", "month", "season", "game"]

_SEASON_FIELDS = {"season", "start_year", "end_year"}
_DAY_FIELDS = {"date", "yyyymmdd"}
FIELDS: dict[Partition, set[str]] = {
    "date": _SEASON_FIELDS | _DAY_FIELDS,
    "month": _SEASON_FIELDS | {"month"},
    "season": _SEASON_FIELDS,
    "game": _SEASON_FIELDS | _DAY_FIELDS | {"id"},
}
# Fields that distinguish the partitions of a kind. A template must name one of these sets, or two cells share a key.
IDENTIFYING: dict[Partition, list[set[str]]] = {
    "date": [{"date"}, {"yyyymmdd"}],
    "month": [{"month", field} for field in sorted(_SEASON_FIELDS)],
    "season": [{field} for field in sorted(_SEASON_FIELDS)],
    "game": [{"id"}],
}


def template_fields(template: str) -> set[str]:
    """The field names of a template, which stand in braces.

    Raises ValueError for a malformed template, and for a field with a format or a conversion, as in {date:>8}.
    """
    fields = set()
    for _, name, spec, conversion in string.Formatter().parse(template):
        if spec or conversion:
            raise ValueError(f"write {{{name}}} without a format")
        if name is not None:
            fields.add(name)
    return fields


class Parameter(Model):
    """Which values of a parameter may stand in a command line.

    The value itself is `value`, or else the partition's field that has the parameter's name.
    """

    type: Literal["int", "date", "season", "text", "choice"]
    value: str | int | None = None
    pattern: str = Field(default="", description="of a text: a regular expression that matches it as a whole")
    choices: list[str] = []

    @model_validator(mode="after")
    def _says_what_it_allows(self) -> Parameter:
        if (self.type == "text") != bool(self.pattern) or (self.type == "choice") != bool(self.choices):
            raise ValueError("a text needs a pattern, a choice needs choices, and nothing else has them")
        _check_expression(self.pattern)
        if self.value is not None and (problem := self.problem(str(self.value))):
            raise ValueError(problem)
        return self

    def problem(self, text: str) -> str | None:
        """Why the value is not allowed, or None if it is."""
        if not text or not text.isprintable():
            return f"{text!r} is empty, or has characters that cannot be printed"
        try:
            if self.type == "int":
                right = re.fullmatch(r"-?[0-9]{1,18}", text) is not None
            elif self.type == "date":
                right = date.fromisoformat(text).isoformat() == text
            elif self.type == "season":
                right = _check_season(text) == text
            else:
                right = text in self.choices or (bool(self.pattern) and re.fullmatch(self.pattern, text) is not None)
        except ValueError:
            right = False
        allowed = self.pattern or " or ".join(self.choices)
        return None if right else f"{text!r} is not a valid {self.type}" + (f": {allowed}" if allowed else "")


def _escaped(text: str, *braces: str) -> str:
    """A template that formats to the text itself: every brace is doubled."""
    for brace in braces or ("{", "}"):
        text = text.replace(brace, 2 * brace)
    return text


# Fields that a command line may name besides its parameters and the partition's fields.
COMMAND_FIELDS = {"python", "script", "out"}


class Command(Model):
    """A program that fills a dataset. It runs without a shell and writes its files to a folder of its own."""

    argv: list[str] = Field(min_length=1, description="the arguments, the program first; each is a template")
    files: list[str] = Field(
        min_length=1, description="templates of the files that it writes: one for all keys, or one for each key"
    )
    script: str | None = Field(
        default=None, description="path that {script} stands for; set automatically for a script in scripts.folders"
    )
    parameters: dict[str, Parameter] = {}
    environment: list[
        Annotated[
            str, _shape(r"[A-Za-z_][A-Za-z0-9_]*", "not the name of a variable; write it as API_KEY, without a value")
        ]
    ] = Field(default=[], description="environment variables that it receives besides PATH, LANG, HOME and TMPDIR")
    cwd: str | None = Field(
        default=None, description="working directory, if not the folder for its files; argv then names {out}"
    )
    requests: int = Field(
        default=1, ge=1, le=1000, description="largest number of requests that it sends to the source"
    )
    timeout: Duration = Field(default=timedelta(minutes=5), gt=timedelta(0))

    @model_validator(mode="after")
    def _is_a_command_line(self) -> Command:
        used = template_fields(" ".join(self.argv))
        if template_fields(self.argv[0]) - {"python", "script"}:
            raise ValueError("argv: its first part, the program, must be fixed text, {python} or {script}")
        if "script" in used and self.script is None:
            raise ValueError("argv names {script}, but no script is given: set script, or see scripts.folders")
        if self.cwd is not None and "out" not in used:
            raise ValueError("with cwd, argv must name {out}, the folder for its files")
        for name, parameter in self.parameters.items():
            if name not in used:
                raise ValueError(f"parameters: {name} is not in argv")
            if parameter.value is not None and (problem := self.problem(name, str(parameter.value))):
                raise ValueError(f"parameters: {name}: {problem}")
        return self

    @property
    def fixed(self) -> dict[str, str]:
        """The parameters that have a value of their own, which is the same for every partition."""
        return {name: str(p.value) for name, p in self.parameters.items() if p.value is not None}

    @property
    def line(self) -> str:
        """The command line to show to people, a template of the partition's fields. It is the same on every host."""
        shown = {name: f"{{{name}}}" for fields in FIELDS.values() for name in fields}
        for name, text in {"python": "python", "script": PurePath(self.script or "").name, **self.fixed}.items():
            shown[name] = _escaped(text)
        return _escaped(" ".join(self.argv), "{{", "}}").format_map(shown | {"out": "."})

    def problem(self, name: str, text: str) -> str | None:
        """Why the value may not be put into the command line, or None if it may."""
        if text.startswith("-") and any(part.startswith(f"{{{name}}}") for part in self.argv):
            return f"{text!r} would be taken for an option; write --{name}={{{name}}}"
        return self.parameters[name].problem(text) if name in self.parameters else None


class Dataset(Model):
    """One kind of file of a source: how it is requested, stored and checked, and when it is due.

    Each partition (a date, a month, a season or a game) takes one request, whose response is stored under `keys`.
    """

    enabled: bool = True
    source: str
    url: Annotated[str, _shape(r"/\S*", "not a path and query; write it as /scoreboard?dates={yyyymmdd}")] | None = (
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
    min_bytes: int = Field(default=1, ge=1)
    max_bytes: int | None = Field(
        default=None,
        ge=1,
        le=64 * _MB,
        description="largest size of a file, unpacked; default: 16 MB, or 32 MB if it lists_games",
    )
    batch: int | None = Field(default=None, ge=1, le=1000, description="largest number of requests in one fill")
    season_types: list[SeasonType] | None = None
    rollout: float = Field(
        default=100, ge=0, le=100, description="percentage of its requests that are sent; the rest is deferred"
    )
    check: Check

    @model_validator(mode="after")
    def _templates_fit_the_partition(self) -> Dataset:
        if (self.url is None) == (self.command is None):
            raise ValueError("a dataset has either a url or a command")
        allowed = FIELDS[self.per]
        asked = self._check_command(self.command) if self.command else allowed
        files = self.command.files if self.command else []
        request = self.url or " ".join(self.command.argv if self.command else [])
        for template, known in [(request, asked), *((template, allowed) for template in [*self.keys, *files])]:
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


class Changes(Model):
    """Settings of a dataset and of its source that a rollout replaces. The lake keys always stay the same."""

    url: str | None = None
    command: Command | None = None
    min_bytes: int | None = None
    check: Check | None = None
    base_url: str | None = None
    headers: dict[str, str] = Field(default={}, description="added to the source's headers, or in their place")
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()

    def of_dataset(self, dataset: Dataset) -> Dataset:
        """The dataset with these changes. Raises ValidationError for a change that does not fit the dataset."""
        given = self._given({"url", "command", "min_bytes", "check"})
        cleared = {"url": None, "command": None} if given.keys() & {"url", "command"} else {}
        return Dataset.model_validate(dataset.model_dump() | cleared | given)

    def of_source(self, source: Source) -> Source:
        """The source with these changes. Raises ValidationError for a change that does not fit the source."""
        settings = source.model_dump()
        for name, value in self._given({"base_url", "headers", "timeouts", "retries"}).items():
            settings[name] = settings[name] | value if isinstance(value, dict) else value
        return Source.model_validate(settings)

    def _given(self, names: set[str]) -> dict[str, Any]:
        return self.model_dump(include=names, exclude_unset=True)


class Rollout(Model):
    """Changed settings that apply to `percent` per cent of the files first, to compare these files with the rest."""

    percent: float = Field(ge=0, le=100)
    datasets: list[str] = []
    sources: list[str] = Field(default=[], description="sources all of whose datasets take part")
    changes: Changes

    def covers(self, name: str, dataset: Dataset) -> bool:
        return name in self.datasets or dataset.source in self.sources


class SmallFill(Model):
    """A fill with fewer than `below_files` files has its score multiplied by `factor`."""

    below_files: int = Field(default=10, ge=0)
    factor: float = Field(default=1.2, gt=0, le=10)


class Success(Model):
    """Success factor of the score. A dataset's recent failures lower it, never below `floor`."""

    enabled: bool = True
    half_life: Duration = Field(default=timedelta(days=3), gt=timedelta(0))
    floor: float = Field(default=0.5, gt=0, le=1)


class Scoring(Model):
    """Weights of a fill's score. Without `weighting`, fills go by priority, the older first."""

    weighting: bool = True
    base: dict[Priority, Annotated[float, Field(ge=0, le=1e9)]] = {
        Priority.CRITICAL: 1000,
        Priority.HIGH: 100,
        Priority.MEDIUM: 10,
        Priority.LOW: 1,
    }
    age_per_hour: float = Field(default=0.5, ge=0, le=1000)
    small_fill: SmallFill = SmallFill()
    success: Success = Success()
    critical_days: int = Field(default=7, ge=0, le=366)
    medium_seasons: int = Field(default=2, ge=0, le=50)

    @model_validator(mode="after")
    def _every_priority_has_a_base(self) -> Scoring:
        if missing := [p.value for p in Priority if p not in self.base]:
            raise ValueError(f"base must also have {', '.join(missing)}")
        return self


class BreakerRules(Model):
    """Circuit breaker of a scraper: it opens after `failures` failures within `window`. A success cancels one."""

    failures: int = Field(default=8, ge=1, le=1000)
    window: Duration = timedelta(minutes=10)
    open_for: Duration = Field(
        default=timedelta(minutes=5), description="time until the first probe; it doubles with each probe that fails"
    )
    longest: Duration = timedelta(hours=6)


class Unavailability(Model):
    """When a file counts as unavailable: after `looks` looks over at least `over`, none of which found a whole file.

    It then counts as unavailable for `expires`.
    """

    looks: int = Field(default=3, ge=1, le=100)
    over: Duration = timedelta(hours=24)
    expires: Duration = Field(default=timedelta(days=30), gt=timedelta(0))
    keep_partial: bool = Field(default=True, description="store the best version of a file that was never whole")


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{name!r} is not a time zone; write it as America/New_York") from None
    return name


TimeZone = Annotated[str, AfterValidator(_check_time_zone)]


def _parse_moment(value: Any) -> Any:
    if isinstance(value, time | datetime):
        return value
    text = value if isinstance(value, str) else ""
    try:
        return time.fromisoformat(text) if re.fullmatch(r"\d\d:\d\d", text) else datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError('a time is text in quotes: "03:00" for each of the days, or "2026-12-01T03:00" for once')


Moment = Annotated[time | datetime, BeforeValidator(_parse_moment)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Maintenance(Model):
    """Maintenance window, in which no fill starts. It happens every week on `days`, or once."""

    of: str = Field(default="all", description="a source, a dataset, or all")
    days: list[Day] = Field(default=[], description="weekdays on which it begins; if empty, every day")
    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to", description="a time of day earlier than `from` lies on the next day")
    timezone: TimeZone = "UTC"
    note: str = ""

    @model_validator(mode="after")
    def _is_a_span(self) -> Maintenance:
        if isinstance(self.begin, datetime) != isinstance(self.end, datetime):
            raise ValueError("from and to must both be times of day, or both times with a date")
        if isinstance(self.begin, datetime) and isinstance(self.end, datetime):
            if self.days:
                raise ValueError("days go with times of day; a window with dates happens once")
            if self.once(self.begin) >= self.once(self.end):
                raise ValueError(f"it ends at {self.end}, which is not after its beginning at {self.begin}")
        elif self.begin == self.end:
            raise ValueError(
                f'from and to are both {self.begin:%H:%M}; a whole day is two windows, "00:00" to "12:00" and "12:00" '
                'to "00:00"'
            )
        return self

    def once(self, moment: datetime) -> datetime:
        """The moment in UTC. A moment without an offset is in the window's own time zone."""
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.timezone))).astimezone(UTC)


class Reconcile(Model):
    """Schedule and limits of a reconcile run."""

    interval: Duration = timedelta(minutes=15)
    timezone: TimeZone = "America/New_York"
    time_budget: Duration = timedelta(minutes=13)
    max_fills: int = Field(default=1000, ge=0, le=100_000)
    max_fills_by_priority: dict[Priority, Annotated[int, Field(ge=0, le=100_000)]] = {}
    max_concurrent: int = Field(default=5, ge=1, le=100)
    batch: int = Field(default=20, ge=1, le=1000)
    batch_time: Duration = Field(
        default=timedelta(minutes=5), description="expected time of the fills that one deployment run takes together"
    )
    start_within: Duration = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="time for a worker to begin a deployment run"
    )
    fill_time_limit: Duration = Field(
        default=timedelta(minutes=5),
        gt=timedelta(0),
        description="time limit of one fill; twice its estimate, if that is longer",
    )
    breaker: BreakerRules = BreakerRules()
    unavailable: Unavailability = Unavailability()
    look_again: list[Duration] = Field(
        default=[timedelta(hours=1), timedelta(hours=6), timedelta(hours=24), timedelta(days=7)],
        description="times after a game is final at which its files are downloaded again, until two downloads agree",
    )
    lease: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=10),
        description="time after which another run may take over the work of a run that was killed",
    )
    grace: Duration = Field(default=timedelta(seconds=20), description="time for fills to end when a run is stopped")
    keep: Duration = Field(default=timedelta(days=180), description="time for which the ledger remembers attempts")
    examine_at_most: int = Field(
        default=20_000, ge=0, description="largest number of stored bodies that a run reads and checks"
    )
    lake_connections: int = Field(default=32, ge=1, le=256)

    @field_validator("look_again")
    @classmethod
    def _looks_come_one_after_another(cls, looks: list[timedelta]) -> list[timedelta]:
        if any(later <= earlier for earlier, later in pairwise([timedelta(0), *looks])):
            raise ValueError("each time must be longer than the one before, as in [1h, 6h, 24h, 7d]; [] means never")
        return looks

    @model_validator(mode="after")
    def _budget_fits_the_interval(self) -> Reconcile:
        if not timedelta(0) < self.time_budget < self.interval:
            raise ValueError("time_budget must be more than 0 and less than interval")
        return self


class Scripts(Model):
    """Folders of the scripts that fill datasets, and the pattern of their file names."""

    folders: list[str] = []
    pattern: Annotated[
        str,
        _shape(r"[^*/]*\*[^*/]*", "must be a file name with one *, which stands for the dataset, such as scrape_*.py"),
    ] = Field(default="scrape_*.py", description="pattern of a file name; the * stands for the dataset")


def _suggested_lake(text: str) -> str | None:
    if path := _plain_path(text):
        return f"file://{path}" if path.startswith("/") else f"file:{path.replace('~/', '$HOME/', 1)}"
    if text.startswith("file://") and (path := _plain_path(text.removeprefix("file://"))):
        return f"file:///{path} or file:{path}"
    if bucket := re.fullmatch(r"s3:/?([\w.-][\w./-]*)", text):
        return f"s3://{bucket[1]}"
    return None


def _suggested_ledger(text: str) -> str | None:
    if path := _plain_path(text.removeprefix("sqlite://").removeprefix("sqlite:")):
        return f"sqlite:///{path.replace('~/', '$HOME/', 1)}"
    return "postgresql://…" if text.startswith("postgres://") else None


LakeAddress = Annotated[
    str,
    _shape(
        r"file:(//(localhost)?/.+|/?[^/].*)|s3://[^/\s@]+(/\S*)?",
        "not the address of a lake; write it as file:///folder or s3://bucket/prefix",
        _suggested_lake,
    ),
]
LedgerAddress = Annotated[
    str,
    _shape(
        r"(sqlite|postgresql(\+psycopg)?)://.*",
        "not the address of a ledger; write it as sqlite:///adce.db or postgresql://host/adce",
        _suggested_ledger,
    ),
]

TEST_FOLDER = "_test"  # folder of the lake for the files that runs in test mode store
OWN_FOLDER = "_adce"  # folder of the lake for ADCE's own files: the lake's mark and partial versions


class Config(Model):
    """The whole configuration."""

    enabled: bool = True
    dry_run: bool = False
    dispatch: Literal["inline", "deployment"] = "inline"
    scraper: Annotated[
        str,
        _shape(
            r"[\w-]+/[\w-]*\{source\}[\w-]*",
            "not the name of a deployment for each source; write it as scraper/{source}",
        ),
    ] = Field(
        default="scraper/{source}",
        description="deployment that runs the fills of a source, with dispatch: deployment",
    )
    test_mode: bool = Field(default=False, description="fetch a few files, and store them in the lake's folder _test")
    test_fills: int = Field(default=3, ge=1, le=1000, description="largest number of fills of a run in test mode")
    sandbox: bool = Field(
        default=False, description="the sites are stand-ins with invented games, and the lake holds nothing else"
    )
    lake: LakeAddress = "file:lake"
    history: Annotated[
        str, _shape(r"[A-Za-z0-9_.-]*", "not a folder's name; use letters, digits, _ - and . only, as in _history")
    ] = Field(
        default="_history",
        description="folder of the lake for the former versions of corrected files; empty where S3 keeps versions",
    )
    aws_credentials: str | None = Field(default=None, description="name of an AwsCredentials block in Prefect")
    ledger: LedgerAddress = "sqlite:///adce.db"
    reconcile: Reconcile = Reconcile()
    scoring: Scoring = Scoring()
    rates: list[Rate] = Field(default=[], description="rate limits for all sources together, besides their own")
    work_pools: list[Literal["adce", "adce-ecs"]] = Field(
        default=["adce", "adce-ecs"], description="work pools that `adce setup` makes"
    )
    scripts: Scripts = Scripts()
    maintenance: list[Maintenance] = []
    rollout: dict[
        Annotated[
            str, _shape(r"[a-z0-9_]+", "not a rollout's name; use small letters, digits and _ only, as in new_host")
        ],
        Rollout,
    ] = {}
    sources: dict[str, Source]
    datasets: dict[str, Dataset]

    @field_validator("ledger")
    @classmethod
    def _the_ledger_outlives_a_run(cls, url: str) -> str:
        """SQLite without a file keeps its database in memory, and each connection has another one."""
        in_memory = ":memory:" in url or "mode=memory" in url
        if url.startswith("sqlite:") and (in_memory or not re.match(r"sqlite:///[^?]", url)):
            raise ValueError(
                "a SQLite ledger must be a file: sqlite:///adce.db in this folder, or sqlite:////data/adce.db in /data"
            )
        return url

    def batch_of(self, dataset: str) -> int:
        """Largest number of requests in one fill of the dataset."""
        return self.datasets[dataset].batch or self.reconcile.batch
