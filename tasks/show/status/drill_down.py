"""How is written what lies behind the overview: a season of a dataset, a month or a date of it, and a file?"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.answers.season import Season
from tasks.answers.why import Answer
from tasks.domain.assess.coverage import Hole, Row, Tally
from tasks.domain.assess.periods import By
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.assess.unknown import by_dataset
from tasks.domain.reasons import Limit
from tasks.show.coverage.shades import legend_of
from tasks.show.status.links import Links
from tasks.show.status.templates import TEMPLATES

MOST_HOLES = 200  # that a page lists
MOST_ATTEMPTS = 20
_NO_MONTH = "files that are not of one month"


@dataclass(frozen=True, slots=True)
class Month:
    """A row of the calendar: a month, or the files that are not of one month if its span is empty."""

    span: str
    name: str
    days: Mapping[int, Row]
    total: Tally
    holes: int


@dataclass(frozen=True, slots=True)
class HoleLine:
    """A hole, and why and until when it is one, as a list of holes says it."""

    key: str
    status: Status
    reason: str
    when: str


def hole_line(hole: Hole) -> HoleLine:
    """The line of a hole. A reason for which it is left for later does not say what is wrong with it, so this does."""
    status = hole.status
    is_told = status.state is not State.DEFERRED or status.kind in (None, Kind.MISSING)
    reason = status.reason if is_told else f"{status.kind}; {status.reason}"
    is_next = status.state is State.GAP and status.kind is not Kind.UNREADABLE and status.limit is not Limit.OBSTACLE
    when = "by the next run" if is_next and not status.until else status.until_in_words
    return HoleLine(hole.key, status, reason, when)


def season_page(found: Season, links: Links) -> str:
    """A season of a dataset: its months and dates, and the first of its holes."""
    months = _months(found)
    return TEMPLATES.get_template("season.html").render(
        found=found,
        links=links,
        total=found.coverage.total,
        months=months,
        by_day=any(month.days for month in months),
        legend_shades=legend_of(found.coverage.total),
        unknown=by_dataset(found.unknown),
        holes=list(map(hole_line, found.holes[:MOST_HOLES])),
        more=max(0, len(found.holes) - MOST_HOLES),
    )


def span_page(found: Season, span: str, links: Links) -> str:
    """A month or a date of a season, or the files that are not of one month if `span` is empty: its first holes."""
    by = By.DATE if len(span) == 10 else By.MONTH
    holes = [hole for hole in found.holes if _is_within(hole, span)]
    tallies = [row.tally for row in found.coverage.rows(by) if row.span == span]
    return TEMPLATES.get_template("span.html").render(
        found=found,
        links=links,
        span=span,
        name=_name(span) if len(span) < 10 else span,
        total=tallies[0] if tallies else Tally(),
        holes=list(map(hole_line, holes[:MOST_HOLES])),
        more=max(0, len(holes) - MOST_HOLES),
    )


def file_page(answer: Answer, link_to_run: Callable[[str], str | None], links: Links) -> str:
    """A file: why it is in the lake, or why not, as `adce why` says it. `link_to_run` has a flow run's address."""
    return TEMPLATES.get_template("file.html").render(
        answer=answer,
        cell=answer.cell,
        status=answer.status,
        links=links,
        span=_span_of(answer),
        no_month=_NO_MONTH,
        attempts=answer.attempts[:MOST_ATTEMPTS],
        more=max(0, len(answer.attempts) - MOST_ATTEMPTS),
        link_to_run=link_to_run,
    )


def _span_of(answer: Answer) -> str:
    cell = answer.cell
    if cell.first_day == cell.last_day:
        return cell.first_day.isoformat()
    is_month = cell.first_day.replace(day=1) == cell.last_day.replace(day=1)
    return cell.first_day.isoformat()[:7] if is_month else ""


def _is_within(hole: Hole, span: str) -> bool:
    return hole.span.startswith(span) if span else not hole.span


def _months(found: Season) -> Sequence[Month]:
    dates = [row for row in found.coverage.rows(By.DATE) if row.span]
    return [
        Month(
            row.span,
            _name(row.span),
            {int(one.span[8:]): one for one in dates if row.span and one.span.startswith(row.span)},
            row.tally,
            sum(_is_within(hole, row.span) for hole in found.holes),
        )
        for row in sorted(found.coverage.rows(By.MONTH), key=lambda row: row.span)
    ]


def _name(span: str) -> str:
    return f"{calendar.month_name[int(span[5:7])]} {span[:4]}" if span else _NO_MONTH
