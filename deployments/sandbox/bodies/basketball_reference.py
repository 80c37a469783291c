"""What do the pages of basketball-reference.com look like for a game, a month or a season?"""

from collections.abc import Iterable, Sequence
from datetime import date

from deployments.sandbox.bodies.moments import ANSWERED
from deployments.sandbox.league import TEAMS, Team
from deployments.sandbox.results import AWAY, HOME, Kind, Line, Play, Player, Snapshot, roster, total
from tasks.domain.expected import seasons
from tasks.domain.expected.games import GameStatus

_BR = "https://www.basketball-reference.com"
_ORDINALS = ("1st", "2nd", "3rd", "4th")


def _page(title: str, path: str, heading: str, content: str) -> bytes:
    return (
        '<!DOCTYPE html>\n<html lang="en" class="no-js">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title} | Basketball-Reference.com</title>\n"
        f'<link rel="canonical" href="{_BR}{path}" />\n</head>\n'
        f'<body class="bbr">\n<div id="content" role="main" class="box">\n<h1>{heading}</h1>\n{content}\n'
        f"</div>\n<!-- generated: {ANSWERED} -->\n</body>\n</html>\n"
    ).encode()


def _cell(stat: str, value: object) -> str:
    return f'<td class="right " data-stat="{stat}" >{value}</td>'


def _cells(values: dict[str, object]) -> str:
    return "".join(_cell(stat, value) for stat, value in values.items())


def _head(stats: Iterable[str]) -> str:
    cells = "".join(f'<th data-stat="{stat}" scope="col" class=" center" >{stat}</th>' for stat in stats)
    return f"<thead><tr>{cells}</tr></thead>"


def _table(table_id: str, caption: str, head: str, rows: Iterable[str], foot: str = "") -> str:
    body = "\n".join(rows)
    return (
        f'<div class="table_container" id="div_{table_id}">\n'
        f'<table class="sortable stats_table" id="{table_id}">\n<caption>{caption} Table</caption>\n'
        f"{head}\n<tbody>\n{body}\n</tbody>\n{foot}</table>\n</div>"
    )


def _player_link(player: Player) -> str:
    return f'<a href="/players/{player.br_id[0]}/{player.br_id}.html">{player.name}</a>'


def _team_link(team: Team, season: str) -> str:
    return f'<a href="/teams/{team.br_code}/{seasons.end_year(season)}.html">{team.full_name}</a>'


def _long_day(day: date) -> str:
    return f"{day:%B} {day.day}, {day.year}"


# The schedule of a month.

_SCHEDULE = (
    "date_game",
    "game_start_time",
    "visitor_team_name",
    "visitor_pts",
    "home_team_name",
    "home_pts",
    "box_score_text",
    "overtimes",
    "attendance",
    "arena_name",
    "game_remarks",
)


def _schedule_row(shot: Snapshot) -> str:
    game = shot.game
    day, start = game.day, game.start.astimezone(seasons.EASTERN)
    overtimes = {0: "", 1: "OT"}.get(shot.overtimes, f"{shot.overtimes}OT")
    played = {
        "visitor_pts": shot.score[AWAY] if shot.final else "",
        "home_pts": shot.score[HOME] if shot.final else "",
        "box_score_text": f'<a href="/boxscores/{game.br_id}.html">Box Score</a>' if shot.final else "",
    }
    return (
        f'<tr ><th scope="row" class="left " data-stat="date_game" csk="{game.br_id}" >'
        f'<a href="/boxscores/index.fcgi?month={day.month}&amp;day={day.day}&amp;year={day.year}">'
        f"{day:%a}, {day:%b} {day.day}, {day.year}</a></th>"
        + _cell("game_start_time", f"{start.hour % 12 or 12}:{start:%M}{'p' if start.hour >= 12 else 'a'}")
        + _cell("visitor_team_name", _team_link(game.away, game.season))
        + _cell("visitor_pts", played["visitor_pts"])
        + _cell("home_team_name", _team_link(game.home, game.season))
        + _cell("home_pts", played["home_pts"])
        + _cell("box_score_text", played["box_score_text"])
        + _cell("overtimes", overtimes if shot.final else "")
        + _cell("attendance", "18,000" if shot.final else "")
        + _cell("arena_name", f"{game.home.city} Arena")
        + _cell("game_remarks", "Postponed" if shot.status is GameStatus.POSTPONED else "")
        + "</tr>"
    )


