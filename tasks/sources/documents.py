"""Is a body JSON or a page of the site that was asked, and if not, what is it?"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, bad, unfinished
from tasks.domain.wording import plural
from tasks.sources.walls import heading, maker_of, wall_notice

# The bytes of memory that a parsed body may take, by the estimates below, which are higher than measured values.
_MOST_MEMORY = 240_000_000
_MOST_VALUES = 2_000_000  # objects, lists and values of a JSON body
# For each of these characters in a JSON body, the bytes of memory that what it begins can take: an object, a list, a
# value, or the value of a key.
_JSON_COSTS = {b"{": 200, b"[": 100, b",": 80, b":": 200}
# For each of these characters in a page, the bytes that what it begins can take: an element with the text that follows
# it, or an attribute.
_PAGE_COSTS = {b"<": 320, b" ": 240, b"\n": 240, b"\t": 240, b"\r": 240, b"\f": 240, b"/": 240, b"=": 240}
# If one of these bytes, or JSON escapes, is in a text, Python stores each of its characters in four bytes.
_WIDE, _WIDE_ESCAPE = re.compile(rb"[\xf0-\xf7]"), re.compile(rb"\\u[dD][89abAB]")

_SMALL = 20_000  # bytes; a body smaller than this is parsed without an estimate of its memory
_LITERAL = re.compile(r'\s*(?:null|true|false|-?[0-9][0-9.eE+-]*|"(?:[^"\\]|\\.)*")\s*')
_BEGINS_JSON, _BEGINS_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]"), re.compile(rb"(?:\xef\xbb\xbf)?\s*<")
_IS_PAGE = re.compile(
    r"\s*(?:<\?xml.{0,500}?\?>\s*)?(?:<!--.{0,5000}?-->\s*)*"
    r"<(?:!doctype\s+html|html|head|meta|title|link|script|style|body|h[1-6]|div|p|center|iframe|table|form)\b",
    re.IGNORECASE | re.DOTALL,
)
_WALL_KEYS = {"cpr_chlge", "sec-cp-challenge", "blockScript", "jsClientSrc", "incidentId", "cloudflare_error"}
# Paths of a site's own 404 page, and of the index pages with which it answers for a page that it does not have.
_NO_SUCH_PAGE = re.compile(r"/?(?:404(?:\.html)?|[a-z_-]+)?/?")


class UnfitBodyError(ValueError):
    """The body is not a document of the requested kind. `fault` says what is wrong, which has consequences."""

    def __init__(self, reason: str, fault: Fault = Fault.UNFIT) -> None:
        super().__init__(reason)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML page, which may be cut off."""

    text: str
    tree: LexborHTMLParser

    @property
    def is_whole(self) -> bool:
        """Does the page reach its end, so that it is not cut off?"""
        return "</html>" in self.text[-5_000:].lower()

    @property
    def title(self) -> str:
        """The title of the page, or "" if it has none."""
        node = self.tree.css_first("title")
        return node.text(strip=True) if node else ""

    @property
    def canonical(self) -> str:
        """The canonical address that the page names, or "" if it names none."""
        node = self.tree.css_first("link[rel=canonical]")
        return (node.attributes.get("href") or "") if node else ""

    def path_at(self, site: str) -> str | None:
        """The path of the page's canonical address, if that lies at `site`, a domain; else None."""
        address = _split(self.canonical)
        return address.path if address and _is_of(address.hostname, site) else None

    def names(self, site: str) -> bool:
        """Does the page name the site in its canonical address, its title or its links?"""
        if self.path_at(site) is not None or site in self.title.lower():
            return True
        links = (_split(node.attributes.get("href") or "") for node in self.tree.css("a[href], link[href]"))
        return any(link and _is_of(link.hostname, site) for link in links)

    def tables(self, pattern: str) -> dict[str, LexborNode]:
        """The tables whose whole id matches the pattern, by id: those inside comments if there are no others."""
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
    """The text of a body in UTF-8. Raises UnfitBodyError for an empty body, another encoding, and NUL bytes."""
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
    """The object or list in a JSON body. Raises UnfitBodyError for anything else, and for JSON that reports an error.

    A page or a plain text instead of JSON counts as a refusal, which says nothing about the requested file.
    """
    if begins := _BEGINS_JSON.match(body):
        _reject_dense(body, _JSON_COSTS, _MOST_VALUES)
    text = read_text(body)
    if not begins:
        is_json = len(text) < _SMALL and _LITERAL.fullmatch(text)
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
    """The object in a JSON body. Raises UnfitBodyError for anything else, and for JSON that reports an error."""
    document = read_json(body)
    if not isinstance(document, dict):
        raise UnfitBodyError("a JSON list, not an object")
    return document


def value_at(document: Any, path: str) -> Any:
    """The value at a path in a JSON document, such as "game.players" or "resultSets.0.rowSet"; None without one.

    The empty path stands for the document itself.
    """
    for part in path.split(".") if path else ():
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def too_few_rows(count: int, fields: Mapping[str, str], check: Check) -> Verdict | None:
    """The verdict for a document with fewer rows than `min_rows`, or with none; None if it has enough.

    The document of a game is then unfinished, as its source may have no more. A list is not the right one.
    """
    least = max(check.min_rows, 1)
    if count >= least:
        return None
    reason = f"{plural(count, 'row')}{f' in {check.rows}' if check.rows else ''}, fewer than {least}"
    return unfinished(reason) if "id" in fields else bad(reason)


def read_page(body: bytes) -> Page:
    """The HTML page in a body, of any site. Raises UnfitBodyError for anything else."""
    if _BEGINS_PAGE.match(body):
        _reject_dense(body, _PAGE_COSTS)
    text = read_text(body)
    if not is_page(text):
        is_cut = text.lstrip().startswith("<") and ">" not in text
        raise UnfitBodyError(f"not a web page: {heading(text)}", Fault.CUT_OFF if is_cut else Fault.REFUSED)
    return Page(text, LexborHTMLParser(text))


