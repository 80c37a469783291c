"""How does a folder's set of templates come about? No text is taken for HTML or SVG, and no secret is shown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from config.secrets import masked
from tasks.domain.wording import plural, utc


def templates(folder: Path, **filters: Callable[..., Any]) -> Environment:
    """The templates in a folder, with some filters besides those that all have.

    In Markdown and styles, nothing is escaped: in a table of Markdown, a filter makes texts safe.
    """
    found = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html", "svg.jinja"]),
        undefined=StrictUndefined,
        finalize=_without_secret,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"digest": digest, "plural": plural, "thousands": "{:,}".format, "utc": utc, **filters}
    return found


def digest(text: str) -> str:
    """The hash of a style or script, by which the policy of a page allows it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _without_secret(value: Any) -> Any:
    """What a template shows of a value: of a text, everything but secrets."""
    return masked(value) if isinstance(value, str) and not isinstance(value, Markup) else value
