"""Is a page a wall: a bot wall, a login, a maintenance page or a gateway's error instead of the site's own page?"""

import re
from collections.abc import Mapping

from tasks.domain.wording import one_line

# Words in the titles and headings of bot walls. _MAKERS has the text of particular products.
_BOTS = re.compile(
    r"access (?:to .{0,60})?(?:is |was |has been )?(?:denied|blocked|restricted)|forbidden|not authorized"
    r"|too many requests|rate.?limit|\b429\b|been blocked|(?:request|page|site) (?:was |is )?(?:blocked|rejected)"
    r"|request unsuccessful|attention required|just a moment|pardon our interruption|unusual (?:traffic|activity)"
    r"|(?:verify|verifying|confirm|prove|checking) .{0,20}(?:human|robot|person|browser|connection)"
    r"|are you (?:a |an )?(?:robot|human|person)|human verification|security (?:check|challenge)|captcha|ddos"
    r"|firewall|enable (?:javascript|cookies)|^error code: 1\d{3}|^error 1\d{3}|^challenge\b",
    re.IGNORECASE,
)
# Words in the titles and headings of other walls.
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
# Text that occurs only in the scripts, frames and forms of the walls of one maker.
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
# Text in all errors of Akamai's gateway, also in an error that only says that an address is wrong.
_AKAMAI_ERROR = re.compile(r"errors\.edgesuite\.net|Reference&#32;&#35;|Reference #[0-9a-f.]{8,}", re.IGNORECASE)
_HEADING = re.compile(r"<(?:title|h1)\b[^>]{0,200}>([^<]{0,300})", re.IGNORECASE)
_NOTICE_LENGTH = 2_000  # a plain text longer than this is not the notice of a wall
_SEARCHED = 100_000  # characters of a page that are searched; walls are small, and headings come early
# Headers that only the answers of walls have.
_HEADERS = frozenset({"x-amzn-waf-action", "cf-mitigated", "sg-captcha", "x-sucuri-block", "x-dd-b"})
# Names of headers that, in an answer with an error status, show that it comes from a wall.
_TELLING_NAME = re.compile(r"captcha|challenge|mitigated|waf-action|block(?:ed)?$|deny|denied|^x-kpsdk")
# Paths to which walls, logins and sites under maintenance redirect.
_PATH = re.compile(
    r"/(?:[\w.-]*(?:captcha|challenge|verify|log-?in|log-?on|sign-?in|sso|oauth|auth|maintenance|blocked|denied|sorry"
    r"|unavailable|offline)[\w.-]*|cdn-cgi|_incapsula_resource)(?:/|$)",
    re.IGNORECASE,
)


def heading(text: str) -> str:
    """The first title or heading of a page that is not empty, or else the beginning of the text, as one line."""
    found = next((said for said in map(_plain, _HEADING.findall(text[:_SEARCHED])) if said), "")
    return found or one_line(text[:300])[:60]


def wall_notice(text: str, *, bots_only: bool = False) -> str | None:
    """The title or heading by which a page, or a short text, is recognised as a wall; None if there is none.

    With `bots_only`, words that the site's own errors may contain do not count, such as those of an outage or a login.
    """
    if "<" in text:
        said = [_plain(found) for found in _HEADING.findall(text[:_SEARCHED])]
    else:
        said = [_plain(text)] if len(text) <= _NOTICE_LENGTH else []
    return next((s for s in said if _BOTS.search(s) or (not bots_only and _OTHERS.search(s))), None)


def maker_of(text: str, *, bots_only: bool = False) -> str | None:
    """The maker of a wall, recognised by text that is typical of its walls; None if there is no such text.

    A good page can contain such text too. So call this only for pages that are not recognised otherwise. With
    `bots_only`, text that also occurs in a gateway's other errors does not count.
    """
    if found := _BY_MAKER.search(text[:_SEARCHED]):
        return list(_MAKERS)[(found.lastindex or 1) - 1]
    return "Akamai" if not bots_only and _AKAMAI_ERROR.search(text[:_SEARCHED]) else None


def challenge_in(headers: Mapping[str, str], *, failed: bool) -> str | None:
    """The header that shows that a wall has answered, as "name: value"; None if there is none.

    `failed` says that the answer has an error status.
    """
    for name, value in headers.items():
        if name.lower() in _HEADERS or (failed and _TELLING_NAME.search(name.lower())):
            return f"{name.lower()}: {value[:60]}"
    return None


def is_wall_path(path: str) -> bool:
    """Is this path, to which a site redirects, that of a login, a challenge or a maintenance page?"""
    return bool(_PATH.search(path))


def _plain(text: str) -> str:
    return one_line(text.replace("\u2019", "'").replace("&#39;", "'"))
