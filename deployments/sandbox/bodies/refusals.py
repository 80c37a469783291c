"""What do the sites answer instead of the requested body?"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
{link}</head>
<body>
<h1>{heading}</h1>
{text}
</body>
</html>
"""
_BR = "https://www.basketball-reference.com"


def _page(title: str, text: str, canonical: str = "", heading: str = "") -> bytes:
    link = f'<link rel="canonical" href="{canonical}" />\n' if canonical else ""
    return _PAGE.format(title=title, heading=heading or title, text=text, link=link).encode()


def _menu(topic: str, entries: int) -> str:
    """A long menu, of the kind that makes up most of such a page."""
    items = (f'<li><a href="/{topic}/{n:04d}.html">{topic.title()} {n}</a></li>' for n in range(entries))
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def access_denied() -> bytes:
    return _page("Access Denied", "<p>You don't have permission to access this page on this server.</p>")


def not_found() -> bytes:
    text = "<p>We apologize, but we could not find the page requested.</p>\n" + _menu("teams", 1200)
    title = "Page Not Found (404 error) | Basketball-Reference.com"
    return _page(title, text, f"{_BR}/404.html", heading="Page Not Found (404 error)")


def index_page() -> bytes:
    """The index page with which Basketball Reference answers, with status 200, for some pages that do not exist."""
    title = "List of all the NBA and ABA Players | Basketball-Reference.com"
    return _page(title, _menu("players", 1200), f"{_BR}/players/", heading="NBA & ABA Player Directory")


def rate_limited() -> bytes:
    text = "<p>Requests came faster than this site allows. Access is blocked for up to one hour.</p>"
    return _page("Rate Limited Request (429 error)", text)


def nothing_here() -> bytes:
    return b"<!DOCTYPE html>\n<html><head></head><body></body></html>\n"


def broken(status: int) -> bytes:
    return _page(f"{status} Error", "<p>The server could not complete the request.</p>")
