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


def _shape(pattern: str, otherwise: str, meant: Callable[[str], str | None] = lambda _: None) -> AfterValidator:
    """All of a text has a shape. Of another text `otherwise` says what to write, and `meant` what it was to be."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            near = meant(text)
            raise ValueError(f"{otherwise}; did you mean {near}?" if near else otherwise)
        return text

    return AfterValidator(check)


def _path_in(text: str) -> str | None:
    """What is a path and nothing else, which may be shown: it has no place for a password."""
    return text if re.fullmatch(r"[\w./~ -]+", text) and text.strip("/. ") else None


def _site_meant(text: str) -> str | None:
    return f"https://{path.lstrip('/')}" if (path := _path_in(text)) and "." in path and " " not in path else None


Duration = Annotated[timedelta, BeforeValidator(_parse_duration), Field(ge=timedelta(0), le=timedelta(days=3660))]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Priority(StrEnum):
    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Rate(Model):
    """At most `requests` in any window of `seconds`."""

    requests: int = Field(ge=1, le=1000)
    seconds: float = Field(gt=0, le=86400)

    @model_validator(mode="after")
    def _no_flood(self) -> Rate:
        if self.requests > 1000 * self.seconds:
            raise ValueError("a rate is at most 1000 requests a second")
        return self


class Timeouts(Model):
    """Seconds: to connect, between two pieces of a body, and for the whole file."""

    connect: float = Field(default=10, gt=0, le=120)
    read: float = Field(default=30, gt=0, le=300)
    total: float = Field(default=90, gt=0, le=900)


class Retries(Model):
    """How often a file is asked for in all, and the exponential wait in between."""

    attempts: int = Field(default=4, ge=1, le=10)
    first_wait: Duration = timedelta(seconds=1)
    longest_wait: Duration = timedelta(seconds=60)


class Backoff(Model):
    """How long a source that refuses is left alone: a step an incident, each twice as long as the one before."""

    first: Duration = Field(default=timedelta(seconds=5), description="after a 429, a 503 or a hang")
    shut_out: Duration = Field(default=timedelta(minutes=15), description="after a 403 or a block page")
    longest: Duration = timedelta(hours=6)
    quiet: Duration = Field(
        default=timedelta(minutes=10), description="from an answer on, without an incident: the next one is a first"
    )
    jitter: float = Field(default=0.1, ge=0, le=1, description="a pause is longer by up to this share of it")
    ramp: Duration = Field(default=timedelta(seconds=30), description="from the first answer to the full rate")


class Source(Model):
    enabled: bool = True
    base_url: Annotated[
        str,
        _shape(
            r"https?://[^\s/]+(/\S*)?",
            "no address of a site; write it as https://host or https://host/path",
            _site_meant,
        ),
    ]
    site: Annotated[str, _shape(r"([a-z0-9-]+\.)*[a-z0-9-]*", "no domain; write it as espn.com")] = Field(
        default="",
        description="the domain by which the site's pages name it; default: the host of base_url",
    )
    game_id: str = Field(description="regular expression of a game's id on this site")
    rates: list[Rate] = Field(min_length=1)
    lanes: int = Field(default=5, ge=1, le=50, description="fills of this source that may run at once, at the most")
    connections: int = Field(default=20, ge=1, le=200, description="requests that may be in flight at once")
    processes: int = Field(default=2, ge=1, le=50, description="commands that may run at once")
    multiplier: float = Field(default=1.0, gt=0, le=10)
    headers: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    backoff: Backoff = Backoff()

    @property
    def domain(self) -> str:
        """How the site's own pages name it."""
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
        raise ValueError("a season is two years in a row, as 2023-24")
    return value


Season = Annotated[str, BeforeValidator(_check_season)]
SeasonType = Literal["preseason", "regular", "all-star", "playoffs", "play-in", "cup-final"]


