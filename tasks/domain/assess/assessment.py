"""Where does the whole lake stand?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from config.models import Config, Dataset, Unavailability
from tasks.domain.assess.absences import Absence
from tasks.domain.assess.absences import status_of as absence_status
from tasks.domain.assess.agreement import Disagreement, by_key
from tasks.domain.assess.finality import awaited_again, games_final_after, over_at, published_by
from tasks.domain.assess.states import Examination, Kind, LakeObject, State, Status, Unreadable, state_of, taken_at
from tasks.domain.assess.unknown import Unknown
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected.cells import Cell, Selection, calendar_cells, game_cells
from tasks.domain.expected.games import Game, each_once
from tasks.domain.flags.rollouts import scrapers
from tasks.domain.plan.plan import Gap
from tasks.domain.reasons import Limit
from tasks.domain.times import SKEW

_EVERY_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Claim:
    """Another run is at a request: which run, and until when that is known."""

    run: str
    holder: str
    until: datetime


@dataclass(frozen=True, repr=False)
class Assessment:
    """The state of every selected cell at one moment, by key."""

    cells: Mapping[str, Cell]
    statuses: Mapping[str, Status]
    taken_at: datetime
    unseen: Sequence[Cell] = ()  # whose stored body is to be read: never read, by a former check only, or unreadable
    never_read: int = 0  # of the unseen
    by_former_checks: int = 0  # of the unseen: they count by what a former check has found
    unknown: tuple[Unknown, ...] = ()  # of the selected datasets of games, what their schedules do not tell
    unknown_keys: tuple[str, ...] = ()  # asked for, and no schedule that is known lists them
    # Schedule datasets that were not asked for, each with the datasets that need it.
    needed_by: Mapping[str, str] = field(default_factory=dict)

    def gaps(self, first_seen: Mapping[str, datetime], named: Collection[str] = ()) -> list[Gap]:
        """The gaps that are to be fetched, each with when it was first seen: now, if never before.

        A file that the lake has and cannot give is fetched only if its key is `named`, and one that something else
        stands in place of is not fetched at all.
        """
        return [
            Gap(cell := self.cells[key], status.kind, self._why(cell, status), first_seen.get(key, self.taken_at))
            for key, status in self.statuses.items()
            if status.state is State.GAP
            and status.kind is not None
            and (status.kind is not Kind.UNREADABLE or (key in named and status.limit is not Limit.OBSTACLE))
        ]

    @cached_property
    def lost(self) -> dict[str, Status]:
        """Files that vanished or shrank without ADCE's doing, but for those that an operator has marked unavailable."""
        return {key: s for key, s in self.statuses.items() if s.lost and s.limit is not Limit.OPERATOR}

    def _why(self, cell: Cell, status: Status) -> str:
        needs = self.needed_by.get(cell.dataset)
        return f"{status.reason}; needed by {needs}" if needs else status.reason


def expected_cells(
    config: Config, games_by_schedule: Mapping[str, Iterable[Game]], selection: Selection, now: datetime
) -> dict[str, Cell]:
    """All selected cells by key: those of the calendar, and those of the games that each schedule dataset lists.

    The schedules that selected games need belong to them. Of a selection by key there are these cells only.
    """
    cells = {cell.key: cell for cell in calendar_cells(config, now, selection)}
    for schedule, games in games_by_schedule.items():
        for cell in game_cells(config, schedule, games, now, selection):
            cells[cell.key] = cell
    if selection.keys:
        return {key: cells[key] for key in selection.keys if key in cells}
    return cells


def listed_games(config: Config, schedules: Iterable[Cell], verdicts: Mapping[str, Verdict]) -> dict[str, list[Game]]:
    """The games of each schedule dataset, each once, by the one entry that counts of those in all its files."""
    entries: dict[str, list[Game]] = defaultdict(list)
    for cell in schedules:
        if config.datasets[cell.dataset].lists_games and cell.key in verdicts:
            entries[cell.dataset] += verdicts[cell.key].games
    return {schedule: each_once(games) for schedule, games in entries.items()}


