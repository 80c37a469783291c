"""What happens in a game of the fictional league, and how much of it has happened at a given moment?

A game is a list of plays. Scores and box scores are computed from the plays, so the three sites agree on every game at
every moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from random import Random

from deployments.sandbox.league import TEAMS, Fixture, Form, Team
from tasks.domain.expected.games import GameStatus

HOME, AWAY = 0, 1
_QUARTER, _OVERTIME = 720, 300
_TIP_OFF = timedelta(minutes=8)  # time from the listed start to the tip-off
_ON_COURT = timedelta(minutes=135)  # time from the tip-off to the last buzzer
_MINUTES = (36, 34, 33, 32, 31, 22, 18, 14, 12, 8, 0, 0, 0)  # playing times of a team's 13 players, 240 in total

_FIRST = (
    "Adam Alec Amir Andre Axel Ben Boris Caleb Carl Cedric Chris Dario Dean Devin Dion Elias Evan "
    "Felix Gary Glen Hugo Ivan Jalen Jonas Julian Kai Kofi Leon Luca Marc Milan Nate Niko Omar Oscar "
    "Paul Rafe Samir Theo Vince"
)
_FAMILY = (
    "Abbott Adeyemi Alder Barlow Bexley Birch Calder Cisse Corwin Dacosta Dalby Dorsey Eastman "
    "Ekberg Fallow Farrow Garner Gibbs Hallam Hartley Ivers Jarrett Kessel Kovac Lachlan Lindqvist "
    "Mabry Marek Nolan Novak Okafor Olsen Parrish Pryor Quill Radek Rhodes Sable Sorensen Tarver "
    "Thorne Ulrich Vance Varga Wendell Whitlock Xavier Yarrow Zeller Zoric"
)


@dataclass(frozen=True, slots=True)
class Player:
    """A player of a team."""

    id: int
    first: str
    family: str
    position: str
    jersey: int

    @property
    def name(self) -> str:
        return f"{self.first} {self.family}"

    @property
    def short_name(self) -> str:
        return f"{self.first[0]}. {self.family}"

    @property
    def br_id(self) -> str:
        return f"{self.family[:5]}{self.first[:2]}{self.id % 100:02d}".lower()


@lru_cache(maxsize=1)
def _rosters() -> dict[Team, tuple[Player, ...]]:
    """The players of each team. They are the same for every seed and season."""
    names = [(first, family) for first in _FIRST.split() for family in _FAMILY.split()]
    drawn = iter(Random("rosters").sample(names, len(TEAMS) * len(_MINUTES)))
    return {
        team: tuple(
            Player(1_700_000 + 100 * team.espn_id + number, *next(drawn), "GGFFC"[number % 5], 2 + 3 * number)
            for number in range(len(_MINUTES))
        )
        for team in TEAMS
    }


def roster(team: Team) -> tuple[Player, ...]:
    """The 13 players of a team, in order of their playing times. The first five start."""
    return _rosters()[team]


class Kind(StrEnum):
    """Kinds of plays."""

    PERIOD_START = "period start"
    PERIOD_END = "period end"
    JUMP_BALL = "jump ball"
    SHOT = "shot"
    FREE_THROW = "free throw"
    REBOUND = "rebound"
    TURNOVER = "turnover"
    FOUL = "foul"


@dataclass(frozen=True, slots=True)
class Play:
    """One play of a game, with the clock and the score after it."""

    number: int
    kind: Kind
    period: int
    left: int  # seconds left in the period
    elapsed: int  # seconds played since tip-off
    score: tuple[int, int]  # home, away
    side: int | None = None  # HOME or AWAY
    player: Player | None = None
    other: Player | None = None  # player who assisted, blocked, stole or drew the foul
    value: int = 0  # points that the attempt is worth
    good: bool = False  # whether an attempt scored, or a rebound was offensive


@dataclass(slots=True)
class _Tape:
    """Recording of a game: its plays so far, its score and its clock."""

    plays: list[Play] = field(default_factory=list)
    score: list[int] = field(default_factory=lambda: [0, 0])
    period: int = 0
    left: int = 0
    elapsed: int = 0

    def add(
        self,
        kind: Kind,
        side: int | None = None,
        player: Player | None = None,
        other: Player | None = None,
        value: int = 0,
        good: bool = False,
    ) -> None:
        if side is not None and value and good:
            self.score[side] += value
        score = (self.score[HOME], self.score[AWAY])
        number = len(self.plays) + 1
        moment = (self.period, self.left, self.elapsed)
        self.plays.append(Play(number, kind, *moment, score, side, player, other, value, good))

    def run_clock(self, seconds: int) -> None:
        seconds = min(seconds, self.left)
        self.left -= seconds
        self.elapsed += seconds


class _Lot:
    """Random choice of the players for a play, in proportion to their playing times."""

    def __init__(self, game: Fixture) -> None:
        self.rng = Random(game.luck)
        self._pools = tuple(
            [player for player, minutes in zip(roster(team), _MINUTES, strict=True) for _ in range(minutes)]
            for team in (game.home, game.away)
        )

    def player(self, side: int) -> Player:
        return self.rng.choice(self._pools[side])

    def other(self, side: int, player: Player, share: float) -> Player | None:
        if self.rng.random() >= share:
            return None
        other = self.player(side)
        return None if other == player else other


def _possession(tape: _Tape, lot: _Lot, side: int) -> None:
    player, roll = lot.player(side), lot.rng.random()
    if roll < 0.12:
        tape.add(Kind.TURNOVER, side, player, lot.other(1 - side, player, 0.55))
    elif roll < 0.19:
        tape.add(Kind.FOUL, 1 - side, lot.player(1 - side), player)
        for _ in range(2):
            tape.add(Kind.FREE_THROW, side, player, value=1, good=lot.rng.random() < 0.77)
    else:
        _shot(tape, lot, side, player)


def _shot(tape: _Tape, lot: _Lot, side: int, player: Player) -> None:
    value = 3 if lot.rng.random() < 0.38 else 2
    if lot.rng.random() < (0.42 if value == 3 else 0.64):
        tape.add(Kind.SHOT, side, player, lot.other(side, player, 0.65), value, good=True)
        return
    tape.add(Kind.SHOT, side, player, lot.other(1 - side, player, 0.1), value)
    offensive = lot.rng.random() < 0.25
    rebounder = side if offensive else 1 - side
    tape.add(Kind.REBOUND, rebounder, lot.player(rebounder), good=offensive)


def _period(tape: _Tape, lot: _Lot, number: int, form: Form) -> None:
    tape.period, tape.left = number, form.seconds if number <= form.periods else _OVERTIME
    tape.add(Kind.PERIOD_START)
    if number == 1:
        tape.add(Kind.JUMP_BALL, HOME, lot.player(HOME), lot.player(AWAY))
    side = number % 2
    while form.target is None or max(tape.score) < form.target:
        tape.run_clock(lot.rng.randint(10, 22))
        if tape.left == 0:
            break
        _possession(tape, lot, side)
        side = 1 - side
    if form.periods <= number < form.periods + form.overtimes:
        _even_out(tape, lot)
    tape.add(Kind.PERIOD_END)


def _even_out(tape: _Tape, lot: _Lot) -> None:
    """Adds the free throws that the losing side needs to tie the score."""
    behind = HOME if tape.score[HOME] < tape.score[AWAY] else AWAY
    for _ in range(abs(tape.score[HOME] - tape.score[AWAY])):
        tape.add(Kind.FREE_THROW, behind, lot.player(behind), value=1, good=True)


@lru_cache(maxsize=256)
def _plays(game: Fixture) -> tuple[Play, ...]:
    tape, lot = _Tape(), _Lot(game)
    period = 0
    while period < game.form.periods or tape.score[HOME] == tape.score[AWAY]:
        period += 1
        _period(tape, lot, period, game.form)
    return _corrected(game, tape.plays)


def _corrected(game: Fixture, plays: list[Play]) -> tuple[Play, ...]:
    """The plays, in which the first `game.corrections` rebounds are credited to a team-mate."""
    rebounds = [play for play in plays if play.kind is Kind.REBOUND]
    credited = {play.number: _with_a_team_mate(game, play) for play in rebounds[: game.corrections]}
    return tuple(credited.get(play.number, play) for play in plays)


def _with_a_team_mate(game: Fixture, play: Play) -> Play:
    players = [player for player, minutes in zip(roster(_side(game, play.side)), _MINUTES, strict=True) if minutes]
    assert play.player is not None
    return replace(play, player=players[players.index(play.player) - 1])


def _side(game: Fixture, side: int | None) -> Team:
    return game.away if side else game.home


@lru_cache(maxsize=50_000)
def _outcome(game: Fixture) -> tuple[tuple[int, int], int, int]:
    """Final score, number of overtimes, and seconds of play without them.

    Schedules need these of many games, so more of them are cached than of the plays.
    """
    end = _plays(game)[-1]
    overtimes = end.period - game.form.periods
    return end.score, overtimes, end.elapsed - _OVERTIME * overtimes


def _playing_seconds(game: Fixture, side: int, overtimes: int) -> list[int]:
    """Seconds on court of each player. Together they are five times the length of the game: 240 minutes if full."""
    rng = Random(f"{game.luck}:{side}")
    share = (_outcome(game)[2] if game.form.target else game.form.periods * game.form.seconds) / (4 * _QUARTER)
    seconds = [round(60 * minutes * share) for minutes in _MINUTES]
    for index in range(5):
        shift = rng.randint(-90, 90)
        seconds[index] += shift + _OVERTIME * overtimes
        seconds[index + 5] -= shift
    return seconds


@dataclass(slots=True)
class Line:
    """A player's line of a box score, or a team's total."""

    player: Player | None
    seconds: int = 0
    plus_minus: int = 0
    fgm: int = 0
    fga: int = 0
    tpm: int = 0
    tpa: int = 0
    ftm: int = 0
    fta: int = 0
    orb: int = 0
    drb: int = 0
    ast: int = 0
    stl: int = 0
    blk: int = 0
    tov: int = 0
    pf: int = 0
    pts: int = 0

    @property
    def trb(self) -> int:
        return self.orb + self.drb

    @property
    def clock(self) -> str:
        return f"{self.seconds // 60}:{self.seconds % 60:02d}"

    def count(self, play: Play) -> None:
        """Adds a play of this line's player."""
        match play.kind:
            case Kind.SHOT:
                three = play.value == 3
                self.fga, self.tpa = self.fga + 1, self.tpa + three
                self.fgm, self.tpm = self.fgm + play.good, self.tpm + (three and play.good)
                self.pts += play.value * play.good
            case Kind.FREE_THROW:
                self.fta, self.ftm, self.pts = self.fta + 1, self.ftm + play.good, self.pts + play.good
            case Kind.REBOUND:
                self.orb, self.drb = self.orb + play.good, self.drb + (not play.good)
            case Kind.TURNOVER:
                self.tov += 1
            case Kind.FOUL:
                self.pf += 1
            case _:
                pass

    def count_help(self, play: Play) -> None:
        """Adds the assist, block or steal of this line's player in another player's play."""
        if play.kind is Kind.SHOT:
            self.ast, self.blk = self.ast + play.good, self.blk + (not play.good)
        elif play.kind is Kind.TURNOVER:
            self.stl += 1