def schedule(season: str, month: str, shots: Sequence[Snapshot]) -> bytes:
    """The schedule of a month. Play-off games follow a header row."""
    regular = [_schedule_row(shot) for shot in shots if shot.game.season_type == "regular"]
    playoffs = [_schedule_row(shot) for shot in shots if shot.game.season_type == "playoffs"]
    header = [f'<tr class="thead"><th colspan="{len(_SCHEDULE)}">Playoffs</th></tr>'] if playoffs else []
    table = _table("schedule", f"{month} Schedule", _head(_SCHEDULE), regular + header + playoffs)
    # As on the real site, the canonical link of every month is the season's page, and no page names its month.
    path = f"/leagues/NBA_{seasons.end_year(season)}_games.html"
    return _page(f"{season} NBA Schedule", path, f"{season} NBA Schedule and Results", table)


# The box score of a game.


def _rate(part: float, whole: float) -> str:
    return f"{part / whole:.3f}".removeprefix("0") if whole else ""


def _basic(line: Line) -> dict[str, object]:
    return {
        "mp": line.clock,
        "fg": line.fgm,
        "fga": line.fga,
        "fg_pct": _rate(line.fgm, line.fga),
        "fg3": line.tpm,
        "fg3a": line.tpa,
        "fg3_pct": _rate(line.tpm, line.tpa),
        "ft": line.ftm,
        "fta": line.fta,
        "ft_pct": _rate(line.ftm, line.fta),
        "orb": line.orb,
        "drb": line.drb,
        "trb": line.trb,
        "ast": line.ast,
        "stl": line.stl,
        "blk": line.blk,
        "tov": line.tov,
        "pf": line.pf,
        "pts": line.pts,
        "plus_minus": f"{line.plus_minus:+d}",
    }


def _advanced(line: Line) -> dict[str, object]:
    chances = line.fga + 0.44 * line.fta
    return {
        "mp": line.clock,
        "ts_pct": _rate(line.pts, 2 * chances),
        "efg_pct": _rate(line.fgm + 0.5 * line.tpm, line.fga),
        "fg3a_per_fga_pct": _rate(line.tpa, line.fga),
        "fta_per_fga_pct": _rate(line.fta, line.fga),
        "trb_pct": f"{4e4 * line.trb / max(1, 17 * line.seconds):.1f}",
        "ast_pct": f"{4e4 * line.ast / max(1, 15 * line.seconds):.1f}",
        "tov_pct": f"{100 * line.tov / max(1, chances + line.tov):.1f}",
        "usg_pct": f"{100 * 1440 * (chances + line.tov) / max(1, 50 * line.seconds):.1f}",
        "off_rtg": round(100 * line.pts / max(1, chances + line.tov)),
        "def_rtg": 108 - line.plus_minus // 2,
    }


def _box_row(line: Line, values: dict[str, object]) -> str:
    player = line.player
    assert player is not None
    name = (
        f'<th scope="row" class="left " data-append-csv="{player.br_id}" data-stat="player" '
        f'csk="{player.family},{player.first}" >{_player_link(player)}</th>'
    )
    if line.seconds:
        return f"<tr >{name}{_cells(values)}</tr>"
    return f'<tr >{name}<td data-stat="reason" colspan="{len(values)}" >Did Not Play</td></tr>'


def _box_table(team: Team, part: str, lines: list[Line], *, advanced: bool = False) -> str:
    values = _advanced if advanced else _basic
    kind = "advanced" if advanced else "basic"
    rows = [_box_row(line, values(line)) for line in lines]
    stats = ["player", *values(lines[0])]
    reserves = "".join(f'<th data-stat="{stat}">{stat}</th>' for stat in stats[1:])
    rows.insert(5, f'<tr class="thead"><th data-stat="player">Reserves</th>{reserves}</tr>')
    totals = f'<th scope="row" data-stat="player" >Team Totals</th>{_cells(values(total(lines)))}'
    foot = f"<tfoot><tr >{totals}</tr></tfoot>\n"
    caption = f"{team.full_name} {kind.title()} {part}"
    return _table(f"box-{team.br_code}-{part}-{kind}", caption, _head(stats), rows, foot)


