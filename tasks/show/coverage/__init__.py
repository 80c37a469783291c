"""How does the coverage of the lake look: in a terminal, as a picture, and as a page?"""

from base64 import b64encode

from tasks.domain.assess.coverage import Coverage
from tasks.show.coverage.page import html
from tasks.show.coverage.picture import svg
from tasks.show.coverage.terminal import heatmap
from tasks.show.coverage.words import summary_of, title_of

__all__ = ["heatmap", "html", "markdown", "svg"]


def markdown(coverage: Coverage) -> str:
    """The coverage as Markdown for an artifact. Prefect's UI shows images with data URLs, but no inline SVG."""
    picture = b64encode(svg(coverage, tooltips=False).encode()).decode()
    return (
        f"{title_of(coverage)}\n\n{summary_of(coverage.total)}.\n\n"
        f"![coverage by season](data:image/svg+xml;base64,{picture})\n"
    )