def assess(
    config: Config,
    cells: Mapping[str, Cell],
    objects: Mapping[str, LakeObject],
    known: Mapping[str, Examination],
    checks: Mapping[str, str],
    now: datetime,
    absences: Mapping[str, Absence] | None = None,
    claims: Mapping[str, Claim] | None = None,
    unreadable: Mapping[str, Unreadable] | None = None,
    disagreements: Iterable[Disagreement] = (),
    obstacles: Mapping[str, str] | None = None,
    horizon: datetime | None = None,
) -> Assessment:
    """The one state of each cell; see states.state_of.

    `known` is what was found in each body that was read, and `checks` names each scraper's check; `unreadable` are
    those that the lake could not give. Of the gaps, some are not to be fetched now: what the source
    has none of (`absences`, by key), and what another run is at (`marks`, by Cell.work). `disagreements` are the
    schedules that list fewer games than another source's, and `obstacles` what stands at a key in place of a file.
    No time after the `horizon` is believed: see times.horizon.
    """
    horizon = horizon or now + SKEW
    absences, claims, unreadable, obstacles = absences or {}, claims or {}, unreadable or {}, obstacles or {}
    looks = config.reconcile.look_again
    read_from = now + config.reconcile.interval if config.reconcile.examine_at_most else None
    settings = {name: (dataset, checks[name]) for name, dataset in scrapers(config).items()}
    final_after = {name: games_final_after(config, name) for name in config.datasets}
    differences = by_key(disagreements)
    statuses = {}
    unseen = []
    never_read = by_former_checks = 0
    for key, cell in cells.items():
        dataset, check = settings[cell.scraper]
        have, seen, current, is_unread = objects.get(key), known.get(key), None, False
        if have is not None:
            if seen is not None and seen.is_by(check, have):
                current = seen
            else:
                current = seen if seen is not None and seen.is_of(have) else None
                is_unread = have.size >= dataset.min_bytes
        status = state_of(cell, dataset, have, seen, current, looks, now, final_after[cell.dataset], horizon)
        if is_unread:
            refused = unreadable.get(key)
            if refused is not None and have is not None and not refused.is_of(have):
                refused = None
            unseen.append(cell)
            never_read += refused is None and current is None
            by_former_checks += refused is None and current is not None
            status = _unread(status, refused, read_from)
        elif have is None and key in obstacles:
            status = _obstructed(status, obstacles[key])
        if key in differences:
            status = _differing(status, differences[key], now)
        if status.state is State.GAP:
            is_good = have is not None and seen is not None and seen.good and seen.is_of(have)
            ended = None
            if have is not None and current is not None and key not in differences:
                ended = _taken_after_its_end(cell, dataset, have, current, now, horizon)
            status = _instead(cell, status, is_good, ended, config, absences, claims, now, horizon)
        if is_unread and status.state is State.GAP and status.kind is Kind.INVALID:
            reason = f"to be read anew; a former check found: {status.reason}"
            status = replace(status, state=State.DEFERRED, reason=reason, until=read_from, limit=Limit.EXAMINE_AT_MOST)
        statuses[key] = status
    return Assessment(cells, statuses, now, unseen, never_read, by_former_checks)


def _unread(status: Status, refused: Unreadable | None, read_from: datetime | None) -> Status:
    """The status of a file that the present check has not read, and that a run from `read_from` on reads."""
    if status.state is State.NOT_DUE:
        return status
    if refused is not None:
        reason = f"cannot be read since {refused.first:%Y-%m-%d}: {refused.reason}"
        return Status(State.GAP, reason, Kind.UNREADABLE, lost=status.lost)
    return replace(status, until=read_from) if status.limit is Limit.EXAMINE_AT_MOST else status


def _obstructed(status: Status, what: str) -> Status:
    """The status of a file in whose place something else stands."""
    if status.state is not State.GAP:
        return status
    reason = f"{what} stands at this key; remove it"
    reason = f"{reason}; {status.reason}" if status.lost else reason
    return Status(State.GAP, reason, Kind.UNREADABLE, lost=status.lost, limit=Limit.OBSTACLE)


def _differing(status: Status, differences: Sequence[Disagreement], now: datetime) -> Status:
    """The status of a schedule that lists fewer games than another source's, if nothing else is wrong with it."""
    if status.state is not State.PRESENT:
        return status
    looks = [(look, one.what) for one in differences if (look := one.next_look())]
    if not looks:
        reason = f"{status.reason}; {differences[0].what}, which further looks did not change"
        return replace(status, reason=reason, limit=Limit.DISAGREEMENT)
    again, what = min(looks)
    if now >= again:
        return Status(State.GAP, what, Kind.STALE)
    return Status(State.DEFERRED, what, Kind.STALE, until=min(again, status.until or again), limit=Limit.DISAGREEMENT)


