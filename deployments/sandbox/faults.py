"""Which request goes wrong, and how?"""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    """Ways in which a request goes wrong."""

    FORBIDDEN = "403"  # a block page with status 403
    NOT_FOUND = "404"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    HANG = "hang"  # no answer until the client gives up
    RESET = "reset"  # the connection closes in the middle of the headers
    CUT_OFF = "cut_off"  # the connection closes before the announced length, which HTTP detects
    TRUNCATED = "truncated"  # half a body with a matching length, which only the content reveals
    BLOCK = "block"  # a block page with status 200
    SOFT_404 = "soft404"  # an index page with status 200
    EMPTY = "empty"  # {} or a page without content
    WRONG_ID = "wrong_id"  # the body of another game, day or season
    OTHER_KIND = "other_kind"  # the advanced box score of the game, under the name of the traditional one
    HOLLOW = "hollow"  # a game with one player in each team and no play in the second period
    NO_PLAYERS = "no_players"  # a game without its players
    ODD_ENTRY = "odd_entry"  # a list of games with an entry whose status is unknown
    TWICE = "twice"  # a list of games that has a final game a second time, as postponed
    NIL = "nil"  # a list of games with a final game in which nobody scored
    NO_PLAYS = "no_plays"  # a final game without its plays
    FEW_PLAYS = "few_plays"  # a final game whose plays stop in the middle
    LARGE = "large"  # a body larger than the largest that is allowed
    DENSE = "dense"  # few bytes of JSON that take much memory
    BOMB = "bomb"  # 1 MB that unpacks to 1 GB
    # Answers of bot walls, logins and gateways instead of the site: see bodies.walls.
    CLOUDFLARE = "cloudflare"
    CLOUDFLARE_BLOCK = "cloudflare_block"
    CLOUDFLARE_520 = "cloudflare_520"
    AWS_CHALLENGE = "aws_challenge"
    AWS_CAPTCHA = "aws_captcha"
    IMPERVA = "imperva"
    HUMAN = "human"
    DATADOME = "datadome"
    AKAMAI = "akamai"
    LOGIN = "login"
    PORTAL = "portal"  # a redirect to another host
    LOGIN_REDIRECT = "login_redirect"
    MOVED = "moved"  # a redirect to another address of the same site
    MAINTENANCE = "maintenance"
    GATEWAY = "gateway"
    UNKNOWN_4XX = "463"
    BAD_REQUEST = "400"
    NOT_ALLOWED = "405"
    NOT_ACCEPTABLE = "406"  # with a challenge
    FOREIGN_404 = "foreign_404"  # a page that does not name the site
    NOT_JSON = "nan"


@dataclass(slots=True)
class Fault:
    """A fault of a source: it strikes a share of the requests that match, or of the first few of them."""

    source: str
    kind: FaultKind
    share: float = 1.0
    first: int | None = None  # number of matching requests after which the fault ends
    match: str = ""  # text that the path and query of a request must contain
    seen: int = field(default=0, init=False)  # number of matching requests so far

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share {self.share} is not between 0 and 1")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """The fault of a text: espn:500:0.1 is status 500 for a tenth of the requests to espn. Raises ValueError."""
        try:
            source, kind, share = text.split(":")
            return cls(source, FaultKind(kind), float(share))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a fault; write it as espn:500:0.1 ({error})") from None

    def strikes(self, seed: int, source: str, url: str) -> bool:
        """Whether this request goes wrong. The answer depends only on the seed and the number of requests before."""
        if source != self.source or self.match not in url:
            return False
        self.seen += 1
        if self.first is not None and self.seen > self.first:
            return False
        return Random(f"{seed}:{source}:{self.kind}:{self.match}:{self.seen}").random() < self.share
