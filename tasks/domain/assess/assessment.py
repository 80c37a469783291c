"""In which state is each of some files?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from config.models import Config, Dataset, Unavailability
from tasks.domain.assess.absences import Absence
from tasks.domain.assess.absences import status_of as absence_status
from tasks.domain.assess.agreement import Disagreement, by_key
from tasks.domain.assess.claims import Claim, in_flight
from tasks.domain.assess.finality import awaited_again, games_final_after, over_at, published_by
from tasks.domain.assess.states import (
    NOT_READ,
    Examination,
    Kind,
    LakeObject,
    State,
    Status,
    Unreadable,
    state_of,
    taken_at,
)
from tasks.domain.assess.verdicts import Verdict, Wholeness
from tasks.domain.expected.cells import Cell, Partition, Selection, game_cells, games_from
from tasks.domain.expected.games import Game, by_season, deduplicated
from tasks.domain.flags.rollouts import scrapers
from tasks.domain.reasons import Limit
from tasks.domain.times import SKEW

_EVERY_DAY = timedelta(days=1)


@dataclass(frozen=True, repr=False)
class Assessment:
    """The state of each of some cells at one moment, by key."""

    cells: Mapping[str, Cell]
    statuses: Mapping[str, Status]
    taken_at: datetime
    unseen: Sequence[Cell] = ()  # cells whose stored body the present body check has not read
    never_read: int = 0  # how many of the unseen no body check has read
    by_former_checks: int = 0  # how many of the unseen are judged by what a former body check found

    def with_claims(self, claims: Mapping[str, Claim]) -> Assessment:
        """The same assessment, in which the gaps that other runs have claimed (by Cell.work) are in flight."""
        claimed = in_flight(self.cells, self.statuses, claims)
        return replace(self, statuses={**self.statuses, **claimed}) if claimed else self


def expected_cells(
    config: Config,
    calendar: Iterable[Cell],
    games_by_schedule: Mapping[str, Iterable[Game]],
    selection: Selection,
    now: datetime,
    without: Container[Partition] = (),
) -> dict[str, Cell]:
    """All selected cells by key: those of the calendar, and those of the games that each schedule dataset lists.

    `calendar` has the cells of the calendar. The schedules that selected games need are included, unless the selection
    names keys. The cells of the partitions in `without` are left out.
    """
    cells = {cell.key: cell for cell in calendar if (cell.dataset, cell.season) not in without}
    for schedule, games in games_by_schedule.items():
        for season, listed in by_season(games).items():
            datasets = [name for name in games_from(config, schedule, selection) if (name, season) not in without]
            chosen = replace(selection, datasets=tuple(datasets))
            for cell in game_cells(config, schedule, listed, now, chosen) if datasets else ():
                cells[cell.key] = cell
    if selection.keys:
        return {key: cells[key] for key in selection.keys if key in cells}
    return cells


def listed_games(config: Config, schedules: Iterable[Cell], verdicts: Mapping[str, Verdict]) -> dict[str, list[Game]]:
    """The games of each schedule dataset, from all its files. Each game is given once, by the entry that counts."""
    entries: dict[str, list[Game]] = defaultdict(list)
    for cell in schedules:
        if config.datasets[cell.dataset].lists_games and cell.key in verdicts:
            entries[cell.dataset] += verdicts[cell.key].games
    return {schedule: deduplicated(games) for schedule, games in entries.items()}


def assess(
    config: Config,
    cells: Mapping[str, Cell],
    objects: Mapping[str, LakeObject],
    known: Mapping[str, Examination],
    checks: Mapping[str, str],
    now: datetime,
    absences: Mapping[str, Absence] | None = None,
    unreadable: Mapping[str, Unreadable] | None = None,
    disagreements: Iterable[Disagreement] = (),
    obstacles: Mapping[str, str] | None = None,
    horizon: datetime | None = None,
) -> Assessment:
    """The one state of each cell; states.state_of decides it for a single cell.

    `objects`, `known`, `unreadable` and `obstacles` are by key: what the lake lists, what was found in the last version
    of each body that was read, which versions the lake could not deliver, and what stands at a key in place of a file.
    `checks` names the present body check of each scraper. Gaps are not to be fetched now if the source does not have
    them (`absences`, by key). `disagreements` are the schedules that list fewer final games than another source's.
    Times after the `horizon` are not trusted; see times.horizon.
    """
    horizon = horizon or now + SKEW
    absences, unreadable, obstacles = absences or {}, unreadable or {}, obstacles or {}
    looks = config.reconcile.look_again
    read_from = now + config.reconcile.interval if config.reconcile.examine_at_most else None
    not_read = replace(NOT_READ, until=read_from)
    settings = {name: (dataset, checks[name]) for name, dataset in scrapers(config).items()}
    final_after = {name: games_final_after(config, name) for name in config.datasets}
    # By dataset and variant, since Cell.scraper takes longer than to make this tuple
    by_scraper: dict[tuple[str, str], tuple[Dataset, str, timedelta]] = {}
    differences = by_key(disagreements)
    statuses = {}
    unseen = []
    never_read = by_former_checks = 0
    found = map(objects.get, cells), map(known.get, cells)
    for (key, cell), have, seen in zip(cells.items(), *found, strict=True):
        of = cell.dataset, cell.variant
        if of not in by_scraper:
            by_scraper[of] = *settings[cell.scraper], final_after[cell.dataset]
        dataset, check, final = by_scraper[of]
        current, is_unread = None, False
        if have is not None:
            if seen is not None and seen.is_of(have):
                current = seen
            if current is None or current.check != check:
                is_unread = have.size >= dataset.min_bytes
        status = state_of(cell, dataset, have, seen, current, looks, now, final, horizon)
        if is_unread:
            refused = unreadable.get(key)
            if refused is not None and have is not None and not refused.is_of(have):
                refused = None
            unseen.append(cell)
            never_read += refused is None and current is None
            by_former_checks += refused is None and current is not None
            status = _unread(status, refused, not_read)
        elif have is None and key in obstacles:
            status = _obstructed(status, obstacles[key])
        if key in differences:
            status = _differing(status, differences[key], now)
        if status.state is State.GAP:
            is_good = have is not None and seen is not None and seen.good and seen.is_of(have)
            ended = None
            if have is not None and current is not None and key not in differences:
                ended = _taken_after_its_end(cell, dataset, have, current, now, horizon)
            status = _status_of_gap(cell, status, is_good, ended, config, absences, now, horizon)
        if is_unread and status.state is State.GAP and status.kind is Kind.INVALID:
            reason = f"to be read anew; a former check found: {status.reason}"
            status = replace(status, state=State.DEFERRED, reason=reason, until=read_from, limit=Limit.EXAMINE_AT_MOST)
        statuses[key] = status
    return Assessment(cells, statuses, now, unseen, never_read, by_former_checks)


def _unread(status: Status, refused: Unreadable | None, not_read: Status) -> Status:
    """The status of a stored file that the present body check has not read.

    `refused` says that the lake could not deliver it. `not_read` is the status of a file that no check has read.
    """
    if status.state is State.NOT_DUE:
        return status
    if refused is not None:
        reason = f"cannot be read since {refused.first:%Y-%m-%d}: {refused.reason}"
        return Status(State.GAP, reason, Kind.UNREADABLE, lost=status.lost)
    return not_read if status is NOT_READ else status


def _obstructed(status: Status, obstacle: str) -> Status:
    """The status of a file at whose key there is something other than a file."""
    if status.state is not State.GAP:
        return status
    reason = f"{obstacle} stands at this key; remove it"
    reason = f"{reason}; {status.reason}" if status.lost else reason
    return Status(State.GAP, reason, Kind.UNREADABLE, lost=status.lost, limit=Limit.OBSTACLE)


def _differing(status: Status, differences: Sequence[Disagreement], now: datetime) -> Status:
    """The status of a schedule that lists fewer final games than another source's.

    It stays as it is if the schedule is a gap for another reason.
    """
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
    """The status of a missing list that its source may still publish; None if the list is to be requested now.

    The list is not due if it may not have been published when the source was last asked. It is deferred if it should
    have been published by then, or if the lake had it before: then its absence at the source is an error there.
    """
    again = awaited_again(dataset, cell.season, absence.last)
    if dataset.per == "date":  # the list of a past day should exist: each run asks for it at first, later once a day
        by_absence = absence_status(absence, rules, now)
        again = min(by_absence.until, absence.last + _EVERY_DAY) if by_absence and by_absence.until else None
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
    """When a list was taken from its source, if that was after its day, month or season had ended; else None.

    A list with open entries counts only after its season, and only if ADCE has fetched it: somebody else may have taken
    it from the source long before storing it.
    """
    is_open = current.verdict.wholeness is not Wholeness.WHOLE
    if is_open and (current.fetched is None or awaited_again(dataset, cell.season, now) is not None):
        return None
    taken = taken_at(have, current, now, horizon)
    return taken if taken and dataset.per != "game" and taken >= over_at(dataset, cell.last_day) else None


def _status_of_gap(
    cell: Cell,
    gap: Status,
    is_good: bool,
    ended: datetime | None,
    config: Config,
    absences: Mapping[str, Absence],
    now: datetime,
    horizon: datetime,
) -> Status:
    """The status of a gap: the gap itself if a run may fetch it now, else why no run should.

    `is_good` says that the lake has the right document, complete or not. `ended` is when the stored list was taken, if
    that was after its end; if its source no longer has it, no later version will come.
    """
    dataset, absence = config.datasets[cell.dataset], absences.get(cell.key)
    trusted_until = min(now + SKEW, horizon)
    if absence and not absence.counts(cell.due_at, trusted_until, config.reconcile.unavailable.expires):
        absence = None
    if absence and absence.note is None and gap.kind is Kind.UNREADABLE:
        absence = None
    may_come = awaited_again(dataset, cell.season, now) is not None
    by_absence = absence_status(absence, config.reconcile.unavailable, now) if absence else None
    is_unavailable = by_absence is not None and by_absence.state is State.UNAVAILABLE
    is_last_version = ended is not None and gap.kind is Kind.STALE and is_unavailable
    if absence and absence.note is not None and gap.kind is Kind.STALE and may_come:
        absence = None  # the list exists by now and grows, whatever the operator said before
    if absence and absence.note is None and may_come and not is_last_version:
        if awaited := _awaited(cell, dataset, gap, absence, config.reconcile.unavailable, now):
            return awaited
    elif absence and by_absence:
        until = by_absence.until
        if gap.kind is Kind.STALE and cell.game is not None:
            return Status(State.PRESENT, f"complete; looked at again for corrections: {by_absence.reason}", until=until)
        if gap.kind is Kind.STALE and ended and absence.note is None:
            return Status(State.PRESENT, f"taken on {ended:%Y-%m-%d}, after its end; {by_absence.reason}", until=until)
        status = replace(by_absence, kind=gap.kind, lost=gap.lost)
        if is_unavailable and is_good:
            return replace(status, reason=f"{status.reason}; a partial version is kept", partial=True)
        return status
    return gap
