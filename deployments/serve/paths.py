"""At which paths does the service answer, with which documents?"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from pydantic import BaseModel

from tasks.show.documents.coverage import CoverageAnswer
from tasks.show.documents.incidents import IncidentsAnswer
from tasks.show.documents.service import HealthState, Liveness, RateLimits, Readiness, Status, Tasks
from tasks.show.exposition import OPEN_METRICS, TEXT
from tasks.show.status import ASSETS, SECTIONS, SERVED

JSON, HEALTH, PROBLEM = "application/json", "application/health+json", "application/problem+json"
HTML, SVG = "text/html; charset=utf-8", "image/svg+xml"

INDEX, LOGIN, OPENAPI = "/", "/login", "/openapi.json"
LIVEZ, READYZ, HEALTHZ = "/livez", "/readyz", "/health"
STATUS, TASKS, RATE_LIMITS, INCIDENTS = "/status", "/tasks", "/rate-limits", "/incidents"
COVERAGE, METRICS, BADGE = "/coverage.json", "/metrics", "/badge/{dataset}.svg"
PROBES = frozenset({LIVEZ, READYZ})
OF_ASSETS = {SERVED.asset(asset.name): asset for asset in ASSETS}
OF_SECTIONS = {SERVED.fragment(section): section for section in SECTIONS}
REFUSED = (  # the statuses with which a request is refused before it is read
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.LENGTH_REQUIRED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)


@dataclass(frozen=True, slots=True)
class Path:
    """A path: what it answers, the types of the answer, and its document if that is JSON."""

    path: str
    about: str
    types: tuple[str, ...] = (JSON,)
    document: type[BaseModel] | None = None
    may_fail: bool = False  # whether it answers with this document and status 503 too


PATHS = (
    Path(INDEX, "The status page.", (HTML,)),
    Path(LIVEZ, "Does this process answer?", document=Liveness),
    Path(READYZ, "Has the ledger been read within the last two refreshes?", document=Readiness, may_fail=True),
    Path(HEALTHZ, "Has work finished lately, and does what it needs answer?", (HEALTH,), HealthState, may_fail=True),
    Path(STATUS, "Files by state, sources, events, runs at work and the last runs.", document=Status),
    Path(TASKS, "The plan of the last reconcile.", document=Tasks),
    Path(RATE_LIMITS, "The rate budget of each source, and what holds it up.", document=RateLimits),
    Path(INCIDENTS, "What is wrong now and why, what was wrong lately, and silences.", document=IncidentsAnswer),
    Path(COVERAGE, "How complete the lake is, as `adce coverage --recorded --json` says it.", document=CoverageAnswer),
    Path(METRICS, "All metrics, for Prometheus.", (TEXT, OPEN_METRICS)),
    Path(BADGE, "To which day a dataset is complete, and how many files it lacks.", (SVG,)),
    Path(OPENAPI, "This description."),
)
