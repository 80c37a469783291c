"""Why is a file in the lake, or why not? The state, the reason, what decides, the attempts, and what happens next.

Only the cells in question are looked at, not the whole lake. Nothing here imports Prefect, so that an answer takes only
a second.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from difflib import SequenceMatcher
from fnmatch import translate
from typing import Any

from blocks.store import Store
from config.models import Collect, Config
from tasks.domain.assess.assessment import listed_games
from tasks.domain.assess.states import Examination, Kind, LakeObject, Learnt, State, Status, deferred_by
from tasks.domain.assess.verdicts import Verdict
from tasks.domain.errors import SelectionError
from tasks.domain.expected.cells import (
    Cell,
    Selection,
    calendar_cells,
    game_cells,
    season_of_fields,
    why_no_season,
    why_not_expected,
)
from tasks.domain.expected.collected import collected
from tasks.domain.expected.keys import KeyPatterns, fixed_folder
from tasks.domain.plan.plan import GIVEN_CAP
from tasks.domain.reasons import Limit, Reason
from tasks.domain.wording import how_often, utc
from tasks.ledger import Ledger
from tasks.ledger.attempts import Attempt
from tasks.ledger.corrections import Change
from tasks.ledger.plans import PLAN, RUN, KeptPlan
from tasks.ledger.runs import RunRecord
from tasks.observe.look import Look, examine_cells, look_at_cells, look_at_recorded
from tasks.observe.planner import Planner
from tasks.observe.session import Session
from tasks.sources.ids import season_of_game

_DETAILED = 20  # this many answers include attempts and corrections
# What decides when a deferred file is fetched: a setting, or something else. For a limit that is not named here, it is
# the setting that the limit's value names.
_DECIDES = {
    Limit.ENABLED: "{of}",
    Limit.PARAMETERS: "{of}",
    Limit.ROLLOUT: "datasets.{dataset}.rollout",
    Limit.BACKOFF: "sources.{source}.backoff",
    Limit.BUCKET: "the rate bucket of {of} in Prefect, which `adce setup` mends",
    Limit.OPERATOR_PAUSE: "an operator, who has paused {of}",
    Limit.OTHER_RECONCILE: "the lease of the other reconcile",
    Limit.OTHER_RUN: "the other run",
    Limit.PROBE: "the answer to the first request to {of} after its pause",
    Limit.STOPPED: "whoever stopped the run",
    Limit.SCRAPER_RUN: "the next run",
    Limit.LAKE: "the lake, which cannot be written",
    Limit.LEDGER: "the ledger, which cannot be written",
}


@dataclass(frozen=True)
class Answer:
    """Everything that is known about one cell."""

    cell: Cell
    source: str
    status: Status
    decides: str
    next_action: str
    have: LakeObject | None
    first_seen: datetime | None
    attempts: list[Attempt]
    changes: list[Change]
    score: float | None
    score_parts: Mapping[str, Any] | None
    plan: Mapping[str, Any] | None  # its place in the last plan that has it: see _Planned
    runs: Mapping[str, RunRecord]
    learnt: Learnt | None = None  # how and when ADCE learnt which version the lake has, or that the file is gone


async def why(config: Config, ledger: Ledger, store: Store, text: str, now: datetime) -> list[Answer]:
    """The answers about a key, the keys that match a pattern (with * ? []), the files of a game's id, or of a date.

    Raises SelectionError, naming what comes nearest, for a text that stands for no file that the lake should hold.
    """
    session = Session(config, Selection(), store, ledger, as_of=now)
    schedules = await schedules_of(session)
    cells = cells_of(config, schedules, text, now)
    if not cells:
        raise SelectionError(_nearest(config, schedules, text, now))
    return _answers(session, await look_at_cells(session, cells))


def why_recorded(config: Config, ledger: Ledger, key: str, now: datetime) -> Answer | None:
    """The answer about the file with a key, as far as the ledger knows it: the lake is not asked.

    None if the lake should hold no file with this key.
    """
    cells = cells_of(config, Schedules(ledger), key, now) if "/" in key and not is_pattern(key) else {}
    if not cells:
        return None
    session = Session(config, Selection(), Store(config.lake), ledger, as_of=now)
    return _answers(session, look_at_recorded(session, cells))[0]


def _answers(session: Session, look: Look) -> list[Answer]:
    """The answers about the files of a look, which was one at few files."""
    config, ledger, now = session.config, session.ledger, session.now()
    cells = look.assessment.cells
    assessment, known = look.assessment, look.known
    planned = _Planned(session, look)
    learnt = ledger.objects.learnt({key: known.objects.get(key) for key in cells})
    answers: list[Answer] = []
    for key, cell in cells.items():
        status = planned.status_of(key, assessment.statuses[key])
        score = planned.score.get(key)
        detailed = len(answers) < _DETAILED
        attempts = ledger.attempts.of(key) if detailed else []
        changes = ledger.corrections.of(key) if detailed else []
        answers.append(
            Answer(
                cell,
                config.datasets[cell.dataset].source,
                status,
                _decides(config, cell, status),
                _next_action(config, status, planned.place.get(key), now),
                known.objects.get(key),
                known.first_seen.get(key),
                attempts,
                changes,
                score and score[0],
                score and score[1],
                planned.place.get(key),
                ledger.runs.by_id({a.run for a in attempts} | {c.run for c in changes}),
                learnt.get(key),
            )
        )
    return answers


@dataclass(frozen=True, slots=True)
class Schedules:
    """The games that the schedules in the lake list, as the ledger knows them, or as they were just `read`."""

    ledger: Ledger
    read: Mapping[str, Examination] = field(default_factory=dict)

    def that_list(self, game: str) -> list[str]:
        """The keys of the schedules that list a game."""
        found = [key for key, seen in self.read.items() if any(game == listed.id for listed in seen.verdict.games)]
        return found or self.ledger.games.schedules_that_list(game)

    def verdicts(self, keys: Collection[str]) -> dict[str, Verdict]:
        """What is known of the schedules with these keys."""
        examined = self.ledger.objects.examined(keys)
        return {key: seen.verdict for key, seen in {**self.read, **examined}.items() if key in keys}


async def schedules_of(session: Session) -> Schedules:
    """The schedules of a lake. They are read if the ledger knows nothing of the lake, or if there is no ledger."""
    config, ledger = session.config, session.ledger
    if ledger.objects.count():
        return Schedules(ledger)
    calendar = calendar_cells(config, session.now(), Selection())
    return Schedules(
        ledger, await examine_cells(session, {c.key: c for c in calendar if config.datasets[c.dataset].lists_games})
    )


class _Planned:
    """What the plans in the ledger, and a plan made now, say about the gaps of a look.

    What the last run has left for later stays left until the next run, whatever somebody has planned since. So its
    reasons go before those of a later plan.
    """

    def __init__(self, session: Session, look: Look):
        # By key, the place in the plan of the run that is at work, else in the last plan that has the file.
        self.place: dict[str, Mapping[str, Any]] = {}
        self.score: dict[str, tuple[float, Mapping[str, Any]]] = {}  # total and parts, by key
        self._deferred: dict[str, Reason] = {}  # by key
        gaps, now = look.gaps(), session.now()
        if not gaps:
            return
        wanted = {gap.cell.key for gap in gaps}
        last_run = session.ledger.plans.kept(RUN)
        last_plan = session.ledger.plans.kept(PLAN, since=last_run.at if last_run else None)
        kept = [plan for plan in (last_run, last_plan) if plan and plan.at <= session.horizon()]
        at_work = last_run is not None and session.leases.is_at_work(last_run.run)
        for plan in reversed(kept) if at_work else kept:
            self._read_fills(plan, wanted, at_work=at_work and plan is last_run)
        for plan in reversed(kept):
            # Without an end, it was a switch, which a plan made now has too; with an end that is past, it is over.
            reasons = plan.reasons(wanted).items()
            self._deferred |= {key: reason for key, reason in reasons if reason.until and reason.until > now}
        present = Planner(session).plan(gaps, look.known.absences, ends=session.begun)  # pauses are of the real clock
        for fill in present.fills:
            for key in fill.keys:
                self.score.setdefault(key, (round(fill.score.total, 6), fill.score.parts()))
        self._deferred |= {d.gap.cell.key: d.reason for d in present.deferred}

    def _read_fills(self, plan: KeptPlan, wanted: set[str], *, at_work: bool) -> None:
        """Reads where in a kept plan the wanted keys are. It is a promise only while the plan's run is at work."""
        fills = plan.fills
        for position, fill in enumerate(fills, 1):
            for key in wanted & set(fill["keys"]):
                self.score[key] = (fill["score"], fill["score_parts"])
                self.place[key] = {
                    "position": position,
                    "of": len(fills),
                    "fill": fill["id"],
                    "starts": fill["starts"],
                    "eta": fill["eta"],
                    "at": _iso(plan.at),
                    "run": plan.run,
                    "at_work": at_work,
                }

    def status_of(self, key: str, status: Status) -> Status:
        """The status of a cell, deferred if it is a gap that one of the plans defers."""
        if status.state is State.GAP and key in self._deferred:
            deferred = deferred_by(self._deferred[key], status)
            return replace(deferred, reason=f"{status.reason}; {deferred.reason}")
        return status