class Check(Model):
    """Which body check a dataset uses, and its options."""

    name: Annotated[str, _shape(r"[a-z_]+(\.[a-z_]+)?", "no name of a check; write it as espn.summary")]
    tables: list[str] = []
    min_rows: int = Field(default=0, ge=0)
    kind: Annotated[str, _shape(r"[a-z]*", "one word in small letters; write it as traditional")] = Field(
        default="", description="of a v3 box score: traditional, advanced, usage …"
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
# The field that tells one partition of a kind from the next: without it two cells share a key.
IDENTIFYING: dict[Partition, list[set[str]]] = {
    "date": [{"date"}, {"yyyymmdd"}],
    "month": [{"month", field} for field in sorted(_SEASON_FIELDS)],
    "season": [{field} for field in sorted(_SEASON_FIELDS)],
    "game": [{"id"}],
}


def template_fields(template: str) -> set[str]:
    """The names in braces. Raises ValueError for a template that is not one, or formats its fields."""
    fields = set()
    for _, name, spec, conversion in string.Formatter().parse(template):
        if spec or conversion:
            raise ValueError(f"write {{{name}}} without a format")
        if name is not None:
            fields.add(name)
    return fields


class Parameter(Model):
    """What a value in a command line must be: the `value` given here, or else the partition's field of that name."""

    type: Literal["int", "date", "season", "text", "choice"]
    value: str | int | None = None
    pattern: str = Field(default="", description="of a text: a regular expression for all of it")
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
        """Why a value is not what it must be."""
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
        return None if right else f"{text!r} is no {self.type}" + (f": {allowed}" if allowed else "")


def _literally(text: str, *braces: str) -> str:
    """A template of a text: its braces, doubled."""
    for brace in braces or ("{", "}"):
        text = text.replace(brace, 2 * brace)
    return text


# What a command line may name besides its parameters and the partition's fields.
COMMAND_FIELDS = {"python", "script", "out"}


class Command(Model):
    """A program that fills a dataset. It runs without a shell and leaves its files in a folder of its own."""

    argv: list[str] = Field(min_length=1, description="the command line, part by part, each a template")
    files: list[str] = Field(min_length=1, description="what it leaves in its folder: one for all keys, or one a key")
    script: str | None = Field(default=None, description="what {script} stands for; set for a script that is found")
    parameters: dict[str, Parameter] = {}
    environment: list[
        Annotated[str, _shape(r"[A-Za-z_][A-Za-z0-9_]*", "no name of a variable; write it as API_KEY, without a value")]
    ] = Field(default=[], description="variables that it is given; no others but PATH, LANG, HOME and TMPDIR")
    cwd: str | None = Field(default=None, description="where it runs, if not in its folder; argv then names {out}")
    requests: int = Field(default=1, ge=1, le=1000, description="that it makes to the source, at the most")
    timeout: Duration = Field(default=timedelta(minutes=5), gt=timedelta(0))

    @model_validator(mode="after")
    def _is_a_command_line(self) -> Command:
        used = template_fields(" ".join(self.argv))
        if template_fields(self.argv[0]) - {"python", "script"}:
            raise ValueError("argv: the program, its first part, is fixed, {python} or {script}")
        if "script" in used and self.script is None:
            raise ValueError("argv names {script}, and there is none: say which, or see scripts.folders")
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
        """The parameters that are the same for every partition."""
        return {name: str(p.value) for name, p in self.parameters.items() if p.value is not None}

    @property
    def line(self) -> str:
        """The command line for people, a template of the partition's fields; the same on every host."""
        shown = {name: f"{{{name}}}" for fields in FIELDS.values() for name in fields}
        for name, text in {"python": "python", "script": PurePath(self.script or "").name, **self.fixed}.items():
            shown[name] = _literally(text)
        return _literally(" ".join(self.argv), "{{", "}}").format_map(shown | {"out": "."})

    def problem(self, name: str, text: str) -> str | None:
        """Why a value may not be put into the command line."""
        if text.startswith("-") and any(part.startswith(f"{{{name}}}") for part in self.argv):
            return f"{text!r} would be taken for an option; write --{name}={{{name}}}"
        return self.parameters[name].problem(text) if name in self.parameters else None


class Dataset(Model):
    enabled: bool = True
    source: str
    url: Annotated[str, _shape(r"/\S*", "no path and query; write it as /scoreboard?dates={yyyymmdd}")] | None = Field(
        default=None, description="path and query after the source's base URL"
    )
    command: Command | None = None
    keys: list[str] = Field(min_length=1, description="lake keys that one response is stored under")
    per: Partition
    schedule: str | None = Field(default=None, description="per game: the dataset whose files list the games")
    lists_games: bool = False
    required: bool = False
    first_season: Season
    due_after: Duration = Field(description="after a game's start, a date's end, a month's or season's first day")
    refresh: Duration | None = Field(default=None, description="how often a file that is not final is looked at again")
    min_bytes: int = Field(default=1, ge=1)
    max_bytes: int | None = Field(
        default=None, ge=1, le=64 * _MB, description="the most bytes, unpacked; default: 16 MB, 32 MB if it lists_games"
    )
    batch: int | None = Field(default=None, ge=1, le=1000, description="requests in one fill")
    season_types: list[SeasonType] | None = None
    rollout: float = Field(default=100, ge=0, le=100, description="per cent of its requests; the rest is deferred")
    check: Check

    @model_validator(mode="after")
    def _templates_fit_the_partition(self) -> Dataset:
        if (self.url is None) == (self.command is None):
            raise ValueError("a dataset has a url or a command, and not both")
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
        """The fields that the command line may name."""
        fields, fixed = FIELDS[self.per], command.fixed.keys()
        if unknown := command.parameters.keys() - fixed - fields:
            raise ValueError(f"parameters: {', '.join(sorted(unknown))} has no value and is no field per {self.per}")
        if taken := fixed & (fields | COMMAND_FIELDS):
            raise ValueError(f"parameters: {', '.join(sorted(taken))} is a field already; it takes no value")
        if len(command.files) not in (1, len(self.keys)):
            raise ValueError(f"files: one for all keys, or one for each of the {len(self.keys)}")
        return fields | fixed | COMMAND_FIELDS

    @property
    def request(self) -> str:
        """What brings a partition's files, a template: path and query, or a command line."""
        return self.command.line if self.command else self.url or ""

    @property
    def largest(self) -> int:
        """The most bytes of a file; a larger one is bad, and read no further."""
        return self.max_bytes or (32 if self.lists_games else 16) * _MB

    @property
    def cost(self) -> int:
        """Requests to the source that it takes."""
        return self.command.requests if self.command else 1


class Changes(Model):
    """What a rollout changes of a dataset and of its source: how a file is asked for and checked, never its keys."""

    url: str | None = None
    command: Command | None = None
    min_bytes: int | None = None
    check: Check | None = None
    base_url: str | None = None
    headers: dict[str, str] = Field(default={}, description="over the source's")
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()

    def of_dataset(self, dataset: Dataset) -> Dataset:
        """Raises ValidationError for a change that does not fit it."""
        given = self._given({"url", "command", "min_bytes", "check"})
        other_way = {"url": None, "command": None} if given.keys() & {"url", "command"} else {}
        return Dataset.model_validate(dataset.model_dump() | other_way | given)

    def of_source(self, source: Source) -> Source:
        """Raises ValidationError for a change that does not fit it."""
        settings = source.model_dump()
        for name, value in self._given({"base_url", "headers", "timeouts", "retries"}).items():
            settings[name] = settings[name] | value if isinstance(value, dict) else value
        return Source.model_validate(settings)

    def _given(self, names: set[str]) -> dict[str, Any]:
        return self.model_dump(include=names, exclude_unset=True)


class Rollout(Model):
    """A change that a part of the files goes through first, so that the two parts can be compared."""

    percent: float = Field(ge=0, le=100)
    datasets: list[str] = []
    sources: list[str] = Field(default=[], description="all datasets of these")
    changes: Changes

    def covers(self, name: str, dataset: Dataset) -> bool:
        return name in self.datasets or dataset.source in self.sources


class SmallFill(Model):
    below_files: int = Field(default=10, ge=0)
    factor: float = Field(default=1.2, gt=0, le=10)


class Success(Model):
    """How much a dataset's recent failures lower its score: never below `floor`."""

    enabled: bool = True
    half_life: Duration = Field(default=timedelta(days=3), gt=timedelta(0))
    floor: float = Field(default=0.5, gt=0, le=1)


class Scoring(Model):
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
            raise ValueError(f"base lacks {', '.join(missing)}")
        return self


class BreakerRules(Model):
    """When is a scraper left alone? After so many failures within the window, each success forgiving one."""

    failures: int = Field(default=8, ge=1, le=1000)
    window: Duration = timedelta(minutes=10)
    open_for: Duration = Field(default=timedelta(minutes=5), description="then one probe; twice as long if it fails")
    longest: Duration = timedelta(hours=6)


class Unavailability(Model):
    """A file is unavailable after `looks` looks, over at least `over`, that found no whole one; then for `expires`."""

    looks: int = Field(default=3, ge=1, le=100)
    over: Duration = timedelta(hours=24)
    expires: Duration = Field(default=timedelta(days=30), gt=timedelta(0))
    keep_partial: bool = Field(default=True, description="store the best version of what is never whole")


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{name!r} is no time zone; write it as America/New_York") from None
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
    raise ValueError('a time is text in quotes: "03:00" on each of the days, or once "2026-12-01T03:00"')


Moment = Annotated[time | datetime, BeforeValidator(_parse_moment)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Maintenance(Model):
    """A time in which nothing is started: every week on these days, or once."""

    of: str = Field(default="all", description="a source, a dataset, or all")
    days: list[Day] = Field(default=[], description="on which it begins; none: every day")
    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to", description="a time of day before `from` is of the day after")
    timezone: TimeZone = "UTC"
    note: str = ""

    @model_validator(mode="after")
    def _is_a_span(self) -> Maintenance:
        if isinstance(self.begin, datetime) != isinstance(self.end, datetime):
            raise ValueError("from and to are both times of day, or both times with a date")
        if isinstance(self.begin, datetime) and isinstance(self.end, datetime):
            if self.days:
                raise ValueError("days go with times of day; a span with dates happens once")
            if self.once(self.begin) >= self.once(self.end):
                raise ValueError(f"it ends at {self.end}, which is not after its beginning at {self.begin}")
        elif self.begin == self.end:
            raise ValueError(
                f'from and to are both {self.begin:%H:%M}; a whole day is two windows, "00:00" to "12:00" and "12:00" '
                'to "00:00"'
            )
        return self

    def once(self, moment: datetime) -> datetime:
        """A time with a date, which is of the window's time zone unless it says another."""
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.timezone))).astimezone(UTC)


