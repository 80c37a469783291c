"""What does the service answer at each path, out of a snapshot of the ledger? Bytes, ready to be sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any

from markupsafe import Markup

from config.secrets import without_secrets
from deployments.prefect_api.settings import api_url, link_to_run
from deployments.serve.paths import (
    BADGE,
    COVERAGE,
    HTML,
    INCIDENTS,
    INDEX,
    JSON,
    METRICS,
    OF_SECTIONS,
    PATHS,
    RATE_LIMITS,
    STATUS,
    SVG,
    TASKS,
)
from tasks.answers.health import Health, Verdict
from tasks.answers.history import History
from tasks.answers.service import Recorded, Snapshot
from tasks.domain.assess.periods import By
from tasks.domain.expected.collected import collected
from tasks.domain.metrics import CHECKS, Measured
from tasks.show.badge import badge, completeness
from tasks.show.documents.coverage import CoverageAnswer
from tasks.show.documents.document import Document
from tasks.show.documents.incidents import IncidentsAnswer
from tasks.show.documents.service import RateLimits, Status, Tasks
from tasks.show.exposition import OPEN_METRICS, TEXT, open_metrics, text
from tasks.show.status import Links, Overview, form

_DIGEST = 16  # characters
_END = b"# EOF\n"  # of metrics in the format of OpenMetrics


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, its type, the digest of both, and as of when it is; an answer that is always the same has no time."""

    body: bytes
    type: str
    etag: str
    as_of: datetime | None = None


def answer(body: bytes, type: str, as_of: datetime | None = None) -> Answer:
    """An answer with this body."""
    digest = hashlib.sha256(type.encode() + b"\n" + body).hexdigest()[:_DIGEST]
    return Answer(body, type, f'"{digest}"', as_of)


def in_json(document: Document, type: str = JSON, as_of: datetime | None = None) -> Answer:
    """An answer with a document, without secrets."""
    return answer(written(document.as_json()), type, as_of)


def written(value: Any) -> bytes:
    """A value as JSON, without secrets, and with a line break at its end. Raises ValueError for NaN and infinity."""
    return json.dumps(without_secrets(value), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def writers(
    found: Snapshot, away: Sequence[str], health: Health, past: History | None
) -> dict[str, Callable[[], Answer]]:
    """Functions that write the answers out of a snapshot, while what is `away` does not answer, by path.

    The metrics in the format of OpenMetrics have their type in place of the path, since `/metrics` has two answers.
    """
    tasks = cache(lambda: Tasks.of(found, away))
    overview = cache(lambda: overview_of(found, away, health, past, tasks(), LINKS))

    def document(of: type[Status | RateLimits | IncidentsAnswer]) -> Answer:
        return in_json(of.of(found, away), as_of=found.at)

    def section(name: str) -> Answer:
        return html(overview().section(name), found.at)

    def picture(dataset: str) -> Answer:
        complete = completeness(found.measured, found.config, dataset)
        return answer(badge(dataset, complete, is_collected=dataset in held), SVG, found.at)

    held = collected(found.config).first_seasons

    badges = {BADGE.format(dataset=dataset): partial(picture, dataset) for dataset in found.config.datasets}
    coverage = {COVERAGE: partial(_coverage, look)} if (look := found.recorded) else {}
    return {
        STATUS: partial(document, Status),
        TASKS: lambda: in_json(tasks(), as_of=found.at),
        RATE_LIMITS: partial(document, RateLimits),
        INCIDENTS: partial(document, IncidentsAnswer),
        METRICS: lambda: answer(text(found.measured), TEXT, found.at),
        OPEN_METRICS: lambda: answer(open_metrics(found.measured), OPEN_METRICS, found.at),
        **coverage,
        **badges,
        **{path: partial(section, name) for path, name in OF_SECTIONS.items()},
        INDEX: lambda: html(overview().page(lambda text: html(text).etag), found.at),
    }


def overview_of(
    found: Snapshot, away: Sequence[str], health: Health, past: History | None, plan: Tasks, links: Links
) -> Overview:
    """The overview of the status page, in which flow runs lead to Prefect's UI."""
    return Overview(found, away, health, plan, past, links, partial(link_to_run, api_url() or found.server))


@lru_cache(maxsize=1)
def _coverage(look: Recorded) -> Answer:
    """The coverage of a look, which stays until the next look."""
    at = look.coverage.as_of
    assert at is not None  # it is recorded
    return in_json(CoverageAnswer.of(look.coverage, By.SEASON, at, look.unknown), as_of=at)


def with_checks(metrics: Answer, health: Health) -> Answer:
    """The metrics, with the verdicts of all checks. These change also while nothing is read from the ledger."""
    verdicts: dict[tuple[str, ...], float] = {}
    for check in health.checks:
        verdicts |= {(check.name, one.value): float(check.verdict is one) for one in Verdict}
    checks = Measured(health.at, {CHECKS: verdicts})
    if metrics.type == OPEN_METRICS:
        body = metrics.body.removesuffix(_END) + open_metrics(checks)
    else:
        body = metrics.body + text(checks)
    return answer(body, metrics.type, metrics.as_of)


def page(title: str, body: str) -> Answer:
    """A page of HTML."""
    return html(form(title, Markup(body), LINKS))


def html(text: str, as_of: datetime | None = None) -> Answer:
    """A page of HTML, or a part of one."""
    return answer(text.encode(), HTML, as_of)


LINKS = Links({path.about: path.path for path in PATHS if path.path not in (INDEX, BADGE)})
