"""At which address is each view of the status page? Addresses can be sent to a colleague."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

ASSETS, FRAGMENTS = "/assets/", "/fragments/"
COVERAGE, FILES = "/coverage/", "/files/"


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of a page's links: those that the service answers at.

    `documents` are the addresses of the JSON documents and so on, by what they answer.
    """

    documents: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_live(self) -> bool:
        """Does something answer at these addresses that the script of the page may ask for news?"""
        return True

    @property
    def overview(self) -> str:
        """The overview."""
        return "/"

    def asset(self, name: str) -> str:
        """A script or picture."""
        return f"{ASSETS}{name}"

    def fragment(self, section: str) -> str:
        """A section of the overview alone."""
        return f"{FRAGMENTS}{section}"

    def season(self, dataset: str, season: str) -> str | None:
        """A season of a dataset."""
        return f"{COVERAGE}{quote(dataset)}/{quote(season)}"

    def span(self, dataset: str, season: str, span: str) -> str | None:
        """A month or a date of it; of files of a longer period the span is empty."""
        return f"{self.season(dataset, season)}/{quote(span or WHOLE)}"

    def file(self, key: str) -> str | None:
        """A file: why it is in the lake, or why not."""
        return f"{FILES}{quote(key)}"


@dataclass(frozen=True, slots=True)
class StaticLinks(Links):
    """The addresses of a page in a folder of files, relative to it. Nothing there is of a month, a date or a file."""

    root: str = ""  # from the folder of the page to that of the overview

    @property
    def is_live(self) -> bool:
        return False

    @property
    def overview(self) -> str:
        return f"{self.root}index.html"

    def asset(self, name: str) -> str:
        return f"{self.root}assets/{name}"

    def season(self, dataset: str, season: str) -> str | None:
        return f"{self.root}coverage/{quote(dataset)}/{quote(season)}.html"

    def span(self, dataset: str, season: str, span: str) -> str | None:
        return None

    def file(self, key: str) -> str | None:
        return None


WHOLE = "whole"  # stands for the files of a season that are not of one month in an address
SERVED = Links()
