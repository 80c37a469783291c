"""What does a look at the lake list? It follows from who has begun it, and from whether events are proved to arrive."""

from __future__ import annotations

from datetime import datetime

from tasks.domain.assess.scope import Scope, scope_of
from tasks.domain.event_path import COMES_WITHIN, EventPath, event_path
from tasks.ledger import Ledger
from tasks.ledger.announcements import WatchRecord
from tasks.observe.session import Session


def path_of(ledger: Ledger, watch: WatchRecord, now: datetime) -> EventPath:
    """The state of the way that the events of a watch take."""
    overdue = [moment - COMES_WITHIN for moment in (watch.read_to, now) if moment]
    awaited = ledger.announcements.last_awaited(watch.since, overdue)
    return event_path(now, watch.progress, watch.read_to, watch.returned, awaited)


def scope_of_look(session: Session, watch: WatchRecord | None, *, is_held: bool) -> Scope:
    """What a look lists that a schedule has started. It `is_held` if everything was judged by the present rules."""
    return scope_of(
        session.config.reconcile.verify_every,
        is_scheduled=session.as_of is None,
        is_everything=session.selection.is_everything,
        is_folder=session.lake.folder is not None,
        path=watch and path_of(session.ledger, watch, session.now()),
        is_held=is_held,
    )
