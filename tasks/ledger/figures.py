"""What do the rows of the last days say of how well the lake was kept? Reads them for `adce report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from tasks.domain.assess.states import Kind
from tasks.domain.flow_names import DEPLOYED, RECONCILE
from tasks.domain.outcomes import IN_LAKE
from tasks.domain.success import Done, DueFile, Longest, Span
from tasks.ledger.attempts import files_table, fills_table
from tasks.ledger.database import Database, among, rows
from tasks.ledger.gaps import gaps_table
from tasks.ledger.runs import DEATHS, EVERYTHING, runs_table

_NOT_THERE = [kind.value for kind in (Kind.MISSING, Kind.VANISHED)]
_FILE, _FILL, _GAP, _RUN = files_table.c, fills_table.c, gaps_table.c, runs_table.c
_IS_STORED = _FILE.outcome.in_([outcome.value for outcome in IN_LAKE])
_STORED_AT = sa.func.coalesce(_FILE.stored, _FILE.at)


@dataclass(frozen=True, slots=True)
class Figures:
    """The recorded facts of a span of time. Attempts are those of fills that have begun in it."""

    database: Database

    def first(self) -> datetime | None:
        """When the first run or fill began that is still recorded; None without one. Older ones may be pruned."""
        found = [self._scalar(sa.select(sa.func.min(column))) for column in (_RUN.began, _FILL.started)]
        return min(filter(None, found), default=None)

    def due_files(self, after: datetime, before: datetime) -> list[DueFile]:
        """The files that became due between two times and were seen to be missing then."""
        stored_at = sa.case((_IS_STORED, _STORED_AT))
        attempts = (
            sa.select(_FILL.dataset, _FILE.key, _FILE.due, _FILE.detected, stored_at)
            .join(fills_table, _FILE.fill_id == _FILL.id)
            .where(_FILL.started >= after, _FILL.kind == Kind.MISSING.value, _FILE.due.between(after, before))
        )
        is_open = (_GAP.kind == Kind.MISSING.value) & _GAP.due.between(after, before)
        gaps = sa.select(_GAP.dataset, _GAP.key, _GAP.due, _GAP.first_seen).where(is_open)

        found = {key: DueFile(dataset, due, seen, None, True) for dataset, key, due, seen in self._driver_rows(gaps)}
        tried: dict[str, DueFile] = {}  # grouped here, because SQLite would sort all attempts to group them
        for dataset, key, due, detected, stored in self._driver_rows(attempts):
            one = DueFile(dataset, due, detected, stored, is_gap=key in found)
            tried[key] = tried[key].or_earlier(one) if key in tried else one
        return list((found | tried).values())

    def gaps_without_due(self) -> int:
        """The number of missing files of which it is not recorded when they were due."""
        is_one = (_GAP.kind == Kind.MISSING.value) & _GAP.due.is_(None)
        return self._scalar(sa.select(sa.func.count()).select_from(gaps_table).where(is_one)) or 0

    def runs(self, after: datetime, before: datetime) -> list[Span]:
        """When the runs that dispatch fills were at work.

        One that has died, or has not ended, was at work until its last fill: when it died is not recorded.
        """
        of_run = (_FILL.run == _RUN.id) & (_FILL.started >= _RUN.began)
        last = sa.select(sa.func.max(_FILL.ended)).where(of_run).scalar_subquery()
        has_ended = _RUN.ended.is_not(None) & _RUN.outcome.not_in([end.value for end in DEATHS])
        ended = sa.case((has_ended, _RUN.ended), else_=sa.func.coalesce(last, _RUN.began))
        query = sa.select(_RUN.began, ended).where(_RUN.kind.in_(DEPLOYED), _RUN.began <= before)
        return [Span(*row) for row in self._rows(query.where(sa.func.coalesce(_RUN.ended, last) >= after))]

    def fills(self, after: datetime, before: datetime) -> list[Done]:
        """The fills that began between two times and have stored files, in the order of their starts."""
        query = sa.select(_FILL.started, _FILL.ended, _FILL.stored).order_by(_FILL.started)
        stored = _FILL.started.between(after, before) & (_FILL.stored > 0) & _FILL.ended.is_not(None)
        return [Done(*row) for row in self._rows(query.where(stored))]

    def reconciles(self, after: datetime, before: datetime) -> list[Span]:
        """When those reconciles were at work that began between two times and ended, in the order of their starts."""
        is_one = (_RUN.kind == RECONCILE) & _RUN.ended.is_not(None) & _RUN.outcome.not_in([end.value for end in DEATHS])
        query = sa.select(_RUN.began, _RUN.ended).where(is_one, _RUN.began.between(after, before))
        return [Span(*row) for row in self._rows(query.order_by(_RUN.began))]

    def refusals(self, after: datetime, before: datetime) -> dict[str, int]:
        """How many requests each source has refused. Sources without any are left out."""
        query = (
            sa.select(_FILL.source, sa.func.sum(_FILE.refusals))
            .join(fills_table, _FILE.fill_id == _FILL.id)
            .where(_FILL.started.between(after, before), _FILE.refusals > 0)
            .group_by(_FILL.source)
        )
        return {source: int(count) for source, count in self._rows(query)}

    def cycles(self, after: datetime, before: datetime) -> list[float]:
        """How many seconds reconciles of the whole lake took from their start to their plan."""
        is_one = (_RUN.kind == RECONCILE) & (_RUN.about == EVERYTHING) & _RUN.cycle_seconds.is_not(None)
        query = sa.select(_RUN.cycle_seconds).where(is_one, _RUN.began.between(after, before))
        return [seconds for (seconds,) in self._rows(query)]

    def longest_open(self) -> list[Longest]:
        """Of each dataset, the file that has not been there for the longest time, and how many are not there."""
        seen, is_not_there = sa.type_coerce(_GAP.first_seen, sa.Double), _GAP.kind.in_(_NOT_THERE)
        by_dataset = sa.select(_GAP.dataset, sa.func.min(seen), sa.func.count()).where(is_not_there)
        of_dataset = {dataset: both for dataset, *both in self._driver_rows(by_dataset.group_by(_GAP.dataset))}
        is_one = is_not_there & seen.in_([oldest for oldest, _ in of_dataset.values()])
        keys = sa.select(_GAP.dataset, seen, sa.func.min(_GAP.key)).where(is_one).group_by(_GAP.dataset, seen)
        return [
            Longest(dataset, key, datetime.fromtimestamp(at, UTC), None, of_dataset[dataset][1])
            for dataset, at, key in self._driver_rows(keys)
            if of_dataset[dataset][0] == at
        ]

    def longest_closed(self, after: datetime, before: datetime) -> list[Longest]:
        """Of each dataset, that stored file that was not there for the longest time after its detection."""
        lasted = sa.type_coerce(_STORED_AT, sa.Double) - sa.type_coerce(_FILE.detected, sa.Double)
        place = sa.func.row_number().over(partition_by=_FILL.dataset, order_by=(lasted.desc(), _FILE.key))
        stored = (
            sa.select(_FILL.dataset, _FILE.key, _FILE.detected, _STORED_AT.label("stored"), place.label("place"))
            .join(fills_table, _FILE.fill_id == _FILL.id)
            .where(_FILL.started.between(after, before), _FILL.kind.in_(_NOT_THERE))
            .where(_IS_STORED, _FILE.detected.is_not(None))
            .subquery()
        )
        query = sa.select(*(stored.c[name] for name in ("dataset", "key", "detected", "stored")))
        return [Longest(*row) for row in self._rows(query.where(stored.c.place == 1))]

    def errors(self, before: Mapping[str, datetime]) -> dict[str, str]:
        """Why the last attempt at each of these files has not stored it, of those before a time; both by key."""

        def read(connection: sa.Connection) -> dict[str, str]:
            of_keys = among(connection, _FILE.key, before)
            query = sa.select(_FILE.key, _FILE.at, _FILE.error).where(of_keys, _FILE.error.is_not(None))
            found = connection.execute(query.order_by(_FILE.id))
            return {key: error for key, at, error in found if at < before[key]}

        return self.database.read(read) if before else {}

    def _rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        return self.database.read(lambda connection: list(connection.execute(query)))

    def _driver_rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """The rows as the driver returns them, which takes a third of the time. Times are numbers then."""
        return self.database.read(lambda connection: list(rows(connection, query)))

    def _scalar(self, query: sa.Select[Any]) -> Any:
        return self.database.read(lambda connection: connection.execute(query).scalar())
