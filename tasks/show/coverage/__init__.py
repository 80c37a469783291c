"""How complete is the lake, to look at: in a terminal, as a picture, as a page."""

from base64 import b64encode

from tasks.domain.assess.coverage import Coverage
from tasks.show.coverage.page import html
from tasks.show.coverage.picture import svg
from tasks.show.coverage.terminal import heatmap

__all__ = ["heatmap", "html", "markdown", "svg"]


def markdown(coverage: Coverage) -> str:
    """For an artifact: Prefect's UI shows a picture in Markdown, and none that stands in it as SVG."""
    picture = b64encode(svg(coverage).encode()).decode()
    return f"{coverage.total.line()}\n\n![coverage by season](data:image/svg+xml;base64,{picture})\n"
