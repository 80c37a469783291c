"""Which document is a body: JSON, a page of a site, or neither?"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tasks.domain.assess.verdicts import Fault
from tasks.sources.walls import heading, maker_of, says_wall

# Bytes that a body may take in memory once it is parsed, by the estimates below, which are above what was measured.
_MOST_MEMORY = 240_000_000
_MOST_VALUES = 2_000_000  # objects, lists and values of a JSON body
# What each of these in a JSON body can cost: a small object, a small list, a text, a key with its place.
_JSON_COSTS = {b"{": 200, b"[": 100, b",": 80, b":": 200}
# The same in a page: an element with a text behind it; what can part two attributes.
_PAGE_COSTS = {b"<": 320, b" ": 240, b"\n": 240, b"\t": 240, b"\r": 240, b"\f": 240, b"/": 240, b"=": 240}
# What makes each character of its text four bytes.
_WIDE, _WIDE_ESCAPE = re.compile(rb"[\xf0-\xf7]"), re.compile(rb"\\u[dD][89abAB]")

_WORTH_A_LOOK = 20_000  # bytes; what is smaller is parsed without counting anything
_LITERAL = re.compile(r'\s*(?:null|true|false|-?[0-9][0-9.eE+-]*|"(?:[^"\\]|\\.)*")\s*')
_BEGINS_JSON, _BEGINS_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]"), re.compile(rb"(?:\xef\xbb\xbf)?\s*<")
_IS_PAGE = re.compile(
    r"\s*(?:<\?xml.{0,500}?\?>\s*)?(?:<!--.{0,5000}?-->\s*)*"
    r"<(?:!doctype\s+html|html|head|meta|title|link|script|style|body|h[1-6]|div|p|center|iframe|table|form)\b",
    re.IGNORECASE | re.DOTALL,
)
_WALL_KEYS = {"cpr_chlge", "sec-cp-challenge", "blockScript", "jsClientSrc", "incidentId", "cloudflare_error"}
# A site's own 404 page, and the index pages that it answers in place of what it does not have.
_NO_SUCH_PAGE = re.compile(r"/?(?:404(?:\.html)?|[a-z_-]+)?/?")


class UnfitBodyError(ValueError):
    """The body is not the kind of document that was asked for."""

    def __init__(self, reason: str, fault: Fault = Fault.UNFIT) -> None:
        super().__init__(reason)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML page, whole or cut off."""

    text: str
    tree: LexborHTMLParser

    @property
    def is_whole(self) -> bool:
        return "</html>" in self.text[-5_000:].lower()

    @property
    def title(self) -> str:
        node = self.tree.css_first("title")
        return node.text(strip=True) if node else ""

    @property
    def canonical(self) -> str:
        """The address the page gives itself, empty if it gives none."""
        node = self.tree.css_first("link[rel=canonical]")
        return (node.attributes.get("href") or "") if node else ""

    def path_at(self, site: str) -> str | None:
        """The path of the address the page gives itself, if that is one of the site; `site` is its domain."""
        address = _split(self.canonical)
        return address.path if address and _is_of(address.hostname, site) else None

    def names(self, site: str) -> bool:
        """Does the page name the site in the address it gives itself, its title or its links?"""
        if self.path_at(site) is not None or site in self.title.lower():
            return True
        links = (_split(node.attributes.get("href") or "") for node in self.tree.css("a[href], link[href]"))
        return any(link and _is_of(link.hostname, site) for link in links)

    def tables(self, pattern: str) -> dict[str, LexborNode]:
        """The tables whose whole id matches the pattern; those inside comments if there is none outside."""
        return _tables(self.tree, pattern) or self._commented_tables(pattern)

    def _commented_tables(self, pattern: str) -> dict[str, LexborNode]:
        fragments = (LexborHTMLParser(text) for text in _comments(self.text) if "<table" in text)
        return {name: table for fragment in fragments for name, table in _tables(fragment, pattern).items()}


def _split(address: str) -> Any:
    try:
        return urlsplit(address)
    except ValueError:
        return None


def _is_of(host: str | None, site: str) -> bool:
    return host is not None and (host == site or host.endswith(f".{site}"))


def _comments(text: str) -> Iterator[str]:
    for opened in text.split("<!--")[1:]:
        comment, closed, _ = opened.partition("-->")
        if closed:
            yield comment


def _tables(tree: LexborHTMLParser, pattern: str) -> dict[str, LexborNode]:
    named = ((table.attributes.get("id") or "", table) for table in tree.css("table[id]"))
    return {name: table for name, table in named if re.fullmatch(pattern, name)}


def read_text(body: bytes) -> str:
    if not body or body.isspace():
        raise UnfitBodyError("empty body", Fault.CUT_OFF)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnfitBodyError(f"not UTF-8 at byte {error.start}", Fault.CUT_OFF) from None
    if "\0" in text:
        raise UnfitBodyError("NUL bytes in the text", Fault.CUT_OFF)
    return text


def read_json(body: bytes) -> Any:
    """The object or list in the body. Raises UnfitBodyError for anything else, and for error bodies.

    A page or a notice in its place is the site's trouble: it says nothing of the file.
    """
    if begins := _BEGINS_JSON.match(body):
        _weigh(body, _JSON_COSTS, _MOST_VALUES)
    text = read_text(body)
    if not begins:
        is_json = len(text) < _WORTH_A_LOOK and _LITERAL.fullmatch(text)
        raise UnfitBodyError(f"not JSON: {heading(text)}", Fault.UNFIT if is_json else Fault.REFUSED)
    try:
        document = json.loads(text, parse_constant=_reject_constant)
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
    """The page in the body, whoever it is of. Raises UnfitBodyError for what is no page."""
    if _BEGINS_PAGE.match(body):
        _weigh(body, _PAGE_COSTS)
    text = read_text(body)
    if not is_page(text):
        is_cut = text.lstrip().startswith("<") and ">" not in text
        raise UnfitBodyError(f"not a web page: {heading(text)}", Fault.CUT_OFF if is_cut else Fault.REFUSED)
    return Page(text, LexborHTMLParser(text))


