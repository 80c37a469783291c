"""What will the first runs of a lake collect, what does that take, and how can it be less?"""

from __future__ import annotations

import logging

from config.models import Config
from tasks.answers.plan import report_of
from tasks.domain.errors import AdceError
from tasks.domain.expected.cells import Selection
from tasks.domain.expected.collected import collected
from tasks.domain.flow_names import RECONCILE
from tasks.observe.look import Reader, look_at_lake
from tasks.observe.planner import Planner
from tasks.observe.session import Session, open_session

log = logging.getLogger(__name__)


async def before_the_first_run(config: Config) -> list[str]:
    """What there is to say before the first reconcile of everything; nothing if there was one.

    No stored file is read, since that can take long. In the sandbox, runs are of a few days only. If the lake or the
    ledger cannot be read, there is nothing to say here either, since the run itself reports it.
    """
    if config.sandbox:
        return []
    try:
        async with open_session(config, Selection()) as session:
            if not session.ledger.runs.is_first(RECONCILE):
                return []
            look = await look_at_lake(session, Reader(session, 0), remember=False)
            report = report_of(session, look, Planner.of_a_look(session))
            what, how = about(config)
            return [what, *map(str, report.cost.parts), how]
    except AdceError as error:
        log.debug("what the first runs collect cannot be told: %s", error)
        return []


def is_first(session: Session) -> bool:
    """Is this session the first reconcile of its lake, and one of everything?"""
    return session.selection.is_everything and session.ledger.runs.is_first(RECONCILE, session.id)


def about(config: Config) -> tuple[str, str]:
    """What the first run collects, and how to narrow it. What that takes is in the plan of the run."""
    return (
        f"the first run of this lake; it is to hold {collected(config).in_words(config)}",
        "to collect less, set `collect` in the configuration: since, seasons, sources, datasets or season_types; "
        "`adce plan` shows what that takes",
    )
