"""How does the status page look? Its sections in HTML, in the order in which an operator asks, and its assets."""

from tasks.show.status.assets import ASSETS, SCRIPT, Asset
from tasks.show.status.drill_down import file_page, season_page, span_page
from tasks.show.status.links import COVERAGE, FILES, SERVED, WHOLE, Links, StaticLinks
from tasks.show.status.overview import SECTIONS, Overview, nothing_read
from tasks.show.status.templates import STYLE, form, notice

__all__ = [
    "ASSETS",
    "COVERAGE",
    "FILES",
    "SCRIPT",
    "SECTIONS",
    "SERVED",
    "STYLE",
    "WHOLE",
    "Asset",
    "Links",
    "Overview",
    "StaticLinks",
    "file_page",
    "form",
    "nothing_read",
    "notice",
    "season_page",
    "span_page",
]