def _in_comment(table: str) -> str:
    """The table inside an HTML comment, as the site sends some tables, which a script then unpacks."""
    return f'<div class="placeholder"></div>\n<!--\n{table}\n-->'


def _line_score(shot: Snapshot) -> str:
    rows = []
    for side in (AWAY, HOME):
        points = [*shot.points_by_period(side), f"<strong>{shot.score[side]}</strong>"]
        cells = "".join(f'<td class="center">{value}</td>' for value in points)
        code = shot.team(side).br_code
        rows.append(f'<tr><th data-stat="team">{code}</th>{cells}</tr>')
    return _in_comment(_table("line_score", "Line Score", "", rows))


def _four_factors(shot: Snapshot) -> str:
    rows = []
    for side in (AWAY, HOME):
        line = total(shot.lines(side))
        factors: dict[str, object] = {
            "pace": "100.0",
            "efg_pct": _rate(line.fgm + 0.5 * line.tpm, line.fga),
            "tov_pct": f"{100 * line.tov / max(1, line.fga + line.tov):.1f}",
            "orb_pct": f"{100 * line.orb / max(1, line.trb):.1f}",
            "ft_rate": _rate(line.ftm, line.fga),
        }
        rows.append(f'<tr ><th data-stat="team_id">{shot.team(side).br_code}</th>{_cells(factors)}</tr>')
    return _in_comment(_table("four_factors", "Four Factors", "", rows))


def _title(shot: Snapshot) -> str:
    return f"{shot.game.away.name} vs {shot.game.home.name}, {_long_day(shot.game.day)}"


def box_score(shot: Snapshot) -> bytes:
    game = shot.game
    tables = [_line_score(shot), _four_factors(shot)]
    for side in (AWAY, HOME):
        team, lines = shot.team(side), shot.lines(side)
        tables.append(_box_table(team, "game", lines))
        for part, periods in (("h1", range(1, 3)), ("h2", range(3, 5))):
            tables.append(_box_table(team, part, shot.lines(side, periods)))
        tables.append(_box_table(team, "game", lines, advanced=True))
    heading = f"{game.away.full_name} at {game.home.full_name} Box Score, {_long_day(game.day)}"
    return _page(_title(shot), f"/boxscores/{game.br_id}.html", heading, "\n".join(tables))


# The play-by-play of a game.


def _short_link(player: Player) -> str:
    return f'<a href="/players/{player.br_id[0]}/{player.br_id}.html">{player.short_name}</a>'


def _wording(play: Play) -> str:
    who = _short_link(play.player) if play.player else ""
    other = _short_link(play.other) if play.other else ""
    match play.kind:
        case Kind.SHOT:
            aid = f" ({'assist' if play.good else 'block'} by {other})" if other else ""
            return f"{who} {'makes' if play.good else 'misses'} {play.value}-pt jump shot{aid}"
        case Kind.FREE_THROW:
            return f"{who} {'makes' if play.good else 'misses'} free throw 1 of 2"
        case Kind.REBOUND:
            return f"{'Offensive' if play.good else 'Defensive'} rebound by {who}"
        case Kind.TURNOVER:
            return f"Turnover by {who} (bad pass{f'; steal by {other}' if other else ''})"
        case Kind.FOUL:
            return f"Shooting foul by {who} (drawn by {other})"
        case _:
            return f"Jump ball: {who} vs. {other}"


def _period_name(period: int) -> str:
    return f"{_ORDINALS[period - 1]} quarter" if period <= 4 else f"{period - 4} overtime"


def _play_row(play: Play) -> str:
    clock = f"<td>{play.left // 60}:{play.left % 60:02d}.0</td>"
    if play.side is None or play.kind is Kind.JUMP_BALL:
        edge = {Kind.PERIOD_START: "Start", Kind.PERIOD_END: "End"}.get(play.kind)
        text = f"{edge} of {_period_name(play.period)}" if edge else _wording(play)
        return f'<tr>\n{clock}\n<td colspan="5" class="center">{text}</td>\n</tr>'
    points = f"+{play.value}" if play.value and play.good else "&nbsp;"
    own = [f"<td>{_wording(play)}</td>", f"<td>{points}</td>"]
    blank = ["<td>&nbsp;</td>", "<td>&nbsp;</td>"]
    score = [f'<td class=" center">{play.score[AWAY]}-{play.score[HOME]}</td>']
    cells = own + score + blank if play.side == AWAY else blank + score + own[::-1]
    return f"<tr>\n{clock}\n{''.join(cells)}\n</tr>"


