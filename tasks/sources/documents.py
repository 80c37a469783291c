"""Which document is a body: JSON, a page of a site, or neither?"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tasks.domain.verdicts import Fault


class UnfitBodyError(ValueError):
    """The body is not the kind of document that was asked for."""

    def __init__(self, reason: str, fault: Fault = Fault.UNFIT) -> None:
        super().__init__(reason)
        self.fault = fault


# Looked for in titles and headings only, unless the body is too short to be anything but a notice:
# a good page may well speak of Cloudflare or captchas somewhere in its scripts.
_REFUSAL = re.compile(
    r"access denied|forbidden|too many requests|rate.?limit|429 error|error 429|have been blocked|attention required"
    r"|just a moment|verify you are|are you a (?:robot|human)|captcha|^error code: 1\d{3}",
    re.IGNORECASE,
)
_HEADING = re.compile(r"<(title|h1)\b[^>]*>([^<]*)", re.IGNORECASE)
_NOTICE_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class Page:
    """A whole HTML page."""

    text: str
    tree: LexborHTMLParser

    @property
    def title(self) -> str:
        node = self.tree.css_first("title")
        return node.text(strip=True) if node else ""

    @property
    def canonical(self) -> str:
        """The address the page gives itself, empty if it gives none."""
        node = self.tree.css_first("link[rel=canonical]")
        return (node.attributes.get("href") or "") if node else ""

    def tables(self, pattern: str) -> dict[str, LexborNode]:
        """The tables whose whole id matches the pattern; those inside comments if there is none outside."""
        return _tables(self.tree, pattern) or self._commented_tables(pattern)

    def _commented_tables(self, pattern: str) -> dict[str, LexborNode]:
        fragments = (LexborHTMLParser(text) for text in _comments(self.text) if "<table" in text)
        return {name: table for fragment in fragments for name, table in _tables(fragment, pattern).items()}


def _comments(text: str) -> Iterator[str]:
    for opened in text.split("<!--")[1:]:
        comment, closed, _ = opened.partition("-->")
        if closed:
            yield comment


def _tables(tree: LexborHTMLParser, pattern: str) -> dict[str, LexborNode]:
    named = ((table.attributes.get("id") or "", table) for table in tree.css("table[id]"))
    return {name: table for name, table in named if re.fullmatch(pattern, name)}


def read_text(body: bytes) -> str:
    if not body.strip():
        raise UnfitBodyError("empty body", Fault.CUT_OFF)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnfitBodyError(f"not UTF-8 at byte {error.start}", Fault.CUT_OFF) from None
    if "\0" in text:
        raise UnfitBodyError("NUL bytes in the text", Fault.CUT_OFF)
    return text


def read_json(body: bytes) -> Any:
    """The object or list in the body. Raises UnfitBodyError for anything else, and for error bodies."""
    text = read_text(body)
    if not text.lstrip().startswith(("{", "[")):
        if _is_refusal(text):
            raise UnfitBodyError(f"not JSON: {_heading(text)}", Fault.REFUSED)
        is_page = text.lstrip().startswith("<")
        raise UnfitBodyError(f"not JSON: {_heading(text)}", Fault.ABSENT if is_page else Fault.UNFIT)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"JSON broken or cut off at character {error.pos} of {len(text)}"
        raise UnfitBodyError(reason, Fault.CUT_OFF) from None
    except RecursionError:
        raise UnfitBodyError("JSON nested too deeply") from None
    if not document:
        raise UnfitBodyError("empty JSON")
    if isinstance(document, dict):
        _reject_error(document)
    return document


def read_object(body: bytes) -> dict[str, Any]:
    document = read_json(body)
    if not isinstance(document, dict):
        raise UnfitBodyError("a JSON list, not an object")
    return document


def read_page(body: bytes) -> Page:
    """The whole page in the body. Raises UnfitBodyError for block pages and for pages cut short."""
    text = read_text(body)
    if _is_refusal(text):
        raise UnfitBodyError(f"refused: {_heading(text)}", Fault.REFUSED)
    if not text.lstrip().startswith("<"):
        raise UnfitBodyError("not a web page")
    if "</html>" not in text[-5_000:].lower():
        raise UnfitBodyError("page cut off before its end", Fault.CUT_OFF)
    return Page(text, LexborHTMLParser(text))


def _reject_error(document: dict[str, Any]) -> None:
    """ESPN answers {"code", "message"}, NBA {"Message"}, and gateways before them {"message"}."""
    if not document.keys() & {"code", "message", "Message"} or document.keys() & {"events", "header"}:
        return
    code = document.get("code")
    message = str(document.get("message") or document.get("Message") or "")
    reason = "error body" + (f" {code}" if code else "") + (f": {message}" if message else "")
    if code in (403, 429) or _REFUSAL.search(message):
        raise UnfitBodyError(reason, Fault.REFUSED)
    raise UnfitBodyError(reason, Fault.ABSENT if code == 404 else Fault.UNFIT)


def _is_refusal(text: str) -> bool:
    if len(text) <= _NOTICE_LENGTH:
        return bool(_REFUSAL.search(text.strip()))
    return any(_REFUSAL.search(heading) for _, heading in _HEADING.findall(text))


def _heading(text: str) -> str:
    match = _HEADING.search(text)
    return match[2].strip() if match else text.strip()[:60]