class Reconcile(Model):
    interval: Duration = timedelta(minutes=15)
    timezone: TimeZone = "America/New_York"
    time_budget: Duration = timedelta(minutes=13)
    max_fills: int = Field(default=1000, ge=0, le=100_000)
    max_fills_by_priority: dict[Priority, Annotated[int, Field(ge=0, le=100_000)]] = {}
    max_concurrent: int = Field(default=5, ge=1, le=100)
    batch: int = Field(default=20, ge=1, le=1000)
    batch_time: Duration = Field(
        default=timedelta(minutes=5), description="of the fills that one deployment run takes together, as expected"
    )
    start_within: Duration = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="for a worker to begin a deployment run"
    )
    fill_time_limit: Duration = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="or twice the estimate, if that is longer"
    )
    breaker: BreakerRules = BreakerRules()
    unavailable: Unavailability = Unavailability()
    look_again: list[Duration] = Field(
        default=[timedelta(hours=1), timedelta(hours=6), timedelta(hours=24), timedelta(days=7)],
        description="after a game is final, until two downloads in a row say the same",
    )
    lease: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=10),
        description="after which the work of a run that was killed is free for another",
    )
    grace: Duration = Field(default=timedelta(seconds=20), description="for fills to end when a run is stopped")
    keep: Duration = Field(default=timedelta(days=180), description="for which the ledger remembers attempts")
    examine_at_most: int = Field(default=20_000, ge=0, description="stored bodies read and checked per run")
    lake_connections: int = Field(default=32, ge=1, le=256)

    @field_validator("look_again")
    @classmethod
    def _looks_come_one_after_another(cls, looks: list[timedelta]) -> list[timedelta]:
        if any(later <= earlier for earlier, later in pairwise([timedelta(0), *looks])):
            raise ValueError("each later than the one before, as [1h, 6h, 24h, 7d]; [] for none")
        return looks

    @model_validator(mode="after")
    def _budget_fits_the_interval(self) -> Reconcile:
        if not timedelta(0) < self.time_budget < self.interval:
            raise ValueError("time_budget must be more than 0 and less than interval")
        return self


