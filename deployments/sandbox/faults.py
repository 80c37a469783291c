"""Which request goes wrong, and how?"""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    FORBIDDEN = "403"  # a block page that says so
    NOT_FOUND = "404"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    HANG = "hang"  # no answer until the client gives up
    RESET = "reset"  # the connection closes in the middle of the headers
    CUT_OFF = "cut_off"  # the connection closes before the announced length: HTTP can tell
    TRUNCATED = "truncated"  # the announced length is right and the body is cut: only its content tells
    BLOCK = "block"  # a block page with status 200
    SOFT_404 = "soft404"  # an index page with status 200
    EMPTY = "empty"  # {} or a page with nothing in it
    WRONG_ID = "wrong_id"  # the body of another game, day or season
    OTHER_KIND = "other_kind"  # the advanced box score of the game, under the name of the traditional one
    HOLLOW = "hollow"  # of a game: one player a team, no play in the second period
    NO_PLAYERS = "no_players"  # of a game: everything but its players
    ODD_ENTRY = "odd_entry"  # a list of games with an entry that nobody understands
    TWICE = "twice"  # a list of games that has a final one a second time, as postponed
    NIL = "nil"  # a list of games with a final in which nobody scored
    NO_PLAYS = "no_plays"  # of a game that is over: everything but its plays
    FEW_PLAYS = "few_plays"  # of a game that is over: its plays stop in the middle
    LARGE = "large"  # more than may be read
    DENSE = "dense"  # few bytes of JSON, and much memory
    BOMB = "bomb"  # a few kB that unpack to much more than may be read
    # Walls and others that stand before a site, and what is meant for us: see bodies.walls.
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
    MOVED = "moved"  # a redirect to another place of the site
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
    """What goes wrong at a source: for a share of its requests, or for the first few that match."""

    source: str
    kind: FaultKind
    share: float = 1.0
    first: int | None = None
    match: str = ""  # part of the path and query
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share {self.share} is not between 0 and 1")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """espn:500:0.1 is status 500 for a tenth of the requests to espn."""
        try:
            source, kind, share = text.split(":")
            return cls(source, FaultKind(kind), float(share))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a fault; write it as espn:500:0.1 ({error})") from None

    def strikes(self, seed: int, source: str, url: str) -> bool:
        """Whether this request goes wrong: the same for the same seed and the same number of requests."""
        if source != self.source or self.match not in url:
            return False
        self.seen += 1
        if self.first is not None and self.seen > self.first:
            return False
        return Random(f"{seed}:{source}:{self.kind}:{self.match}:{self.seen}").random() < self.share