def _awaited(
    cell: Cell, dataset: Dataset, gap: Status, absence: Absence, rules: Unavailability, now: datetime
) -> Status | None:
    """What a gap is whose source did not have the list, and will; None when it is to be looked for now.

    It is not due while it may not be published yet. One that was there is lacking, and so is one that should have been
    there when the source was asked; it may say what it likes.
    """
    again = awaited_again(dataset, cell.season, absence.last)
    if dataset.per == "date":  # a day that is over should have its page: by every run at first, and later every day
        said = absence_status(absence, rules, now)
        again = min(said.until, absence.last + _EVERY_DAY) if said and said.until else None
    if again is None or now >= again:
        return None
    if gap.kind is Kind.MISSING and absence.last < published_by(dataset, cell.season, cell.last_day):
        reason = f"not published yet: {absence.evidence}"
        return Status(State.NOT_DUE, reason, until=again, limit=Limit.NOT_PUBLISHED)
    reason = f"the source does not have it now: {absence.evidence}"
    return replace(gap, state=State.DEFERRED, reason=reason, until=again, limit=Limit.NOT_PUBLISHED)


def _taken_after_its_end(
    cell: Cell, dataset: Dataset, have: LakeObject, current: Examination, now: datetime, horizon: datetime
) -> datetime | None:
    """When a list was taken, if that was after its day, month or season had ended.

    Of one with open ends that somebody else has stored that is not known: they may have taken it long before. One with
    open ends does not count while its season runs.
    """
    is_open = current.verdict.wholeness is not Wholeness.WHOLE
    if is_open and (current.fetched is None or awaited_again(dataset, cell.season, now) is not None):
        return None
    taken = taken_at(have, current, now, horizon)
    return taken if taken and dataset.per != "game" and taken >= over_at(dataset, cell.last_day) else None


def _instead(
    cell: Cell,
    gap: Status,
    is_good: bool,
    ended: datetime | None,
    config: Config,
    absences: Mapping[str, Absence],
    claims: Mapping[str, Claim],
    now: datetime,
    horizon: datetime,
) -> Status:
    """What a gap is, if it is not one for this run.

    `is_good`: the lake has the right document, whole or not. `ended`: the gap is a list that was taken then, after its
    end. If its source does not have it any more, no later version of it will come.
    """
    dataset, absence = config.datasets[cell.dataset], absences.get(cell.key)
    believed_until = min(now + SKEW, horizon)
    if absence and not absence.counts(cell.due_at, believed_until, config.reconcile.unavailable.expires):
        absence = None
    if absence and absence.note is None and gap.kind is Kind.UNREADABLE:
        absence = None
    may_come = awaited_again(dataset, cell.season, now) is not None
    said = absence_status(absence, config.reconcile.unavailable, now) if absence else None
    is_unavailable = said is not None and said.state is State.UNAVAILABLE
    is_last_version = ended is not None and gap.kind is Kind.STALE and is_unavailable
    if absence and absence.note is not None and gap.kind is Kind.STALE and may_come:
        absence = None  # there is one by now, and it grows
    if absence and absence.note is None and may_come and not is_last_version:
        if awaited := _awaited(cell, dataset, gap, absence, config.reconcile.unavailable, now):
            return awaited
    elif absence and said:
        if gap.kind is Kind.STALE and cell.game is not None:
            return Status(State.PRESENT, f"complete; looked at again for corrections: {said.reason}", until=said.until)
        if gap.kind is Kind.STALE and ended and absence.note is None:
            return Status(State.PRESENT, f"taken on {ended:%Y-%m-%d}, after its end; {said.reason}", until=said.until)
        said = replace(said, kind=gap.kind, lost=gap.lost)
        if is_unavailable and is_good:
            return replace(said, reason=f"{said.reason}; a partial version is kept", partial=True)
        return said
    if claim := claims.get(cell.work):
        return replace(gap, state=State.IN_FLIGHT, reason=f"being fetched by {claim.holder}", until=claim.until)
    return gap