class Scripts(Model):
    """Where scripts are found that fill datasets, and what their names look like."""

    folders: list[str] = []
    pattern: Annotated[
        str, _shape(r"[^*/]*\*[^*/]*", "a file name with one *, which stands for the dataset; write it as scrape_*.py")
    ] = Field(default="scrape_*.py", description="of a file name; the * is the dataset")


def _lake_meant(text: str) -> str | None:
    if path := _path_in(text):
        return f"file://{path}" if path.startswith("/") else f"file:{path.replace('~/', '$HOME/', 1)}"
    if text.startswith("file://") and (path := _path_in(text.removeprefix("file://"))):
        return f"file:///{path} or file:{path}"
    if bucket := re.fullmatch(r"s3:/?([\w.-][\w./-]*)", text):
        return f"s3://{bucket[1]}"
    return None


def _ledger_meant(text: str) -> str | None:
    if path := _path_in(text.removeprefix("sqlite://").removeprefix("sqlite:")):
        return f"sqlite:///{path.replace('~/', '$HOME/', 1)}"
    return "postgresql://…" if text.startswith("postgres://") else None


LakeAddress = Annotated[
    str,
    _shape(
        r"file:(//(localhost)?/.+|/?[^/].*)|s3://[^/\s@]+(/\S*)?",
        "no address of a lake; write it as file:///folder or s3://bucket/prefix",
        _lake_meant,
    ),
]
LedgerAddress = Annotated[
    str,
    _shape(
        r"(sqlite|postgresql(\+psycopg)?)://.*",
        "no address of a ledger; write it as sqlite:///adce.db or postgresql://host/adce",
        _ledger_meant,
    ),
]

