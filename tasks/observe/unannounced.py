"""Which changes has a listing found before an event told of them? Those that no event tells of are counted."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta

from tasks.domain.arrivals import UNKNOWN, LastChange, Unannounced
from tasks.domain.assess.states import LearntBy
from tasks.domain.wording import duration, plural
from tasks.observe.knowledge import Knowledge
from tasks.observe.session import Session

log = logging.getLogger(__name__)

_TOLD_WITHIN = timedelta(minutes=15)  # a change of which no event has told for so long counts as missed


def record_unannounced(session: Session, known: Knowledge, judged: Collection[str]) -> None:
    """Records which changes a look has found before an event told of them, and counts those that were missed.

    `judged` are the files that the look has judged. Nothing is recorded while events are not watched.
    """
    ledger, now = session.ledger, session.now()
    watch = ledger.announcements.watch(now)
    if watch is None:
        return
    changed = known.first_read.union(key for key in judged if not known.is_as_read(key))
    if session.selection.is_everything:  # otherwise not every folder was listed
        changed |= ledger.objects.not_read()
    last, told = ledger.objects.last(changed), ledger.arrivals.of(changed)
    before = {key: last[key].change if key in last else UNKNOWN for key in changed}
    listed = {key: LastChange.of(known.objects.get(key), session.begun) for key in changed}
    read = known.first_read.difference(told)
    found = {key: change for key, change in listed.items() if key in read or change.content != before[key].content}
    ledger.arrivals.record({key: found[key] for key in found.keys() - read}, now, LearntBy.LISTING)
    shown = {key: Unannounced.of(change, before[key], now) for key, change in found.items()}
    ledger.announcements.found({key: change for key, change in shown.items() if change.changed > watch.since})
    for folder, count in ledger.announcements.count_missed(now - _TOLD_WITHIN).items():
        log.warning("%s: no event has told of %s within %s", folder, plural(count, "change"), duration(_TOLD_WITHIN))
    if session.selection.is_everything:
        ledger.announcements.listed(session.begun)
