"""What do bot walls, logins, gateways and maintenance pages answer in place of a site?"""

from dataclasses import dataclass, field

_HTML = "text/html; charset=utf-8"
_MUCH = "<p>Please wait, or come back later.</p>\n" * 100  # real walls are mostly long pages


@dataclass(frozen=True, slots=True)
class Wall:
    """An HTTP response in place of the site's own."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = _HTML


def _page(title: str, text: str = _MUCH, head: str = "") -> bytes:
    html = f"<html><head><title>{title}</title>{head}</head>\n<body><h1>{title}</h1>{text}</body></html>"
    return f"<!DOCTYPE html>\n{html}".encode()


# By the name of the fault.
WALLS = {
    "cloudflare": Wall(
        200,
        _page("Just a moment...", head="<script>window._cf_chl_opt={cType:'managed'}</script>"),
        {"cf-mitigated": "challenge"},
    ),
    "cloudflare_block": Wall(
        200, _page("Attention Required! | Cloudflare", "<h2>Sorry, you have been blocked</h2>" + _MUCH)
    ),
    "cloudflare_520": Wall(
        200, _page("www.example.com | 520: Web server is returning an unknown error", "<div id='cf-error-details'>")
    ),
    "aws_challenge": Wall(202, b"", {"x-amzn-waf-action": "challenge"}),
    "aws_captcha": Wall(
        405, _page("Human Verification", "<script>AwsWafIntegration</script>"), {"x-amzn-waf-action": "captcha"}
    ),
    "imperva": Wall(
        200,
        b'<html style="height:100%"><head></head><body><iframe src="/_Incapsula_Resource?x=1">Request unsuccessful. '
        b"Incapsula incident ID: 1-2</iframe></body></html>",
    ),
    "human": Wall(200, _page("Access to this page has been denied", "<script>window._pxAppId='PX1'</script>" + _MUCH)),
    "datadome": Wall(200, b'{"url": "https://geo.captcha-delivery.com/captcha/?cid=1"}', media_type="application/json"),
    "akamai": Wall(
        200, _page("Access Denied", "You don't have permission. Reference&#32;&#35;18.2d351ab8.1557333295.a4e16ab")
    ),
    "login": Wall(200, _page("Sign in to continue")),
    "portal": Wall(302, b"", {"Location": "http://wifi.example.com/hello?from=site"}),
    "login_redirect": Wall(302, b"", {"Location": "/login?next=here"}),
    "moved": Wall(301, b"", {"Location": "/somewhere/else"}),
    "maintenance": Wall(200, _page("We'll be right back")),
    "gateway": Wall(200, _page("503 Service Temporarily Unavailable", "<hr>nginx")),
    "463": Wall(463),
    "400": Wall(400, b'{"code": 400, "message": "Failed to get events endpoint."}', media_type="application/json"),
    "405": Wall(405, _page("405 Not Allowed", "<hr>nginx")),
    "406": Wall(406, _page("Not Acceptable", "<hr>"), {"x-bot-challenge": "1"}),
    "foreign_404": Wall(404, _page("404 Not Found", "<hr>nginx")),
    "nan": Wall(200, b'{"events": [], "leagues": [{"score": NaN}]}', media_type="application/json"),
}
