"""When did a look at the lake last see the files that have vanished?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.observe.held import Held
from tasks.observe.knowledge import Knowledge
from tasks.observe.session import Session


def with_last_seen(session: Session, gaps: Collection[Gap], known: Knowledge, held: Held) -> list[Gap]:
    """The same gaps, which are new. Those of files that have vanished say when these were last seen, if that is known.

    No gap was known of them, so the last look has seen them that listed their range of keys, or the whole lake. If ADCE
    has fetched a file later, it was there then.
    """
    vanished = [gap.cell.key for gap in gaps if gap.kind is Kind.VANISHED]
    if not vanished:
        return list(gaps)
    look, listed = session.ledger.looks.last(), held.last_listed(vanished)
    seen: Mapping[str, list[datetime | None]] = {
        key: [listed.get(key) or (look and look.listed_since), seen and seen.fetched]
        for key in vanished
        for seen in [known.examinations.get(key)]
    }
    latest = {key: max(filter(None, times), default=None) for key, times in seen.items()}
    return [replace(gap, last_seen=latest.get(gap.cell.key)) for gap in gaps]