def cells_of(config: Config, schedules: Schedules, text: str, now: datetime) -> dict[str, Cell]:
    """The cells that a text stands for, by key."""
    if not text.isprintable():  # it may not even be Unicode, which PostgreSQL refuses
        return {}
    if day := _day(text):
        return cells_of_selection(config, schedules, Selection(since=day, until=day), now)
    if is_pattern(text):
        # A pattern: only datasets whose folders can match it are looked at.
        names = tuple(n for n, d in config.datasets.items() if any(_reaches(text, key) for key in d.keys))
        cells = cells_of_selection(config, schedules, Selection(datasets=names), now) if names else {}
        matches = re.compile(translate(text)).match
        return {key: cell for key, cell in cells.items() if cell.dataset in names and matches(key)}
    if "/" not in text:
        return _of_game(config, schedules, text, now)
    name, fields = KeyPatterns(config).match(text) or (None, {})
    if name is None:
        return {}
    if "id" in fields:
        cells = _of_game(config, schedules, fields["id"], now)
    else:
        cells = _of_calendar(config, {text: (name, fields)}, now)
    return {text: cells[text]} if text in cells else {}


def cells_of_selection(config: Config, schedules: Schedules, selection: Selection, now: datetime) -> dict[str, Cell]:
    calendar = list(calendar_cells(config, now, selection))
    cells = {cell.key: cell for cell in calendar if selection.has(cell.dataset, config.datasets[cell.dataset])}
    lists = {cell.key: cell for cell in calendar if config.datasets[cell.dataset].lists_games}
    return cells | _games_of(config, schedules, lists, now, selection)