def read_page_of(site: str, body: bytes, is_wanted: Callable[[Page], bool]) -> Page:
    """The page of a site that was asked for, whole. Raises UnfitBodyError for any other, saying what follows from it.

    Only the site's own 404 or index page, known by the address it gives itself, says that there is no such page.
    Another document of the site is another document; whatever else comes is the site's trouble.
    """
    page = read_page(body)
    if not is_wanted(page):
        _reject_other(page, site)
    if not page.is_whole:
        raise UnfitBodyError("page cut off before its end", Fault.CUT_OFF)
    return page


def is_page(text: str) -> bool:
    """Is it HTML, rather than JSON, XML or a line of text?"""
    return _IS_PAGE.match(text) is not None


def stands_before(text: str, *, bots_only: bool = False) -> str | None:
    """What a page says of itself that stands before a site, by its words or its maker's marks.

    Ask only of one that is not known to be anything else: a good page can have such marks in its scripts.
    """
    if said := says_wall(text, bots_only=bots_only):
        return said
    maker = maker_of(text, bots_only=bots_only)
    return f"a page of {maker}" if maker else None


def _reject_other(page: Page, site: str) -> NoReturn:
    path = page.path_at(site)
    if path is None:
        if wall := stands_before(page.text):
            raise UnfitBodyError(f"refused: {wall}", Fault.REFUSED)
        if not page.is_whole:
            raise UnfitBodyError("page cut off before its end", Fault.CUT_OFF)
        raise UnfitBodyError(f"not a page of {site}: {heading(page.text) or 'without a title'}", Fault.REFUSED)
    if wall := says_wall(page.text):
        raise UnfitBodyError(f"refused: {wall}", Fault.REFUSED)
    there_is_none = _NO_SUCH_PAGE.fullmatch(path)
    raise UnfitBodyError(f"another page: {page.title or path}", Fault.ABSENT if there_is_none else Fault.UNFIT)


def _weigh(body: bytes, costs: dict[bytes, int], most_values: int | None = None) -> None:
    """Raises UnfitBodyError for a body that would take too much memory once it is parsed. It only counts."""
    if len(body) < _WORTH_A_LOOK:
        return
    counts = {mark: body.count(mark) for mark in costs}
    values = counts.get(b"[", 0) + counts.get(b"{", 0) + counts.get(b",", 0)
    if most_values is not None and values > most_values:
        raise UnfitBodyError(f"too dense: {values} objects, lists and values, more than {most_values}")
    weight = len(body) * (1 + 2 * _width(body)) + sum(counts[mark] * cost for mark, cost in costs.items())
    if weight > _MOST_MEMORY:
        raise UnfitBodyError(f"too dense: {len(body)} bytes would take about {weight // 1_000_000} MB of memory")


def _width(body: bytes) -> int:
    """Bytes that a character takes in memory, of a text that holds all that the body does."""
    is_plain, has_escapes = body.isascii(), b"\\u" in body
    if (not is_plain and _WIDE.search(body)) or (has_escapes and _WIDE_ESCAPE.search(body)):
        return 4
    return 1 if is_plain and not has_escapes else 2


def _reject_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, which no other reader of JSON has to."""
    raise UnfitBodyError(f"JSON broken: {name} is no JSON", Fault.CUT_OFF)


def refuses(document: object) -> bool:
    """Is it the JSON of a wall, or an error that says that it refuses us? Not one that the site is in trouble."""
    if not isinstance(document, dict):
        return False
    refused = _is_wall(document) or document.get("code") in (401, 403, 429)
    return refused or says_wall(_message(document), bots_only=True) is not None


def _message(document: dict[str, Any]) -> str:
    return str(document.get("message") or document.get("Message") or "")[:1000]


def _reject_error(document: dict[str, Any]) -> None:
    """ESPN answers {"code", "message"}, NBA {"Message"}, gateways before them {"message"}, and walls what they like."""
    if _is_wall(document):
        raise UnfitBodyError(f"refused: {', '.join(list(document)[:4])}", Fault.REFUSED)
    if not document.keys() & {"code", "message", "Message"} or document.keys() & {"events", "header"}:
        return
    code = document.get("code")
    message = _message(document)
    reason = "error body" + (f" {code}" if code else "") + (f": {message}" if message else "")
    if code == 404:
        raise UnfitBodyError(reason, Fault.ABSENT)
    if code in (401, 403, 429, 503) or says_wall(message):
        raise UnfitBodyError(reason, Fault.REFUSED)
    raise UnfitBodyError(reason, Fault.CUT_OFF if isinstance(code, int) and 500 <= code < 600 else Fault.UNFIT)


def _is_wall(document: dict[str, Any]) -> bool:
    """The JSON that walls answer to programs: Akamai's, HUMAN's, DataDome's, Imperva's, and Cloudflare's problems."""
    if document.keys() & _WALL_KEYS:
        return True
    url = document.get("url")
    is_problem = "title" in document and document.get("status") in (401, 403, 429, 503)
    return is_problem or (isinstance(url, str) and "captcha-delivery.com" in url)
