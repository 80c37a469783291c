"""What is in the log of a run? Its plan, a line for each fill, and its end; of Prefect's own lines only the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from prefect.settings import PREFECT_LOGGING_LEVEL

from tasks.answers.ending import ending_of_fill
from tasks.answers.headline import headline
from tasks.answers.report import Report
from tasks.domain.outcomes import FileOutcome
from tasks.domain.plan.plan import Fill
from tasks.domain.wording import duration, plural

_MOST_FILLS = 3  # the first ones of a plan
# Lines of Prefect's engine at each task and subflow, of which the line about the fill says what matters.
_REPLACED = ("Created task run", "Created subflow run", "Submitted task run", "Executing", "Finished in state")
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def leave_out_lines_of_prefect() -> None:
    """Leaves lines of Prefect that are replaced out of this process's log. Further calls do nothing.

    With PREFECT_LOGGING_LEVEL=DEBUG they stay.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    is_replaced = record.module == "engine" and str(record.msg).startswith(_REPLACED)
    return not is_replaced or PREFECT_LOGGING_LEVEL.value() == "DEBUG"


def plan_lines(report: Report) -> Iterator[str]:
    """The plan of a run in a few lines: what is lacking, what each source is asked for, and the first fills.

    A run that leaves everything to another one has no plan.
    """
    if report.left_to:
        return
    yield f"plan: {headline(report)}"
    for source in report.cost.parts:
        yield f"plan: {source}"
    for fill in report.fills[:_MOST_FILLS]:
        files = plural(len(fill.gaps), f"{fill.kind.value} file")
        yield f"plan: first {fill.dataset} {fill.days}: {files}, {fill.priority.value}"
    if (more := len(report.fills) - _MOST_FILLS) > 0:
        yield f"plan: then {plural(more, 'more fill')}"


def fill_line(fill: Fill, outcomes: Sequence[FileOutcome], seconds: float, message: str) -> str:
    """A line about a fill that has ended. `message` says how, for files that have no outcome."""
    said = [ending_of_fill(outcomes).message] if outcomes else []
    if missed := len(fill.gaps) - len(outcomes):
        said.append(f"{plural(missed, 'file')} not done: {message}")
    return f"{fill.dataset} {fill.days} {fill.kind.value}: {'; '.join(said)}; {duration(timedelta(seconds=seconds))}"
