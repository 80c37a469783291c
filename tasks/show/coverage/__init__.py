"""How does the coverage of the lake look: in a terminal, as a picture, and as a page?"""

from base64 import b64encode

from tasks.domain.assess.coverage import Coverage
from tasks.show.coverage.grid import grid_of
from tasks.show.coverage.page import html
from tasks.show.coverage.picture import svg
from tasks.show.coverage.terminal import heatmap
from tasks.show.coverage.words import counts_of, percent_of, summary_of, title_of

__all__ = ["heatmap", "html", "markdown", "svg"]


def markdown(coverage: Coverage) -> str:
    """The coverage as Markdown for an artifact: a picture, and a table since the UI shows the picture small.

    Prefect's UI shows images with data URLs, but no inline SVG.
    """
    picture = b64encode(svg(coverage, tooltips=False).encode()).decode()
    return (
        f"{title_of(coverage)}\n\n{summary_of(coverage.total)}.\n\n"
        f"![coverage by season](data:image/svg+xml;base64,{picture})\n\n{_table(coverage)}"
    )


def _table(coverage: Coverage) -> str:
    """The totals of each source and dataset as a table in Markdown."""
    counts = counts_of(coverage.total)
    rows = [["", "percent", *(count.title for count in counts)], ["---", *["---:"] * (len(counts) + 1)]]
    for line in grid_of(coverage).lines:
        name = line.name if line.dataset else f"**{line.name}**"
        rows.append([name, percent_of(line.total), *(count.of(line.total) for count in counts)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
