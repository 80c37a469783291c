"""What has the lake shown before an event told of it? It is recorded, and what no event ever tells is counted."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from tasks.domain.arrivals import UNKNOWN, LastChange, Unannounced
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Content, LakeObject
from tasks.domain.wording import duration, plural
from tasks.ledger.events import Shown
from tasks.observe.knowledge import Knowledge
from tasks.observe.listing import Findings
from tasks.observe.session import Session, listed_datasets

log = logging.getLogger(__name__)

_TOLD_WITHIN = timedelta(minutes=15)  # a change of which no event has told for so long counts as missed


def record_listing(
    session: Session,
    known: Knowledge,
    judged: Collection[str],
    gaps: Collection[Gap],
    closed: Collection[str],
    listed_since: datetime,
) -> None:
    """Records the `gaps` that a listing has shown, which are new, and the keys of those that are `closed`.

    Every file was listed at least once since the time `listed_since`.

    While events are watched, it also records the changes of files before an event told of them, and counts those that
    were missed. `judged` are the files that the look has judged. What was learnt after the lake was asked stays.
    """
    ledger, now = session.ledger, session.now()
    watch = ledger.announcements.watch(now)
    changed = _changed(session, known, judged) if watch else set()
    asked = {key: known.as_of(key) for key in {gap.cell.key for gap in gaps}.union(closed, changed)}
    before = _last(session, asked)
    listed = {key: LastChange.of(known.objects.get(key), asked[key]) for key in changed & before.keys()}
    changes = _new(before, listed)
    told_later, new = unannounced(session, before, changes), {gap.cell.key: gap for gap in gaps}
    shown = Shown(before, changes, unannounced=told_later, gaps=new, closed=set(closed))
    for at in set(asked.values()):
        ledger.events.show(shown.among({key for key, time in asked.items() if time == at}), known.objects, at)
    if watch is None:
        return
    for folder, count in ledger.announcements.count_missed(now - _TOLD_WITHIN).items():
        log.warning("%s: no event has told of %s within %s", folder, plural(count, "change"), duration(_TOLD_WITHIN))
    if session.selection.is_everything and known.inventory is None:
        ledger.announcements.listed(listed_since)


def record_findings(session: Session, found: Findings, objects: Mapping[str, LakeObject], at: datetime) -> None:
    """Records what was found in bodies that were read after a time, of files that the lake lists as these objects.

    Versions of which no event has told are recorded as such while events are watched. What was learnt meanwhile stays.
    """
    before = _last(session, dict.fromkeys(found.read.keys() | found.unreadable.keys(), at))
    versions = {
        key: LastChange(Content(seen.etag, seen.size), have.modified if have and seen.is_of(have) else None)
        for key, seen in found.read.items()
        if key in before
        for have in [objects.get(key)]
    }
    new = unannounced(session, before, versions)
    shown = Shown(before, read=found.read, unreadable=found.unreadable, unannounced=new)
    session.ledger.events.show(shown, objects, at)


def unannounced(
    session: Session, before: Mapping[str, LastChange | None], after: Mapping[str, LastChange]
) -> dict[str, Unannounced]:
    """The changes of files that have happened while events are watched, and of which an event has yet to tell."""
    now = session.now()
    watch = session.ledger.announcements.watch(now)
    if watch is None:
        return {}
    new = _new(before, after).items()
    shown = {key: Unannounced.of(change, before[key] or UNKNOWN, now) for key, change in new}
    return {key: change for key, change in shown.items() if change.changed > watch.since}


def _changed(session: Session, known: Knowledge, judged: Collection[str]) -> set[str]:
    """The files that may have changed since they were last read or stored."""
    changed = {key for key in judged if not known.is_as_read(key)}
    if session.selection.is_everything:
        listed = listed_datasets(session)
        unread = filter(known.has_asked, session.ledger.objects.not_read())
        changed |= {key for key in unread if session.keys.dataset_of(key) in listed}
    return changed


def _last(session: Session, asked: Mapping[str, datetime]) -> dict[str, LastChange | None]:
    """The last known changes of some files, without those of which anything was learnt after the lake was asked."""
    last, latest = session.ledger.objects.last(asked), session.horizon()
    newer = {key for key, one in last.items() if one.is_learnt_between(asked[key], latest)}
    return {key: last[key].change if key in last else None for key in asked if key not in newer}


def _new(before: Mapping[str, LastChange | None], after: Mapping[str, LastChange]) -> dict[str, LastChange]:
    """The changes that lead to other versions than were known before."""
    return {key: change for key, change in after.items() if change.content != (before[key] or UNKNOWN).content}
