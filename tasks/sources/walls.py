"""Does a page stand before a site: a bot wall, a login, a maintenance page, a gateway's error?"""

import re
from collections.abc import Mapping

# What the titles and headings of bot walls say; the names of the makers' products are below.
_BOTS = re.compile(
    r"access (?:to .{0,60})?(?:is |was |has been )?(?:denied|blocked|restricted)|forbidden|not authorized"
    r"|too many requests|rate.?limit|\b429\b|been blocked|(?:request|page|site) (?:was |is )?(?:blocked|rejected)"
    r"|request unsuccessful|attention required|just a moment|pardon our interruption|unusual (?:traffic|activity)"
    r"|(?:verify|verifying|confirm|prove|checking) .{0,20}(?:human|robot|person|browser|connection)"
    r"|are you (?:a |an )?(?:robot|human|person)|human verification|security (?:check|challenge)|captcha|ddos"
    r"|firewall|enable (?:javascript|cookies)|^error code: 1\d{3}|^error 1\d{3}|^challenge\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    # logins and captive portals
    r"\bsign.?in\b|\blog.?(?:in|on)\b|authenticat|wi-?fi|hotspot|captive portal|guest access|accept the terms"
    # maintenance
    r"|maintenance|(?:right|be|coming) back|back (?:soon|shortly|online)|temporarily|unavailable|out of service"
    r"|(?:site|service|server|we) (?:is|are|'re) (?:currently |temporarily )?(?:down|offline|closed)|under construction"
    # gateways
    r"|bad gateway|gateway time|time-?out|timed out|server error|upstream|\bproxy\b|^\W*5\d\d\b|\|\s*5\d\d:"
    r"|\b5\d\d error|error 5\d\d|web server is|origin (?:is|error)|application error"
    r"|something went wrong|cannot be reached",
    re.IGNORECASE,
)
# What nothing but their scripts, frames and forms holds, whatever their titles say.
_MAKERS = {
    "Cloudflare": r"cf-error-details|cf-browser-verification|cf-chl-|_cf_chl_opt",
    "AWS WAF": r"awswaf\.com|AwsWafIntegration|gokuProps",
    "Imperva": r"_Incapsula_Resource|Incapsula incident",
    "HUMAN": r"_pxAppId|px-captcha|px-cdn\.net|px-cloud\.net|perimeterx",
    "DataDome": r"captcha-delivery\.com",
    "Akamai": r"sec-cp-challenge|cpr_chlge",
    "Fastly": r"Fastly error|_fs-ch-",
    "Sucuri": r"sucuri_cloudproxy|cloudproxy@sucuri|Sucuri WebSite Firewall",
    "Kasada": r"KPSDK",
    "SiteGround": r"sgcaptcha",
    "hCaptcha": r"hcaptcha\.com",
    "reCAPTCHA": r"google\.com/recaptcha|g-recaptcha",
}
_BY_MAKER = re.compile("|".join(f"({pattern})" for pattern in _MAKERS.values()), re.IGNORECASE)
# What all errors of a gateway have, also one that says that an address is wrong.
_AKAMAI_ERROR = re.compile(r"errors\.edgesuite\.net|Reference&#32;&#35;|Reference #[0-9a-f.]{8,}", re.IGNORECASE)
_HEADING = re.compile(r"<(?:title|h1)\b[^>]{0,200}>([^<]{0,300})", re.IGNORECASE)
_NOTICE_LENGTH = 2_000
_ENOUGH = 100_000  # characters of a page that are looked through: walls are small, and headings come early
# Headers that only an answer of a wall has. With an error also any whose name says so.
_HEADERS = frozenset({"x-amzn-waf-action", "cf-mitigated", "sg-captcha", "x-sucuri-block", "x-dd-b"})
_TELLING_NAME = re.compile(r"captcha|challenge|mitigated|waf-action|block(?:ed)?$|deny|denied|^x-kpsdk")
# Paths that walls, logins and maintenance redirect to.
_PATH = re.compile(
    r"/(?:[\w.-]*(?:captcha|challenge|verify|log-?in|log-?on|sign-?in|sso|oauth|auth|maintenance|blocked|denied|sorry"
    r"|unavailable|offline)[\w.-]*|cdn-cgi|_incapsula_resource)(?:/|$)",
    re.IGNORECASE,
)


def heading(text: str) -> str:
    """The first title or heading that says anything, or else how the text begins; one line."""
    found = next((said for said in map(_plain, _HEADING.findall(text[:_ENOUGH])) if said), "")
    return found or " ".join(text[:300].split())[:60]


def says_wall(text: str, *, bots_only: bool = False) -> str | None:
    """What the titles and headings of a page say, or a notice without any, if that is what a wall would say.

    `bots_only` leaves out what the site's own errors may say: that it is down, or wants a login.
    """
    if "<" in text:
        said = [_plain(found) for found in _HEADING.findall(text[:_ENOUGH])]
    else:
        said = [_plain(text)] if len(text) <= _NOTICE_LENGTH else []
    return next((s for s in said if _BOTS.search(s) or (not bots_only and _OTHERS.search(s))), None)


def maker_of(text: str, *, bots_only: bool = False) -> str | None:
    """Who makes the wall, by marks that a good page can have too: ask only of one that is not known otherwise.

    `bots_only` leaves out the marks that a gateway's other errors have as well.
    """
    if found := _BY_MAKER.search(text[:_ENOUGH]):
        return list(_MAKERS)[(found.lastindex or 1) - 1]
    return "Akamai" if not bots_only and _AKAMAI_ERROR.search(text[:_ENOUGH]) else None


def challenge_in(headers: Mapping[str, str], *, failed: bool) -> str | None:
    """The header by which a wall says that it answered; `failed` when the status is an error."""
    for name, value in headers.items():
        if name.lower() in _HEADERS or (failed and _TELLING_NAME.search(name.lower())):
            return f"{name.lower()}: {value[:60]}"
    return None


def leads_to_wall(path: str) -> bool:
    """Is a path to which a site redirects that of a login, a challenge or a maintenance page?"""
    return bool(_PATH.search(path))


def _plain(text: str) -> str:
    return " ".join(text.replace("\u2019", "'").replace("&#39;", "'").split())
