"""Which files of a season does a dataset lack, as the last look and the ledger have it? The lake is not asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from blocks.store import Store
from config.models import Config
from tasks.answers.recorded import coverage_of, is_of, unknown_of
from tasks.answers.why import Schedules, cells_of_selection
from tasks.domain.assess.coverage import Coverage, Hole, Row, find_holes
from tasks.domain.assess.overview import overview_of
from tasks.domain.assess.periods import By
from tasks.domain.assess.states import State, deferred_by
from tasks.domain.assess.unknown import MayListMore
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Partition, Selection
from tasks.domain.expected.collected import collected
from tasks.ledger import Ledger
from tasks.ledger.plans import KeptPlan
from tasks.observe.look import look_at_recorded
from tasks.observe.session import Session


@dataclass(frozen=True)
class Season:
    """A season of a dataset: its coverage by date, its holes, and the schedules that may list more files."""

    dataset: str
    name: str
    coverage: Coverage
    holes: Sequence[Hole]
    unknown: Sequence[MayListMore]


def is_season(config: Config, dataset: str, season: str, now: datetime) -> bool:
    """Does the lake collect files of a dataset in a season? Any text may be given for both."""
    first = collected(config).first_seasons.get(dataset)
    try:
        year = seasons.start_year(season)
    except ValueError:
        return False
    if first is None:
        return False
    return seasons.start_year(first) <= year <= seasons.start_year(seasons.current_season(now))


def season_to_show(coverage: Coverage, dataset: str) -> str | None:
    """Where to look first: the newest season of a dataset with a hole, or else the newest one; None without any."""
    rows = [row for row in coverage.rows(By.SEASON) if row.dataset == dataset]
    lacking = [row.season for row in rows if row.tally.lacking]
    return max(lacking or [row.season for row in rows], default=None)


def season_now(config: Config, ledger: Ledger, dataset: str, season: str, plan: KeptPlan | None) -> Season | None:
    """A season as the last look at the whole lake has found it; None if no look at this lake is recorded.

    The holes are those that are there now, by the rules and the clock of that look. `plan` is that of the last run.
    """
    look = ledger.looks.recorded(of=Partition(dataset, season))
    if look is None or not is_of(look, config):
        return None
    selection = Selection(datasets=(dataset,), seasons=(season,))
    coverage, unknown = coverage_of(look, config, selection), unknown_of(look, config, selection)
    found = ledger.database.read_together(lambda: _holes(config, ledger, selection, look.taken_at, plan))
    counted = {row.span for row in coverage.finest}  # a sandbox counts the files of some days only
    return Season(dataset, season, coverage, [hole for hole in found if hole.span in counted], unknown)


def seasons_now(config: Config, ledger: Ledger, plan: KeptPlan | None) -> Iterator[Season]:
    """All seasons of all datasets, as `season_now` has each of them; none if no look at this lake is recorded."""
    look = ledger.looks.recorded()
    if look is None or not is_of(look, config):
        return
    whole = coverage_of(look, config, Selection())
    unknown = unknown_of(look, config, Selection())
    rows: dict[Partition, list[Row]] = defaultdict(list)
    for row in whole.finest:
        rows[Partition(row.dataset, row.season)].append(row)
    for partition, some in rows.items():
        coverage = replace(whole, finest=tuple(some))
        if coverage.total.lacking or coverage.total.unavailable:
            found = season_now(config, ledger, *partition, plan)
        else:
            mine = [part for part in unknown if (part.dataset, part.season) == partition]
            found = Season(*partition, coverage, (), mine)
        if found:
            yield found


def _holes(config: Config, ledger: Ledger, selection: Selection, at: datetime, plan: KeptPlan | None) -> list[Hole]:
    session = Session(config, selection, Store(config.lake), ledger, as_of=at)
    cells = cells_of_selection(config, Schedules(ledger), selection, at)
    cells = {key: cell for key, cell in cells.items() if cell.dataset in selection.datasets}
    overview = overview_of(look_at_recorded(session, cells).assessment)
    gaps = [key for key, status in overview.statuses.items() if status.state is State.GAP]
    later = plan.reasons(gaps) if plan else {}
    now = datetime.now(UTC)
    deferred = {
        key: deferred_by(reason, overview.statuses[key])
        for key, reason in later.items()
        if reason.until is None or reason.until > now
    }
    return find_holes(overview.with_statuses(deferred))
