"""How is the overview written: all sections, each of which can be asked for alone?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from tasks.answers.health import STALE_AFTER, Health
from tasks.answers.history import History
from tasks.answers.service import Recorded, Snapshot
from tasks.domain.assess.unknown import by_dataset
from tasks.show.coverage.grid import grid_of
from tasks.show.coverage.shades import legend_of
from tasks.show.documents.service import Tasks
from tasks.show.status.happened import FIRST_RUNS, happened_of
from tasks.show.status.links import Links
from tasks.show.status.templates import TEMPLATES
from tasks.show.status.whole import whole_of
from tasks.show.status.work import MOST_LATER, work_of
from tasks.show.status.wrong import wrong_of

# The sections in the order in which an operator asks, each with its heading.
SECTIONS: Mapping[str, str] = {
    "whole": "Is it whole?",
    "wrong": "What is wrong now?",
    "holes": "Where are the holes?",
    "work": "What does it do, and what does it wait for?",
    "happened": "What happened?",
}


@dataclass(frozen=True)
class Overview:
    """The overview of a snapshot, while what is `away` does not answer."""

    found: Snapshot
    away: Sequence[str]
    health: Health
    plan: Tasks
    past: History | None  # None until it was read
    links: Links
    link_to_run: Callable[[str], str | None]  # the address of a flow run's page in Prefect's UI

    def section(self, name: str) -> str:
        """A section alone: what the script of the page puts in the place of the former one."""
        if name not in self._sections:
            self._sections[name] = self._section(name)
        return self._sections[name]

    def _section(self, name: str) -> str:
        return TEMPLATES.get_template(f"{name}.html").render(**self._values, name=name)

    def page(self, etag_of: Callable[[str], str]) -> str:
        """The whole page, which has the ETag of each section, too."""
        sections = {name: (heading, self.section(name)) for name, heading in SECTIONS.items()}
        return TEMPLATES.get_template("overview.html").render(**self._values, sections=sections, etag_of=etag_of)

    @cached_property
    def _sections(self) -> dict[str, str]:
        return {}  # those that are written

    @cached_property
    def _values(self) -> dict[str, Any]:
        look = self.found.recorded
        every = self.found.config.serve.refresh
        return {
            "found": self.found,
            "away": self.away,
            "links": self.links,
            "health": self.health,
            "look": look and look.coverage,
            "unknown": by_dataset(look.unknown) if look else (),
            "whole": look and whole_of(self.found, look),
            "wrong": wrong_of(self.found, self.health),
            "heatmap": look and _heatmap(look, self.links),
            "work": work_of(self.found, self.plan),
            "most_later": MOST_LATER,
            "first": FIRST_RUNS,
            "happened": happened_of(self.found, self.past, self.link_to_run),
            "every": every,
            "stale_after": STALE_AFTER * every,
            "old": self._old,
        }

    @cached_property
    def _old(self) -> Old | None:
        return old_of(self.found)


@lru_cache(maxsize=2)
def _heatmap(look: Recorded, links: Links) -> str:
    """The heatmap of a look, which takes longest to write and stays until the next look; empty without any season."""
    grid = grid_of(look.coverage)
    if not grid.columns:
        return ""
    shades = legend_of(look.coverage.total)
    return TEMPLATES.get_template("heatmap.html").render(grid=grid, legend_shades=shades, links=links)


@dataclass(frozen=True, slots=True)
class Old:
    """As of when a look is, and after how long it counts as old."""

    as_of: datetime
    after: timedelta
    is_old: bool


def old_of(found: Snapshot) -> Old | None:
    """How old the recorded look is. That of a sandbox, which has its own clock, is as old as the end of its run."""
    look = found.recorded
    if look is None:
        return None
    as_of = found.finished if found.config.sandbox else look.coverage.as_of
    if as_of is None:
        return None
    after = STALE_AFTER * found.config.reconcile.interval
    return Old(as_of, after, found.at - as_of > after)


def nothing_read(links: Links) -> str:
    """The page before the ledger was read for the first time."""
    text = (
        "The ledger has not been read yet. The first run makes it; if there was one, load this page again in some "
        "seconds. /health says what does not answer."
    )
    return TEMPLATES.get_template("notice.html").render(title="Not read yet", text=text, links=links)
