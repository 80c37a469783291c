"""What was corrected after a game, and which sites publish the correction?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from deployments.sandbox.league import Fixture


@dataclass(frozen=True, slots=True)
class Correction:
    """Credits one rebound of a game to another player. Box score and play-by-play change, but not the score."""

    game_id: str  # the game's id at any of the sites
    source: str | None = None  # the only source that publishes the correction; None for all

    def applies_to(self, game: Fixture, source: str) -> bool:
        return self.source in (None, source) and self.game_id in (game.espn_id, game.nba_id, game.br_id)


def corrected(game: Fixture, source: str, corrections: Iterable[Correction]) -> Fixture:
    """The game with as many corrections as apply to it at the source."""
    return replace(game, corrections=sum(correction.applies_to(game, source) for correction in corrections))
