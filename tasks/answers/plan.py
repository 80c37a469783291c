"""What would a reconcile do that began now?"""

from __future__ import annotations

from datetime import datetime

from config.models import Config
from tasks.answers.report import Report
from tasks.domain.expected.cells import Selection
from tasks.observe.look import Look, Reader, look_at_lake
from tasks.observe.planner import Planner
from tasks.observe.session import Session, open_session


async def plan_lake(
    config: Config, selection: Selection, *, as_of: datetime | None = None, max_fills: int | None = None
) -> Report:
    """The plan of a reconcile that would begin now. Nothing is fetched, and nothing is recorded in the ledger."""
    async with open_session(config, selection, as_of=as_of) as session:
        look = await look_at_lake(session, Reader(session), remember=False)
        return report_of(session, look, Planner.of_a_look(session, max_fills))


def report_of(session: Session, look: Look, planner: Planner) -> Report:
    """The report with the plan that follows from a look at the lake."""
    plan = planner.plan(look.gaps(session.selection.keys), look.known.absences)
    return Report(
        look.overview,
        planner.forecast(plan.fills),
        plan.deferred,
        session.config,
        planner.pauses(),
        held=planner.held(),
        performance=session.ledger.attempts.performance(),
        rollouts=planner.rollouts(),
        list_requests=look.known.list_requests,
        selection=session.selection,
    )