def _of_game(config: Config, schedules: Schedules, game: str, now: datetime) -> dict[str, Cell]:
    """The cells of one game, by the schedules that list it."""
    keys = schedules.that_list(game)
    patterns = KeyPatterns(config)
    lists = _of_calendar(config, {key: match for key in keys if (match := patterns.match(key))}, now)
    cells = _games_of(config, schedules, lists, now, Selection())
    return {key: cell for key, cell in cells.items() if cell.game and cell.game.id == game}


def _of_calendar(
    config: Config, matches: Mapping[str, tuple[str, Mapping[str, str]]], now: datetime
) -> dict[str, Cell]:
    """The cells that follow from the calendar, of keys that match a dataset with some fields."""
    cells: dict[str, Cell] = {}
    for key, (name, fields) in matches.items():
        with suppress(ValueError):  # there is no such day or season
            chosen = Selection(datasets=(name,), seasons=(season_of_fields(fields),))
            cells |= {cell.key: cell for cell in calendar_cells(config, now, chosen) if cell.key == key}
    return cells


def _games_of(
    config: Config, schedules: Schedules, lists: Mapping[str, Cell], now: datetime, selection: Selection
) -> dict[str, Cell]:
    verdicts = schedules.verdicts(lists.keys())
    return {
        cell.key: cell
        for name, games in listed_games(config, lists.values(), verdicts).items()
        for cell in game_cells(config, name, games, now, selection)
    }


