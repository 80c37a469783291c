"""How complete is the lake, to look at: in a terminal, as a picture, as a page."""

from deployments.coverage.page import html
from deployments.coverage.picture import svg
from deployments.coverage.terminal import heatmap

__all__ = ["heatmap", "html", "svg"]