TEST_FOLDER = "_test"  # of the lake: what runs in test mode store
OWN_FOLDER = "_adce"  # of the lake: what it says of itself


class Config(Model):
    enabled: bool = True
    dry_run: bool = False
    dispatch: Literal["inline", "deployment"] = "inline"
    scraper: Annotated[
        str,
        _shape(r"[\w-]+/[\w-]*\{source\}[\w-]*", "no deployment for each source; write it as scraper/{source}"),
    ] = Field(
        default="scraper/{source}",
        description="the deployment that fills of a source are handed over to",
    )
    test_mode: bool = Field(default=False, description="fetches a few files for real, and keeps them out of the lake")
    test_fills: int = Field(default=3, ge=1, le=1000, description="that a run in test mode starts at the most")
    sandbox: bool = Field(
        default=False, description="the sites are stand-ins whose games are invented, and so is all that the lake holds"
    )
    lake: LakeAddress = "file:lake"
    history: Annotated[
        str, _shape(r"[A-Za-z0-9_.-]*", "no folder's name; letters, digits, _ - and . only: write it as _history")
    ] = Field(
        default="_history",
        description="folder of the lake for the former versions of corrected files; empty where S3 keeps versions",
    )
    aws_credentials: str | None = Field(default=None, description="name of an AwsCredentials block in Prefect")
    ledger: LedgerAddress = "sqlite:///adce.db"
    reconcile: Reconcile = Reconcile()
    scoring: Scoring = Scoring()
    rates: list[Rate] = Field(default=[], description="for all sources together, beside their own")
    work_pools: list[Literal["adce", "adce-ecs"]] = Field(
        default=["adce", "adce-ecs"], description="that `adce setup` makes"
    )
    scripts: Scripts = Scripts()
    maintenance: list[Maintenance] = []
    rollout: dict[
        Annotated[str, _shape(r"[a-z0-9_]+", "no name of a rollout; small letters, digits and _ only, as new_host")],
        Rollout,
    ] = {}
    sources: dict[str, Source]
    datasets: dict[str, Dataset]

    @field_validator("ledger")
    @classmethod
    def _the_ledger_outlives_a_run(cls, url: str) -> str:
        """Without a file, SQLite keeps it in memory: each connection one of its own."""
        in_memory = ":memory:" in url or "mode=memory" in url
        if url.startswith("sqlite:") and (in_memory or not re.match(r"sqlite:///[^?]", url)):
            raise ValueError(
                "SQLite's is a file: sqlite:///adce.db is one in this folder, sqlite:////data/adce.db there"
            )
        return url

    def batch_of(self, dataset: str) -> int:
        return self.datasets[dataset].batch or self.reconcile.batch
