"""Is a page of basketball-reference.com whole, and which games does a month's schedule list?"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time

from selectolax.lexbor import LexborNode

from config.models import Check
from tasks.domain.games import Game, GameStatus
from tasks.domain.seasons import EASTERN, games_per_team
from tasks.domain.verdicts import Fault, Verdict, bad, partial, unfinished, whole
from tasks.sources.documents import Page, UnfitBodyError, read_page
from tasks.sources.schedules import settled

_STARTERS = 5
_ROWS_OF_A_GAME = 100
_BOX_TABLE = r"box-[A-Z]{3}-game-basic|box_[a-z]{3}_basic"  # the second until about 2019
_GAME_ID = re.compile(r"(\d{8})0[A-Z]{3}", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})\s*([ap])m?", re.ASCII)


def box_score(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    page = _page(body, f"/boxscores/{fields['id']}.html")
    players = {name[4:7].upper(): len(_rows(table)) for name, table in page.tables(_BOX_TABLE).items()}
    if len(players) != 2 or fields["id"][-3:] not in players:
        return bad(f"box score tables of {', '.join(players) or 'no team'}, not of both teams")
    if min(players.values()) < _STARTERS:
        return bad(f"a team with {min(players.values())} players in the box score")
    return whole()


def play_by_play(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    page = _page(body, f"/boxscores/pbp/{fields['id']}.html")
    rows = len(_table(page, "pbp").css("tr:not(.thead)"))
    if rows >= _ROWS_OF_A_GAME:
        return whole()
    return unfinished(f"{rows} rows of play-by-play") if rows else bad("no rows of play-by-play", Fault.ABSENT)


def schedule(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """One month of a season. The address the page gives itself names the season, not the month."""
    page = _season_page(body, fields, f"/leagues/NBA_{fields['end_year']}_games")
    games = list(_games(_table(page, "schedule"), fields))
    strays = [game.id for game in games if not _in_month(game.day, fields["month"])]
    if strays:
        return bad(f"game {strays[0]} is not in {fields['month']}")
    return settled(games) if games else bad("no games in the schedule")


def season_table(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """A table of all players of a season, growing until every team has played its games."""
    page = _season_page(body, fields, f"/leagues/NBA_{fields['end_year']}_")
    table = _table(page, *check.tables)
    played = [int(cell.text()) for cell in table.css("[data-stat=g], [data-stat=games]") if cell.text().isdecimal()]
    if len(played) < max(check.min_rows, 1):
        return bad(f"{len(played)} players in the table, fewer than {check.min_rows}")
    full = games_per_team(fields["season"])
    if max(played) < full:
        return partial(f"season still running: most games played by a player is {max(played)} of {full}")
    return whole()


def html_table(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Any page that has one of the named tables with enough rows."""
    rows = len(_rows(_table(read_page(body), *check.tables)))
    return whole() if rows >= max(check.min_rows, 1) else bad(f"{rows} rows, fewer than {check.min_rows}")


def _page(body: bytes, path: str) -> Page:
    """The page of that address. An unknown one answers 200 with some other page."""
    page = read_page(body)
    if not page.canonical.endswith(path):
        raise UnfitBodyError(f"another page: {page.title or page.canonical or 'without a title'}", Fault.ABSENT)
    return page


def _season_page(body: bytes, fields: Mapping[str, str], path: str) -> Page:
    page = read_page(body)
    if path not in page.canonical or fields["season"] not in page.title:
        raise UnfitBodyError(f"another page: {page.title or page.canonical or 'without a title'}", Fault.ABSENT)
    return page


def _table(page: Page, *names: str) -> LexborNode:
    """The first of the named tables that the page has: the site renames them now and then."""
    tables = page.tables("|".join(map(re.escape, names)))
    for name in names:
        if name in tables:
            return tables[name]
    raise UnfitBodyError(f"no table {' or '.join(names)}")


def _rows(table: LexborNode) -> list[LexborNode]:
    return table.css("tbody tr:not(.thead)")


def _games(table: LexborNode, fields: Mapping[str, str]) -> Iterator[Game]:
    rows = table.css("tbody tr")
    headed = any(_is_playoffs_header(row) for row in rows)
    playoffs = False
    for row in rows:
        if _is_playoffs_header(row):
            playoffs = True
        elif not _is_header(row):
            game_id = _game_id(row)
            day = datetime.strptime(game_id[:8], "%Y%m%d").date()
            late = playoffs if headed else _is_after_regular_season(day, int(fields["end_year"]))
            yield Game(
                id=game_id,
                day=day,
                start=_start(day, _cell(row, "game_start_time")),
                status=_status(row),
                season=fields["season"],
                season_type=_season_type(row, late),
            )


def _is_header(row: LexborNode) -> bool:
    return "thead" in (row.attributes.get("class") or "").split()


def _is_playoffs_header(row: LexborNode) -> bool:
    return _is_header(row) and row.text(strip=True) == "Playoffs"


def _game_id(row: LexborNode) -> str:
    cell = row.css_first("[data-stat=date_game]")
    game_id = (cell.attributes.get("csk") or "") if cell else ""
    if not _GAME_ID.fullmatch(game_id):
        raise UnfitBodyError(f"a schedule row without a game id: {row.text(separator=' ', strip=True)[:60]}")
    return game_id


def _start(day: date, clock: str) -> datetime | None:
    """From "7:30p", Eastern. Old pages give no time."""
    match = _CLOCK.fullmatch(clock)
    if not match:
        return None
    hour = int(match[1]) % 12 + (12 if match[3] == "p" else 0)
    return datetime.combine(day, time(hour, int(match[2])), EASTERN).astimezone(UTC)


def _status(row: LexborNode) -> GameStatus:
    """A game is played once its box score is linked, however long ago it should have begun."""
    if row.css_first("[data-stat=box_score_text] a[href]"):
        return GameStatus.FINAL
    if "postponed" in _cell(row, "game_remarks").lower():
        return GameStatus.POSTPONED
    return GameStatus.SCHEDULED


def _season_type(row: LexborNode, late: bool) -> str:
    if "play-in" in _cell(row, "game_remarks").lower():
        return "play-in"
    return "playoffs" if late else "regular"


def _is_after_regular_season(day: date, end_year: int) -> bool:
    """For a page without the "Playoffs" header, which only the month in which they begin has.

    A regular season that runs into May or later has that header in its last month; the only month
    between is July 2020, when the league came back to finish the season.
    """
    return day > date(end_year, 4, 30) and (day.year, day.month) != (2020, 7)


def _in_month(day: date, month: str) -> bool:
    """The month is "october", or "october-2019" in the season that had two Octobers."""
    name, _, year = month.partition("-")
    return f"{day:%B}".lower() == name and year in ("", str(day.year))


def _cell(row: LexborNode, name: str) -> str:
    cell = row.css_first(f"[data-stat={name}]")
    return cell.text(strip=True) if cell else ""