def play_by_play(shot: Snapshot) -> bytes:
    game = shot.game
    rows = []
    for play in shot.plays:
        if play.kind is Kind.PERIOD_START:
            name = _period_name(play.period)
            rows.append(f'<tr class="thead" id="q{play.period}"><th colspan="6">{name}</th></tr>')
        rows.append(_play_row(play))
    table = _table("pbp", "Play-By-Play", "", rows)
    heading = f"{game.away.full_name} at {game.home.full_name} Play-By-Play, {_long_day(game.day)}"
    return _page(_title(shot), f"/boxscores/pbp/{game.br_id}.html", heading, table)


# The season's figures of every player.


def _season_line(player: Player, number: int, games: int, serial: int) -> Line:
    """A player's totals of a season. They follow from the place in the line-up, not from the box scores."""
    share = max(1, 11 - number) / 10
    fga, fta = round(12 * share * games), round(3 * share * games)
    fgm, tpm, ftm = round(fga * (0.42 + serial % 9 / 100)), fga // 9, round(fta * 0.77)
    return Line(
        player,
        seconds=round(60 * 34 * share * games),
        fgm=fgm,
        fga=fga,
        tpm=tpm,
        tpa=fga // 3,
        ftm=ftm,
        fta=fta,
        orb=round(share * games),
        drb=round(4 * share * games),
        ast=round(3 * share * games),
        stl=round(0.8 * share * games),
        blk=round(0.5 * share * games),
        tov=round(1.5 * share * games),
        pf=round(2 * share * games),
        pts=2 * (fgm - tpm) + 3 * tpm + ftm,
    )


def _totals(line: Line) -> dict[str, object]:
    values = _basic(line) | {"mp": line.seconds // 60, "efg_pct": _rate(line.fgm + 0.5 * line.tpm, line.fga)}
    return {stat: value for stat, value in values.items() if stat != "plus_minus"}


def _season_advanced(line: Line) -> dict[str, object]:
    win_shares = line.pts / 250
    return _advanced(line) | {
        "mp": line.seconds // 60,
        "per": f"{15 + win_shares / 2:.1f}",
        "ws": f"{win_shares:.1f}",
        "bpm": f"{win_shares / 3 - 1:.1f}",
        "vorp": f"{win_shares / 4:.1f}",
    }


_SEASON_TABLES = {
    "totals": ("totals_stats", "Totals", _totals),
    "advanced": ("advanced", "Advanced", _season_advanced),
}


def _players(games_played: int) -> Iterable[tuple[Team, Player, int, int]]:
    """Each player with team, place in the line-up, and number of games. The first of each team misses none."""
    for team in TEAMS:
        for number, player in enumerate(roster(team)):
            games = games_played * (20 - number) // 20
            if games:
                yield team, player, number, games


def season_table(season: str, kind: str, games_played: int) -> bytes:
    """The table of totals or advanced figures. Players who miss no game have played `games_played` games.

    A player without a game has no row.
    """
    table_id, name, values = _SEASON_TABLES[kind]
    rows, stats = [], ["ranker"]
    for serial, (team, player, number, games) in enumerate(_players(games_played), 1):
        known: dict[str, object] = {
            "age": 20 + serial % 18,
            "team_name_abbr": team.br_code,
            "pos": player.position,
            "games": games,
            "games_started": games if number < 5 else 0,
        }
        figures = known | values(_season_line(player, number, games, serial))
        stats = ["ranker", "name_display", *figures]
        rows.append(
            f'<tr ><th scope="row" class="right " data-stat="ranker" csk="{serial}" >{serial}</th>'
            f'<td class="left " data-append-csv="{player.br_id}" data-stat="name_display" >'
            f"{_player_link(player)}</td>"
            f"{_cells(figures)}</tr>"
        )
    title = f"{season} NBA Player Stats: {name}"
    path = f"/leagues/NBA_{seasons.end_year(season)}_{kind}.html"
    return _page(title, path, title, _table(table_id, name, _head(stats), rows))
