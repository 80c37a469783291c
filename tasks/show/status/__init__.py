"""How does the status page look? Its sections in HTML, in the order in which an operator asks, and its assets."""

from tasks.show.status.assets import ASSETS, Asset
from tasks.show.status.links import SERVED, Links
from tasks.show.status.overview import SECTIONS, Overview, nothing_read
from tasks.show.status.templates import notice

__all__ = ["ASSETS", "SECTIONS", "SERVED", "Asset", "Links", "Overview", "nothing_read", "notice"]
