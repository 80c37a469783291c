"""What has been corrected since a game was over, and which sites say so?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from deployments.sandbox.league import Fixture


@dataclass(frozen=True, slots=True)
class Correction:
    """A rebound is credited to somebody else: his line, his team's figures and one play change, and no score."""

    game_id: str  # as any of the sites calls the game
    source: str | None = None  # the only one that says so; None: all of them

    def pauses(self, game: Fixture, source: str) -> bool:
        return self.source in (None, source) and self.game_id in (game.espn_id, game.nba_id, game.br_id)


def corrected(game: Fixture, source: str, corrections: Iterable[Correction]) -> Fixture:
    return replace(game, corrections=sum(correction.pauses(game, source) for correction in corrections))