def read_page_of(site: str, body: bytes, is_wanted: Callable[[Page], bool]) -> Page:
    """The complete page of a site, if it is the wanted one. Raises UnfitBodyError for any other, and for a cut-off one.

    The fault is ABSENT only for the site's own 404 or index page, which its canonical address identifies. It is UNFIT
    for another page of the site, and REFUSED for anything that is not a page of the site.
    """
    page = read_page(body)
    if not is_wanted(page):
        _reject_other(page, site)
    if not page.is_whole:
        raise UnfitBodyError("page cut off before its end", Fault.CUT_OFF)
    return page


def is_page(text: str) -> bool:
    """Is this text an HTML page, rather than JSON, XML or plain text?"""
    return _IS_PAGE.match(text) is not None


def wall_in(text: str, *, bots_only: bool = False) -> str | None:
    """The sign by which a page is recognised as a wall: its title or heading, or "a page of" the wall's maker.

    None if it is not recognised as one. Call this only for pages that are not recognised otherwise, because a good page
    can contain the text of such makers in its scripts. See walls.wall_notice for `bots_only`.
    """
    if words := wall_notice(text, bots_only=bots_only):
        return words
    maker = maker_of(text, bots_only=bots_only)
    return f"a page of {maker}" if maker else None


def _reject_other(page: Page, site: str) -> NoReturn:
    """Raises UnfitBodyError for a page that is not the wanted one. The fault depends on what it is instead."""
    path = page.path_at(site)
    if path is None:
        if wall := wall_in(page.text):
            raise UnfitBodyError(f"refused: {wall}", Fault.REFUSED)
        if not page.is_whole:
            raise UnfitBodyError("page cut off before its end", Fault.CUT_OFF)
        raise UnfitBodyError(f"not a page of {site}: {heading(page.text) or 'without a title'}", Fault.REFUSED)
    if wall := wall_notice(page.text):
        raise UnfitBodyError(f"refused: {wall}", Fault.REFUSED)
    is_absent = _NO_SUCH_PAGE.fullmatch(path)
    raise UnfitBodyError(f"another page: {page.title or path}", Fault.ABSENT if is_absent else Fault.UNFIT)


def _reject_dense(body: bytes, costs: dict[bytes, int], most_values: int | None = None) -> None:
    """Raises UnfitBodyError if a parsed body would take too much memory, which is estimated by counting characters."""
    if len(body) < _SMALL:
        return
    counts = {mark: body.count(mark) for mark in costs}
    values = counts.get(b"[", 0) + counts.get(b"{", 0) + counts.get(b",", 0)
    if most_values is not None and values > most_values:
        raise UnfitBodyError(f"too dense: {values} objects, lists and values, more than {most_values}")
    weight = len(body) * (1 + 2 * _width(body)) + sum(counts[mark] * cost for mark, cost in costs.items())
    if weight > _MOST_MEMORY:
        raise UnfitBodyError(f"too dense: {len(body)} bytes would take about {weight // 1_000_000} MB of memory")


def _width(body: bytes) -> int:
    """The bytes that Python needs for each character of the body's text: 1, 2 or 4."""
    is_plain, has_escapes = body.isascii(), b"\\u" in body
    if (not is_plain and _WIDE.search(body)) or (has_escapes and _WIDE_ESCAPE.search(body)):
        return 4
    return 1 if is_plain and not has_escapes else 2


def _reject_constant(name: str) -> NoReturn:
    """Raises UnfitBodyError for NaN and Infinity, which Python accepts although they are not JSON."""
    raise UnfitBodyError(f"JSON broken: {name} is no JSON", Fault.CUT_OFF)


def is_refusal(document: object) -> bool:
    """Is this the JSON of a wall, or of an error that refuses us? A site's own errors, such as 503, do not count."""
    if not isinstance(document, dict):
        return False
    refused = _is_wall(document) or document.get("code") in (401, 403, 429)
    return refused or wall_notice(_message(document), bots_only=True) is not None


def _message(document: dict[str, Any]) -> str:
    return str(document.get("message") or document.get("Message") or "")[:1000]


def _reject_error(document: dict[str, Any]) -> None:
    """Raises UnfitBodyError for JSON that reports an error instead of being a document.

    ESPN answers {"code", "message"}, the NBA {"Message"}, and gateways {"message"}. Walls have forms of their own.
    """
    if _is_wall(document):
        raise UnfitBodyError(f"refused: {', '.join(list(document)[:4])}", Fault.REFUSED)
    if not document.keys() & {"code", "message", "Message"} or document.keys() & {"events", "header"}:
        return
    code = document.get("code")
    message = _message(document)
    reason = "error body" + (f" {code}" if code else "") + (f": {message}" if message else "")
    if code == 404:
        raise UnfitBodyError(reason, Fault.ABSENT)
    if code in (401, 403, 429, 503) or wall_notice(message):
        raise UnfitBodyError(reason, Fault.REFUSED)
    raise UnfitBodyError(reason, Fault.CUT_OFF if isinstance(code, int) and 500 <= code < 600 else Fault.UNFIT)


def _is_wall(document: dict[str, Any]) -> bool:
    """Is this the JSON with which a wall answers programs: of Akamai, HUMAN, DataDome, Imperva or Cloudflare?"""
    if document.keys() & _WALL_KEYS:
        return True
    url = document.get("url")
    is_problem = "title" in document and document.get("status") in (401, 403, 429, 503)
    return is_problem or (isinstance(url, str) and "captcha-delivery.com" in url)