def total(lines: list[Line]) -> Line:
    """A team's total of a box score, without plus-minus."""
    counted = [each.name for each in fields(Line) if each.name not in ("player", "plus_minus")]
    return Line(None, **{name: sum(getattr(line, name) for line in lines) for name in counted})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A game as it stands at one moment. Its plays are computed only when they are needed."""

    game: Fixture
    status: GameStatus
    share: float  # share of the game's playing time that is over; negative before the tip-off

    @property
    def started(self) -> bool:
        return self.status in (GameStatus.LIVE, GameStatus.FINAL)

    @property
    def final(self) -> bool:
        return self.status is GameStatus.FINAL

    @property
    def plays(self) -> tuple[Play, ...]:
        """The plays so far."""
        if not self.started:
            return ()
        plays = _plays(self.game)
        if self.final:
            return plays
        # A live game never shows its last second, so that it does not look finished.
        whole = plays[-1].elapsed
        elapsed = min(int(self.share * whole), whole - 1) if self.share >= 0 else -1
        return tuple(play for play in plays if play.elapsed <= elapsed)

    @property
    def overtimes(self) -> int:
        return _outcome(self.game)[1] if self.started else 0

    @property
    def score(self) -> tuple[int, int]:
        if self.final:
            return _outcome(self.game)[0]
        plays = self.plays
        return plays[-1].score if plays else (0, 0)

    @property
    def period(self) -> int:
        plays = self.plays
        return plays[-1].period if plays else int(self.started)

    @property
    def left(self) -> int:
        """Seconds left in the current period."""
        plays = self.plays
        return plays[-1].left if plays else self.game.form.seconds

    def team(self, side: int) -> Team:
        return _side(self.game, side)

    def points_by_period(self, side: int) -> list[int]:
        """The points of one team in each period so far."""
        at_end = {play.period: play.score[side] for play in self.plays}
        ends = list(at_end.values())
        return [points - before for points, before in zip(ends, [0, *ends], strict=False)]

    def lines(self, side: int, periods: range | None = None) -> list[Line]:
        """The box score of one team so far, or only of the given periods."""
        share = max(0.0, self.share)
        shares = share if periods is None else share * len(periods) / (self.game.form.periods + self.overtimes)
        seconds = _playing_seconds(self.game, side, self.overtimes)
        pairs = zip(roster(self.team(side)), seconds, strict=True)
        lines = {player.id: Line(player, int(played * shares)) for player, played in pairs}
        for play in self.plays:
            if periods is None or play.period in periods:
                _count(play, lines)
        margin = (self.score[side] - self.score[1 - side]) * shares
        for line in lines.values():
            line.plus_minus = round(margin * line.seconds / 2880)
        return list(lines.values())


def _count(play: Play, lines: dict[int, Line]) -> None:
    if play.player and (line := lines.get(play.player.id)):
        line.count(play)
    if play.other and (line := lines.get(play.other.id)):
        line.count_help(play)


def as_of(game: Fixture, now: datetime) -> Snapshot:
    """The game as it stands at the moment `now`."""
    status = game.status(now)
    if status is GameStatus.FINAL:
        return Snapshot(game, status, 1.0)
    share = (now - game.start - _TIP_OFF) / _ON_COURT if status is GameStatus.LIVE else 0.0
    return Snapshot(game, status, min(share, 1.0))