def _decides(config: Config, cell: Cell, status: Status) -> str:
    """What decides when the state changes: a setting, a schedule, a run or a person."""
    dataset, name = config.datasets[cell.dataset], cell.dataset
    if status.limit is Limit.EXAMINE_AT_MOST:
        return status.limit.value
    match status.state:
        case State.GAP if status.limit is Limit.OBSTACLE:
            return "whoever removes what stands at its key"
        case State.GAP if status.kind is Kind.UNREADABLE:
            return "the lake, which cannot give the file"
        case State.NOT_DUE if cell.game is not None and not cell.game.status.settled:
            return f"the schedule {dataset.schedule}, which calls the game {cell.game.status.value}"
        case State.NOT_DUE if status.limit is Limit.NOT_PUBLISHED:
            return f"datasets.{name}.refresh"
        case State.NOT_DUE:
            return f"datasets.{name}.due_after"
        case State.UNAVAILABLE if status.limit is Limit.OPERATOR:
            return "an operator, with `adce unavailable`"
        case State.UNAVAILABLE:
            return "reconcile.unavailable, or `adce unavailable clear`"
        case State.IN_FLIGHT:
            return "the run that is fetching it"
        case State.DEFERRED if status.until and status.limit in (Limit.NOT_PUBLISHED, Limit.DISAGREEMENT):
            return f"the source, which is asked again from {utc(status.until)}"
        case State.DEFERRED if status.limit is Limit.MAX_FILLS and status.of == GIVEN_CAP:
            return "`--max-fills`, or the parameter max_fills, of the run"
        case State.DEFERRED if status.limit is Limit.MAX_FILLS and status.of:
            return "reconcile.max_fills_by_priority"
        case State.DEFERRED if status.limit:
            decider = _DECIDES.get(status.limit, status.limit.value)
            return decider.format(of=status.of, dataset=name, source=dataset.source)
        case State.PRESENT if status.until:
            return f"datasets.{name}.refresh" if cell.game is None else "reconcile.look_again"
        case State.PRESENT:
            return "the body check " + dataset.check.name
        case _:
            return "the next run" if status.kind is None else f"the next run: it is {status.kind.value}"


def _next_action(config: Config, status: Status, place: Mapping[str, Any] | None, now: datetime) -> str:
    """What happens to the file next, and when."""
    when = utc(status.until) if status.until else None
    match status.state:
        case State.GAP if status.limit is Limit.OBSTACLE:
            return "not fetched until what stands at its key is removed; then fetched by the next run"
        case State.GAP if status.kind is Kind.UNREADABLE:
            return (
                "not fetched; every run tries to read it. Make it readable; or delete it, or name its key to `fill`, "
                "and it is fetched"
            )
        case State.DEFERRED if status.limit is Limit.EXAMINE_AT_MOST:
            return f"read by a run from {when} on, when its turn comes" if when else "none until that is changed"
        case State.PRESENT:
            return f"looked at again from {when}" if when else "none"
        case State.NOT_DUE:
            return f"fetched by the first run from {when}" if when else "fetched when its schedule calls the game final"
        case State.UNAVAILABLE | State.DEFERRED:
            return f"looked for again by the first run from {when}" if when else "none until that is changed"
        case State.IN_FLIGHT:
            return "being fetched now"
        case _ if place and place["at_work"]:
            eta = datetime.fromisoformat(place["eta"]) if place["eta"] else None
            return "fetched by the run of the plan" + (f", about {utc(eta)}" if eta and eta > now else "")
        case _:
            return f"fetched by the next run; {how_often(config.reconcile.interval)}"


