"""Which check does a dataset name, and what does it find in a body?"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from config.models import Check
from tasks.domain.assess.verdicts import Verdict, bad, whole
from tasks.sources import basketball_reference, espn, nba_api
from tasks.sources.documents import UnfitBodyError, read_json

CheckFunction = Callable[[bytes, Mapping[str, str], Check], Verdict]

_REASON_LENGTH = 200


def json(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Any JSON that is not empty and not an error."""
    read_json(body)
    return whole()


CHECKS: dict[str, CheckFunction] = {
    "json": json,
    "html_table": basketball_reference.html_table,
    "espn.scoreboard": espn.scoreboard,
    "espn.summary": espn.summary,
    "nba_api.schedule": nba_api.schedule,
    "nba_api.box_score": nba_api.box_score,
    "nba_api.play_by_play": nba_api.play_by_play,
    "basketball_reference.schedule": basketball_reference.schedule,
    "basketball_reference.box_score": basketball_reference.box_score,
    "basketball_reference.play_by_play": basketball_reference.play_by_play,
    "basketball_reference.season_table": basketball_reference.season_table,
}


def examine(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """The named check's verdict. Raises for a check that does not exist, never for a body."""
    function = CHECKS[check.name]
    try:
        verdict = function(body, fields, check)
    except UnfitBodyError as error:
        verdict = bad(str(error), error.fault)
    except Exception as error:  # checks read as if the shape were right; a wrong one fails in any way at all
        verdict = bad(f"not the expected shape: {type(error).__name__}: {error}")
    return replace(verdict, reason=_one_line(verdict.reason))


def _one_line(reason: str) -> str:
    """Fit for a log line and a database column: a reason can quote the body, whatever is in it."""
    printable = "".join(character if character.isprintable() else " " for character in reason[: 10 * _REASON_LENGTH])
    return " ".join(printable.split())[:_REASON_LENGTH]
