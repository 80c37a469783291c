"""Which files does the status page load? One script and one icon, all of its own.

Its style sheet is within each page, so that nothing has to be asked for before the first paint.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.show.status.templates import text_of

SCRIPT = "page.js"  # which asks the service for news


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that a page loads."""

    name: str
    type: str
    body: bytes


ASSETS = (
    Asset(SCRIPT, "text/javascript; charset=utf-8", text_of(SCRIPT).encode()),
    Asset("icon.svg", "image/svg+xml", text_of("icon.svg").encode()),
)