def _nearest(config: Config, schedules: Schedules, text: str, now: datetime) -> str:
    """Why a text stands for no file, and what it may have meant."""
    if not text.isprintable():
        return f"{text!r}: no file has such a key, since a key has printable characters only"
    if why_not := _why_not_collected(config, schedules, text, now):
        return f"{text}: not collected: {why_not}"
    if day := _day(text):
        why = why_no_season(min(dataset.first_season for dataset in config.datasets.values()), day, now)
        return f"{text}: nothing is expected of that day" + (f": {why}" if why else "")
    if is_pattern(text):
        return (
            f"{text}: no file that the lake should hold has a key of this pattern. * matches any text, / too, ? one "
            "character, and [01] one of these; schedules that were not read yet list no games"
        )
    if text in config.datasets:
        return f"{text}: a dataset; name a file of it, such as {' or '.join(config.datasets[text].keys)}, or a pattern"
    if text in config.sources:
        names = [name for name, dataset in config.datasets.items() if dataset.source == text]
        return f"{text}: a source, with the datasets {', '.join(names)}; name a file, a pattern, a date or a game"
    if "/" not in text:
        return (
            f"{text}: no key, no pattern with * ? [], no date, and no game of a schedule that a run has read; "
            f"{_instead_of(config, text) or '`adce datasets` lists the keys'}"
        )
    matched = KeyPatterns(config).match(text)
    if matched:
        name, fields = matched
        found = ", ".join(f"{field} {value}" for field, value in fields.items())
        dataset = config.datasets[name]
        not_listed = (
            f"no schedule of {dataset.schedule} that has been read lists such a game to be played; `adce plan` reads "
            "the schedules, and names what is unknown"
        )
        why_not = not_listed if dataset.per == "game" else why_not_expected(dataset, fields, now)
        return f"{text}: has the shape of {name} ({found}), but is not expected: {why_not}"
    templates = [(key, name) for name, dataset in config.datasets.items() for key in dataset.keys]
    key, name = max(templates, key=lambda pair: SequenceMatcher(None, text, pair[0]).ratio())
    return f"{text}: no dataset has such a key; the nearest is {key} of {name}"


def _instead_of(config: Config, text: str) -> str | None:
    """What to type instead of a date without hyphens, or of a key without its folder; None for another text."""
    if re.fullmatch(r"\d{8}", text) and (day := _day(f"{text[:4]}-{text[4:6]}-{text[6:]}")):
        return f"a date is written as {day}"
    folders = {fixed_folder(key) for dataset in config.datasets.values() for key in dataset.keys}
    keys = [key for folder in sorted(folders) if KeyPatterns(config).match(key := f"{folder}/{text}")]
    return f"a key begins with its folder: {' or '.join(keys)}" if keys else None


def _why_not_collected(config: Config, schedules: Schedules, text: str, now: datetime) -> str | None:
    """The setting that leaves out the files that a text stands for; None if it is not for a setting."""
    if config.collect == Collect():
        return None
    lake = collected(config)
    for cell in cells_of(config.model_copy(update={"collect": Collect()}), schedules, text, now).values():
        return (
            lake.why_not_dataset(cell.dataset)
            or lake.why_not_day(cell.season, cell.last_day)
            or (lake.why_not_type(cell.game.season_type) if cell.game else None)
        )
    # The ledger does not know a game whose schedule was never read.
    name, fields = KeyPatterns(config).match(text) or (None, {"id": text})
    if name and (why_not := lake.why_not_dataset(name)):
        return why_not
    if "id" not in fields:
        return None
    sources = [config.datasets[name].source] if name else config.sources
    seasons = {
        source: season_of_game(source, fields["id"], b"")
        for source in sources
        if re.fullmatch(config.sources[source].game_id, fields["id"])
    }
    if len(seasons) > 1:  # an id of the NBA has the form of one of ESPN as well
        seasons = {source: season for source, season in seasons.items() if season}
    for source, season in seasons.items():
        return lake.why_not_source(source) or (lake.why_not_season(season) if season else None)
    return None


def _reaches(pattern: str, template: str) -> bool:
    """Whether a pattern can match keys of a template, by what both begin with. A * matches folders, too."""
    begins, folder = re.split(r"[*?[]", pattern, maxsplit=1)[0], fixed_folder(template) + "/"
    return begins.startswith(folder) or folder.startswith(begins)


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern of keys."""
    return bool(set(text) & set("*?["))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def keys_of(config: Config, schedules: Schedules, texts: Iterable[str], now: datetime) -> dict[str, Cell]:
    """The cells that some texts stand for, by key. Raises SelectionError for a text that stands for none."""
    cells: dict[str, Cell] = {}
    for text in texts:
        if not (found := cells_of(config, schedules, text, now)):
            raise SelectionError(_nearest(config, schedules, text, now))
        # For a date, only the files of that date alone, not those of its month and season.
        cells |= {key: cell for key, cell in found.items() if not _day(text) or cell.first_day == cell.last_day}
    return cells
