"""Which body check does a dataset name, and what does it find in a body?"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from config.models import Check
from tasks.domain.assess.verdicts import Verdict, bad, whole
from tasks.domain.wording import one_line
from tasks.sources import basketball_reference, espn, nba_api
from tasks.sources.documents import UnfitBodyError, read_json, too_few_rows, value_at

CheckFunction = Callable[[bytes, Mapping[str, str], Check], Verdict]

_REASON_LENGTH = 200  # characters


def json(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for any JSON: it must be no error, and have the values and rows that the options ask for."""
    document = read_json(body)
    lacking = [path for path in check.must_have if value_at(document, path) is None]
    if lacking:
        return bad(f"without {', '.join(lacking)}")
    for path, template in check.equals.items():
        if str(has := value_at(document, path)) != (expected := template.format_map(fields)):
            return bad(f"{path} is {has}, not {expected}")
    if not (check.rows or check.min_rows):
        return whole()
    rows = value_at(document, check.rows)
    if not isinstance(rows, list | dict):
        return bad(f"{check.rows or 'the document'} is not a list")
    return too_few_rows(len(rows), fields, check) or whole()


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


def description(name: str) -> str:
    """What a body check is for and asks of a body, in a sentence."""
    (first, *_) = (CHECKS[name].__doc__ or "").split("\n\n")
    text = " ".join(first.split()).removeprefix("Body check for ")
    return f"For {text}"


def examine(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """The verdict of the body check that `check` names, on a single line. Raises KeyError only for an unknown name."""
    function = CHECKS[check.name]
    try:
        verdict = function(body, fields, check)
    except UnfitBodyError as error:
        verdict = bad(str(error), error.fault)
    except Exception as error:  # body checks assume the right shape, so that a wrong one can raise any exception
        verdict = bad(f"not the expected shape: {type(error).__name__}: {error}")
    return replace(verdict, reason=_short(verdict.reason))


def _short(reason: str) -> str:
    """The reason as one line, cut to a length that suits logs and the database.

    It may quote the body, which can contain anything.
    """
    return one_line(reason[: 10 * _REASON_LENGTH])[:_REASON_LENGTH]
