"""Which files does the status page load? One style sheet, one script and one icon, all of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.show.coverage.shades import DARK, LIGHT, OFF, SHADES, UNKNOWN
from tasks.show.status.templates import TEMPLATES, text_of

SCRIPT = "page.js"  # which asks the service for news


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that a page loads."""

    name: str
    type: str
    body: bytes


ASSETS = (
    Asset(
        "page.css",
        "text/css; charset=utf-8",
        TEMPLATES.get_template("page.css").render(light=LIGHT, dark=DARK, shades=(*SHADES, UNKNOWN, OFF)).encode(),
    ),
    Asset(SCRIPT, "text/javascript; charset=utf-8", text_of(SCRIPT).encode()),
    Asset("icon.svg", "image/svg+xml", text_of("icon.svg").encode()),
)
