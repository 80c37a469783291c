"""Which judgements of former looks still hold, and which does this look replace?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import config.models
import tasks.domain
from blocks.listing import KeyRange, Listing
from config.models import Config
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import Overview, Stored
from tasks.domain.assess.partitions import Judgement, by_partition, games_digest, judgement_of
from tasks.domain.assess.ranges import KeyRanges, Verified, changed, on_rotation
from tasks.domain.assess.states import LakeObject, State
from tasks.domain.expected import seasons
from tasks.domain.expected.cells import Cell, Partition, Selection, game_cells, games_from
from tasks.domain.expected.games import Game, by_season
from tasks.domain.expected.keys import folders
from tasks.domain.times import SKEW
from tasks.ledger.judgements import Made, Recalled
from tasks.observe.knowledge import Knowledge
from tasks.observe.session import Session, listed_datasets

# The clocks of a look and of a watch may differ, and it takes a while until what the watch has learnt is in the ledger.
_COMMITTED_WITHIN = 2 * SKEW
# The settings that judgements rest on. Of what is not judged yet, no judgement is held.
_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("collect", "datasets", "rollout"), True),
    "reconcile": {"look_again": True, "unavailable": {"looks", "over", "expires"}},
}


class Held:
    """The judgements that still hold, by partition. A look judges the other partitions anew."""

    def __init__(self, recalled: Recalled = Recalled(), rules: str = ""):  # noqa: B008  # it is immutable
        self._recalled = recalled
        self._rules = rules
        self._judgements = dict(recalled.judgements)
        self._ranges = KeyRanges()  # into which the listing is cut
        self._digests: dict[str, str] = {}  # of those of these ranges that were listed, by their starts
        self._changed: set[str] = set()  # the starts of those that are not as they were
        self._cells: dict[str, Cell] = {}  # of the exceptions, by key
        self._games: dict[Partition, str] = {}  # the digests of the games that schedules list now
        self._made: dict[Partition, Made] = {}  # those of the judgements that this look has made
        self._cut = self._ranges  # the ranges by which it makes them

    def __bool__(self) -> bool:
        return bool(self._judgements)

    def __contains__(self, partition: object) -> bool:
        return partition in self._judgements

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Drops the judgements of partitions that are to be judged anew."""
        for partition in partitions:
            self._judgements.pop(partition, None)

    def is_of_everything(self, session: Session) -> bool:
        """Does the ledger have a judgement of every partition by the present rules, and a digest of every range?"""
        recalled = self._recalled
        return recalled.is_complete and bool(recalled.partitions) and recalled.ranges.keys() >= set(_starts(session))

    def ranges_to_list(
        self, session: Session, calendar: Iterable[Cell], now: datetime, following: datetime, since: datetime
    ) -> list[KeyRange]:
        """The ranges of keys in which something can have changed, and those whose turn it is to be verified.

        They are those of the files whose judgement does not hold any more, of which anything was learnt since they
        were listed, or that list games, and the folders of datasets without files, where others may be. `following` is
        when the next look is to come, and all events since `since` were watched.
        """
        recalled, every = self._recalled, session.config.reconcile.verify_every
        ranges = KeyRanges(recalled.ranges)
        schedules = [cell.key for cell in calendar if session.config.datasets[cell.dataset].lists_games]
        told = self._told(session, ranges)
        starts = set(ranges.over([*recalled.expired, *recalled.touched.values(), *told, *schedules]))
        with_files = {partition.dataset for partition in self.stored()}
        empty = (one for name, one in listed_datasets(session).items() if name not in with_files)
        starts.update(*(ranges.within(folder) for folder in folders(empty)))
        rest = {start: one.at for start, one in recalled.ranges.items() if start not in starts}
        if every is not None:
            starts.update(on_rotation(rest, every, now, following, since))
        return ranges.spans(starts)

    def _told(self, session: Session, ranges: KeyRanges) -> list[str]:
        """The files of whose changes events have told since their ranges were listed."""
        listed = {start: one.at - _COMMITTED_WITHIN for start, one in self._recalled.ranges.items() if one.at}
        if not listed:
            return []
        told = session.ledger.objects.told_since(min(listed.values()))
        return [key for key, at in told.items() if (since := listed.get(ranges.of(key))) is None or at > since]

    def not_listed(self, keys: Iterable[str], objects: Listing) -> list[KeyRange]:
        """The ranges of some keys that were not listed yet."""
        if objects.is_whole:
            return []
        return [one for one in self._ranges.spans(self._ranges.over(keys)) if not objects.has_listed(*one)]

    def drop_changed(self, session: Session, calendar: Mapping[str, Cell], objects: Listing) -> None:
        """Drops the judgements outside the selection, and those whose files may have changed in the lake or ledger.

        All partitions that have a key in a range of keys that has changed are dropped. Of a range that was not listed,
        it is taken to be as it was when it was last listed.
        """
        before = {start: one.digest for start, one in self._recalled.ranges.items()}
        ranges = KeyRanges([*before, *_starts(session)])
        is_new = not before and objects.is_whole  # then the digests, of large ranges, say nothing
        self._ranges = ranges
        self._digests = dict.fromkeys(ranges.starts, "") if is_new else objects.digests(ranges.starts)
        self._changed = changed(before, self._digests)
        same = before.keys() - self._changed
        touched = {ranges.of(key) for key in self._recalled.touched.values()}
        expected = {cell.partition for cell in calendar.values()}
        for partition, held in list(self._judgements.items()):
            dataset = session.config.datasets[partition.dataset]
            is_selected = partition in expected
            if dataset.schedule:
                is_selected = session.selection.has(partition.dataset, dataset)
            is_same = is_selected and bool(held.ranges) and same.issuperset(held.ranges)
            is_same = is_same and touched.isdisjoint(held.ranges)
            cells = _exceptional_cells(session, calendar, partition, held) if is_same else {}
            if is_same and len(cells) == len(held.exceptions):
                self._cells |= cells
            else:
                self.drop([partition])
        obstacles = session.lake.obstacles(self._cells)
        self.drop({self._cells[key].partition for key in obstacles})

    @property
    def is_first(self) -> bool:
        """Is nothing known of what the lake listed at a former look?"""
        return not self._recalled.ranges

    def changed_among(self, keys: Iterable[str]) -> list[str]:
        """Those of some keys that lie in ranges in which the lake lists other files than at the last look."""
        return [key for key in keys if self._ranges.of(key) in self._changed]

    def last_listed(self, keys: Iterable[str]) -> dict[str, datetime]:
        """When the ranges of some files were listed before this look, by key, as far as that is known."""
        ranges = KeyRanges(self._recalled.ranges)
        found = {key: self._recalled.ranges.get(ranges.of(key)) for key in keys}
        return {key: one.at for key, one in found.items() if one and one.at}

    def verified_since(self, begun: datetime) -> datetime:
        """When that range was listed that was not listed for the longest time, after a look that has `begun` then."""
        rest = (one.at for start, one in self._recalled.ranges.items() if start not in self._digests)
        return min([begun, *filter(None, rest)])

    def _verified(self, session: Session, digests: Mapping[str, str], begun: datetime | None) -> dict[str, Verified]:
        """What each range has held when it was last listed: now, or before if it is not in `digests`.

        The lake was listed after it had `begun`, which is None if an inventory was read instead. The times are kept
        only where ranges are listed on a rotation, so that otherwise nothing changes with each look.
        """
        at = begun if session.config.reconcile.verify_every else None
        return {**self._recalled.ranges, **{start: Verified(digest, at) for start, digest in digests.items()}}

    def has_all(self, datasets: Collection[str]) -> bool:
        """Does every judgement of these datasets hold?"""
        return all(partition in self for partition in self._recalled.partitions if partition.dataset in datasets)

    def seasons_to_judge(self, datasets: Collection[str]) -> set[str]:
        """The seasons of which a judgement of these datasets does not hold any more."""
        return {p.season for p in self._recalled.partitions if p.dataset in datasets and p not in self}

    def compare_games(
        self,
        settings: Config,
        schedule: str,
        games: Iterable[Game],
        selection: Selection,
        seasons: Collection[str] | None = None,
    ) -> None:
        """Drops the judgements of the games of a schedule dataset that lists other games in that season now.

        If there are `seasons`, the games are those of these seasons, and the others list the same as before.
        """
        digests = {season: games_digest(listed) for season, listed in by_season(games).items()}
        for dataset in games_from(settings, schedule, selection):
            self._games |= {Partition(dataset, season): digest for season, digest in digests.items()}
            held = [(partition, one) for partition, one in self._judgements.items() if partition.dataset == dataset]
            changed = [partition for partition, one in held if digests.get(partition.season) != one.games]
            self.drop(partition for partition in changed if seasons is None or partition.season in seasons)

    def cut(self, objects: Listing) -> None:
        """Cuts the ranges that have changed, before judgements are made by them."""
        self._cut = self._ranges.cut(self._changed, objects)

    def hold(self, session: Session, judged: Assessment, known: Knowledge) -> None:
        """Holds the judgements of partitions that were judged as a whole, unless they hold for no time."""
        for partition, part in by_partition(judged).items():
            judgement = self._judgement(session, partition, part, known, known.objects)
            if judgement.is_current(judged.taken_at):
                self._judgements[partition] = judgement
                self._made[partition] = Made.of(judgement, part.cells)
                self._cells |= {file.key: part.cells[file.key] for file in judgement.exceptions}

    def gaps(self) -> list[str]:
        """The keys of the gaps in held partitions."""
        files = chain.from_iterable(held.exceptions for held in self._judgements.values())
        return [file.key for file in files if file.status.state is State.GAP]

    def among(self, session: Session, keys: Collection[str]) -> set[str]:
        """Those of some keys that are of held partitions."""
        found = {file.key for held in self._judgements.values() for file in held.exceptions}.intersection(keys)
        rest = set(keys) - found
        for partition, held in self._judgements.items():
            made = self._made.get(partition)
            ranges = self._cut if made else self._ranges
            near = {key for key in rest if ranges.of(key) in held.ranges}
            if near:
                found |= near.intersection(made.keys() if made else session.ledger.judgements.keys(partition))
        return found

    def stored(self) -> dict[Partition, Stored]:
        """The files of held partitions that are in the lake, and their bytes."""
        return {partition: held.stored for partition, held in self._judgements.items() if held.stored.files}

    def overviews(self, now: datetime) -> Iterator[Overview]:
        """The overview of each held partition."""
        for partition, held in self._judgements.items():
            yield held.overview(partition, self._cells, now)

    def replace(self, session: Session, judged: Assessment, known: Knowledge, objects: Listing) -> None:
        """Records the judgements of this look in the ledger, beside those that hold. `objects` is what it has listed.

        Only a look at everything does, since the judgements of games must be of the schedules as they were judged last.
        """
        if not session.selection.is_everything:
            return
        self.cut(objects)
        digests = objects.digests(self._cut.starts) if self._changed else self._digests
        verified = self._verified(session, digests, None if known.inventory else known.begun)
        new = dict(self._made)
        for partition, part in by_partition(judged).items():
            judgement = self._judgement(session, partition, part, known, objects.among(part.cells))
            new[partition] = Made.of(judgement, part.cells)
        former = self._judgements.keys() - self._made.keys()
        session.ledger.judgements.keep(new, former, self._rules, self._recalled, verified)

    def _judgement(
        self,
        session: Session,
        partition: Partition,
        part: Assessment,
        known: Knowledge,
        objects: Mapping[str, LakeObject],
    ) -> Judgement:
        """The judgement of a partition whose files were judged."""
        return judgement_of(
            partition,
            part,
            objects,
            known.examinations,
            known.absences,
            {one.key for one in known.disagreements},
            self._cut,
            self._games.get(partition, ""),
            session.config.reconcile.unavailable.expires,
        )


