"""Is a page of basketball-reference.com complete, and which games does a month's schedule list?"""

import calendar
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from selectolax.lexbor import LexborNode

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, bad, unfinished, whole
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.expected.seasons import EASTERN
from tasks.sources.documents import Page, UnfitBodyError, read_page, read_page_of, too_few_rows, wall_in
from tasks.sources.hollow import Line, TeamLines, minutes, number, period_without_plays, why_hollow
from tasks.sources.schedules import OddEntryError, is_nil, read_each

_SITE = "basketball-reference.com"  # the domain in its pages, from whatever host they were fetched
_ROWS_OF_A_GAME = 100  # the smallest number of rows in the play-by-play of a whole game
_BOX_TABLE = r"box-[A-Z]{3}-game-basic|box_[a-z]{3}_basic"  # the second form was used until about 2019
_GAME_ID = re.compile(r"(\d{8})0[A-Z]{3}", re.ASCII)
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name)}
_EDGE = re.compile(r"\b(?:Start|End) of ")
_CALLED_OFF = re.compile(r"(?P<postponed>postponed)|cancell?ed|forfeit", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})\s*([ap])m?", re.ASCII)


def box_score(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the box score of a game: whole if the tables of both teams have all players."""
    page = _page(body, f"/boxscores/{fields['id']}.html")
    teams = {name[4:7].upper(): table for name, table in page.tables(_BOX_TABLE).items()}
    if len(teams) != 2 or fields["id"][-3:] not in teams:
        return bad(f"box score tables of {', '.join(teams) or 'no team'}, not of both teams")
    if not any(_rows(table) for table in teams.values()):
        return bad("no players in the box score", Fault.ABSENT)
    if hollow := next(filter(None, (why_hollow(_lines(table)) for table in teams.values())), None):
        return unfinished(hollow)
    return whole()


def play_by_play(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the play-by-play of a game: whole if it has enough rows and no period lacks rows.

    The site publishes the page when the game is over. Whether the page reaches the end of the game is not checked,
    because old pages have no row for the end.
    """
    page = _page(body, f"/boxscores/pbp/{fields['id']}.html")
    by_period = Counter(_periods(_table(page, "pbp")))
    if not by_period:
        return bad("no rows of play-by-play", Fault.ABSENT)
    if (rows := by_period.total()) < _ROWS_OF_A_GAME:
        return unfinished(f"{rows} rows of play-by-play")
    if silent := period_without_plays(by_period, max(by_period)):
        return unfinished(f"hollow: no row in period {silent} of {max(by_period)}")
    return whole()


def schedule(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for the schedule of one month, with its games.

    The ids of the games show the month, because the page's canonical address names only the season.
    """
    page = _season_page(body, fields, f"/leagues/NBA_{fields['end_year']}_games")
    rows = list(_game_rows(_table(page, "schedule")))
    named = [row.game_id for row in rows if _GAME_ID.fullmatch(row.game_id)]
    if named and not any(_in_month(game_id, fields["month"]) for game_id in named):
        return bad(f"game {named[0]} is not in {fields['month']}")
    listing = read_each(rows, lambda row: _game(row, fields), lambda row: row.game_id)
    return listing.verdict() if rows else bad("no games in the schedule", Fault.ABSENT)


def season_table(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for a table of all players of a season, which grows during the season.

    The numbers of games do not show whether the season is over: a traded player can have more games than his teams, and
    some seasons are shorter. The calendar decides that; see finality.py.
    """
    page = _season_page(body, fields, f"/leagues/NBA_{fields['end_year']}_")
    table = _table(page, *check.tables)
    played = [int(cell.text()) for cell in table.css("[data-stat=g], [data-stat=games]") if cell.text().isdecimal()]
    if len(played) < max(check.min_rows, 1):
        return bad(f"{len(played)} players in the table, fewer than {check.min_rows}")
    return whole()


def html_table(body: bytes, fields: Mapping[str, str], check: Check) -> Verdict:
    """Body check for any page: one of the tables of `tables`, with the columns of `must_have`, and enough rows."""
    page = read_page(body)
    try:
        table = _table(page, *check.tables)
    except UnfitBodyError:
        if wall := wall_in(page.text):
            return bad(f"refused: {wall}", Fault.REFUSED)
        if page.is_whole:
            raise
        table = None
    if table is None or not page.is_whole:
        return bad("page cut off before its end", Fault.CUT_OFF)
    columns = _columns(table) if check.must_have else set()
    if lacking := [name for name in check.must_have if name not in columns]:
        return bad(f"table without the column {', '.join(lacking)}")
    return too_few_rows(len(_rows(table)), fields, check) or whole()


def _page(body: bytes, path: str) -> Page:
    """The complete page whose canonical address ends with this path. Raises UnfitBodyError for any other."""
    return read_page_of(_SITE, body, lambda page: page.canonical.endswith(path))


def _season_page(body: bytes, fields: Mapping[str, str], path: str) -> Page:
    """The complete page of the season whose canonical address contains this path. Raises UnfitBodyError otherwise."""
    return read_page_of(_SITE, body, lambda page: path in page.canonical and fields["season"] in page.title)


def _table(page: Page, *names: str) -> LexborNode:
    """The first of the named tables that the page has. Several names are possible, as the site has renamed tables."""
    tables = page.tables("|".join(map(re.escape, names)))
    for name in names:
        if name in tables:
            return tables[name]
    raise UnfitBodyError(f"no table {' or '.join(names)}")


def _columns(table: LexborNode) -> set[str]:
    """The names of the columns: their headings, and the names that the site gives to their cells."""
    headings = {cell.text(strip=True) for cell in table.css("th")}
    return headings | {cell.attributes.get("data-stat") or "" for cell in table.css("th, td")}


def _rows(table: LexborNode) -> list[LexborNode]:
    return table.css("tbody tr:not(.thead)")


def _lines(table: LexborNode) -> TeamLines:
    """The lines of a team. Players who have not played have a reason instead of figures, and are left out."""
    rows = [row for row in _rows(table) if minutes(_cell(row, "mp"))]
    total = table.css_first("tfoot tr")
    lines = [Line(number(_cell(row, "pts")), minutes(_cell(row, "mp"))) for row in rows]
    return TeamLines(lines, number(_cell(total, "pts")), minutes(_cell(total, "mp"))) if total else TeamLines(lines)


def _periods(table: LexborNode) -> Iterator[int]:
    """The period of each play, found by counting the headers of periods."""
    period = 0
    for row in table.css("tr"):
        if not _is_header(row):
            if not _EDGE.search(row.text(separator=" ")):
                yield max(period, 1)
        elif re.fullmatch(r"q\d+", row.attributes.get("id") or ""):
            period += 1


class _GameRow(NamedTuple):
    """A game's row in the schedule of a month."""

    game_id: str
    cells: LexborNode
    playoffs: bool | None  # None if the page has no header that separates the play-offs from the other games


def _game_rows(table: LexborNode) -> Iterator[_GameRow]:
    rows = table.css("tbody tr")
    playoffs = False if any(_is_playoffs_header(row) for row in rows) else None
    for row in rows:
        if _is_playoffs_header(row):
            playoffs = True
        elif not _is_header(row) and row.text(strip=True):
            cell = row.css_first("[data-stat=date_game]")
            yield _GameRow((cell.attributes.get("csk") or "") if cell else "", row, playoffs)


def _game(row: _GameRow, fields: Mapping[str, str]) -> Game:
    if not _GAME_ID.fullmatch(row.game_id):
        raise OddEntryError("not a game id")
    if not _in_month(row.game_id, fields["month"]):
        raise OddEntryError(f"not in {fields['month']}")
    day = _day(row.game_id)
    late = _is_after_regular_season(day, int(fields["end_year"])) if row.playoffs is None else row.playoffs
    return Game(
        id=row.game_id,
        day=day,
        start=_start(day, _cell(row.cells, "game_start_time")),
        status=_status(row.cells),
        season=fields["season"],
        season_type=_season_type(row.cells, late),
    )


def _is_header(row: LexborNode) -> bool:
    return "thead" in (row.attributes.get("class") or "").split()


def _is_playoffs_header(row: LexborNode) -> bool:
    return _is_header(row) and row.text(strip=True) == "Playoffs"


def _start(day: date, clock: str) -> datetime | None:
    """The start in UTC, from a time such as "7:30p" in US Eastern time; None on old pages, which give no time."""
    match = _CLOCK.fullmatch(clock)
    if not match:
        return None
    hour, minute = int(match[1]) % 12 + (12 if match[3] == "p" else 0), int(match[2])
    return datetime.combine(day, time(hour, minute), EASTERN).astimezone(UTC) if minute < 60 else None


def _status(row: LexborNode) -> GameStatus:
    """The status of a game. It is final only if its box score is linked, however long ago it should have begun."""
    if row.css_first("[data-stat=box_score_text] a[href]"):
        nil = is_nil(_cell(row, "visitor_pts"), _cell(row, "home_pts"))
        return GameStatus.CANCELLED if nil else GameStatus.FINAL
    called_off = _CALLED_OFF.search(_cell(row, "game_remarks"))
    if called_off is None:
        return GameStatus.SCHEDULED
    return GameStatus.POSTPONED if called_off["postponed"] else GameStatus.CANCELLED


def _season_type(row: LexborNode, late: bool) -> str:
    if "play-in" in _cell(row, "game_remarks").lower():
        return "play-in"
    return "playoffs" if late else "regular"


def _is_after_regular_season(day: date, end_year: int) -> bool:
    """Is the day in the play-offs, on a page without the "Playoffs" header?

    Only the month in which the play-offs begin has the header, so that days after April are in the play-offs on other
    pages. The only exception is July 2020, when the league resumed the regular season.
    """
    return day > date(end_year, 4, 30) and (day.year, day.month) != (2020, 7)


def _day(game_id: str) -> date:
    try:
        return datetime.strptime(game_id[:8], "%Y%m%d").date()
    except ValueError:
        raise OddEntryError("no such day") from None


def _in_month(game_id: str, month: str) -> bool:
    """Is the game in this month? It is named "october", or "october-2019" in the season with two Octobers."""
    name, _, year = month.partition("-")
    return game_id[4:6] == f"{_MONTHS[name]:02d}" and year in ("", game_id[:4])


def _cell(row: LexborNode, name: str) -> str:
    cell = row.css_first(f"[data-stat={name}]")
    return cell.text(strip=True) if cell else ""
