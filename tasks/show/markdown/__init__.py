"""How do a run, for its artifacts in the Prefect UI, and the report of the last days look in Markdown?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tasks.answers.headline import headline
from tasks.answers.report import COMPARED, Report
from tasks.answers.waiting import waiting
from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import by_season
from tasks.domain.success import Success
from tasks.domain.wording import duration, plural, score
from tasks.show.costs import COLUMNS, rows
from tasks.show.success import lines, tables
from tasks.show.templates import templates

_MOST_FILLS, _MOST_ROWS = 200, 200  # rows of a table


def run_markdown(report: Report) -> str:
    """The report of a run."""
    return _TEMPLATES.get_template("run.md.jinja").render(
        report=report,
        headline=headline(report),
        states=State,
        compared=COMPARED,
        rollouts=[row for name, rollout in report.comparisons.items() for row in rollout.rows(name)],
        sections=[(title, rows) for title, rows in _sections(report) if rows],
        took=duration(timedelta(seconds=report.seconds)),
        most=_MOST_ROWS,
    )


def plan_markdown(report: Report) -> str:
    """The fills in order, as a table, and what it takes to fetch all that is lacking.

    The long reasons are in the last column, since they widen it.
    """
    return _TEMPLATES.get_template("plan.md.jinja").render(
        fills=report.fills, most=_MOST_FILLS, columns=COLUMNS, costs=rows(report.cost)
    )


def success_markdown(success: Success) -> str:
    """How well the lake was kept."""
    return _TEMPLATES.get_template("success.md.jinja").render(lines=lines(success), tables=tables(success))


def _sections(report: Report) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """The tables of a report that follow the counts: the title of each, and its rows of subject and reason."""
    yield (
        "Vanished or shrunk",
        [(loss.key, loss.reason + ("; fetched again" if loss.mended else "")) for loss in report.lost],
    )
    yield "Refused", [(refusal.source, str(refusal)) for refusal in report.refusals]
    for title, word in (("Failed", "failed"), ("The source says that it has none", "absent")):
        yield title, [(o.key, o.error or "") for o in report.failed if o.label == word]
    yield "In the lake, and cannot be read", report.unreadable
    yield "Fewer games than another source tells of", report.differing
    misnamed = report.looked_at.misnamed
    yield "Do these files have other names than the keys say?", [(one.dataset, str(one)) for one in misnamed]
    yield "Unavailable, and kept as partial", [(key, reason) for key, reason, _ in report.partial]
    yield "Left for later", [(plural(group.files, "file"), str(group)) for group in waiting(report)]
    yield "Unavailable", [(plural(n, "file"), reason) for reason, n in report.marked_unavailable.items()]
    yield (
        "Unknown",
        [
            (f"{row['dataset']} {row['season']}", _needs(row["needs"], row["schedules"]))
            for row in by_season(report.unknown)
        ],
    )


def _needs(named: list[str], count: int) -> str:
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    return f"needs {', '.join(named)}{more}"


def _cell(text: str) -> str:
    """A text that is safe in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _setting(value: Any) -> str:
    """The value of a setting in one line; empty if there is no such setting."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_TEMPLATES = templates(Path(__file__).parent, cell=_cell, setting=_setting, score=score)