def _starts(session: Session) -> list[str]:
    """The keys at which a range starts in any case: the folders that are listed."""
    return [f"{folder}/" for folder in folders(listed_datasets(session).values())]


def recall(session: Session, now: datetime) -> Held:
    """The judgements of former looks that hold at `now` if what they rest on is unchanged."""
    rules = rules_of(session.config, session.checks, now)
    return Held(session.ledger.judgements.recall(rules, now), rules)


def rules_of(config: Config, checks: Mapping[str, str], now: datetime) -> str:
    """A digest of everything that judgements rest on and that is the same for all files: settings, checks, and code.

    `checks` has the id of each scraper's body check; see check_ids.
    """
    season = seasons.current_season(now)
    settings = config.model_dump(mode="json", include=_SETTINGS)
    rules = json.dumps([settings, checks, season, _code()], sort_keys=True)
    return hashlib.sha256(rules.encode()).hexdigest()


@cache
def _code() -> str:
    """A digest of the code that judges."""
    digest = hashlib.sha256()
    for package in (tasks.domain, config.models):
        for folder in package.__path__:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _exceptional_cells(
    session: Session, calendar: Mapping[str, Cell], partition: Partition, held: Judgement
) -> dict[str, Cell]:
    """The cells of the exceptions of a judgement, by key."""
    schedule = session.config.datasets[partition.dataset].schedule
    if schedule is None:
        return {file.key: calendar[file.key] for file in held.exceptions if file.key in calendar}
    games = dict.fromkeys(file.game for file in held.exceptions if file.game)
    chosen = Selection(datasets=(partition.dataset,))
    cells = {cell.key: cell for cell in game_cells(session.config, schedule, games, session.now(), chosen)}
    return {file.key: cells[file.key] for file in held.exceptions if file.key in cells}
