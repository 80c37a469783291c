"""What do the checks make of Basketball Reference's pages? A valid page plus one change each."""

from datetime import UTC, date, datetime

import pytest

from config.models import Check
from tasks.domain.assess.verdicts import Fault, Verdict, Wholeness, bad, unfinished
from tasks.domain.expected.games import Game, GameStatus
from tasks.sources.checks import examine

WHOLE, PARTIAL, BAD = Wholeness.WHOLE, Wholeness.PARTIAL, Wholeness.BAD
SITE = "https://www.basketball-reference.com"
PLAYOFFS = "<tr class='thead'><th colspan='12'>Playoffs</th></tr>"


def a_page(canonical: str, title: str, content: str) -> bytes:
    head = f'<title>{title}</title><link rel="canonical" href="{SITE}{canonical}">'
    return f"<!DOCTYPE html><html><head>{head}</head><body>{content}</body></html>".encode()


def a_table(name: str, *rows: str) -> str:
    header = '<thead><tr><th data-stat="g">G</th></tr></thead>'
    return f'<table id="{name}">{header}<tbody>{"".join(rows)}</tbody></table>'


def commented(table: str) -> str:
    return f"<!-- a <b>note</b> --><div><!--\n{table}\n--></div>"


def boxed(content: str, canonical: str = "/boxscores/202401050BOS.html") -> Verdict:
    body = a_page(canonical, "Jazz vs Celtics", content)
    return examine(body, {"id": "202401050BOS"}, Check(name="basketball_reference.box_score"))


def player(points: int = 12, played: str = "30:00") -> str:
    return f'<tr><th>A. Player</th><td data-stat="mp">{played}</td><td data-stat="pts">{points}</td></tr>'


def players(name: str, count: int = 8, points: int = 96, played: str = "240") -> str:
    """So many who have played, one who has not, and what they have all together."""
    rows = ["<tr class='thead'><th>Reserves</th></tr>", *[player()] * count]
    rows.append("<tr><th>A. Guest</th><td data-stat='reason'>Did Not Play</td></tr>" if count else "")
    total = f"<tfoot><tr><td data-stat='mp'>{played}</td><td data-stat='pts'>{points}</td></tr></tfoot>"
    return a_table(name, *rows).replace("</table>", f"{total}</table>")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(players("box-UTA-game-basic") + players("box-BOS-game-basic"), id="today's layout"),
        pytest.param(players("box_uta_basic") + players("box_bos_basic"), id="layout of 2018"),
        pytest.param(commented(players("box-UTA-game-basic") + players("box-BOS-game-basic")), id="in a comment"),
        pytest.param(
            players("box-UTA-game-basic") + players("box-BOS-game-basic") + players("box-BOS-q1-basic", 1),
            id="with quarters",
        ),
    ],
)
def test_a_box_score_of_both_teams_is_whole(content: str) -> None:
    assert boxed(content) == Verdict(WHOLE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(players("box-BOS-game-basic"), "box score tables of BOS, not of both teams", id="one team"),
        pytest.param("<p>Standings</p>", "box score tables of no team, not of both teams", id="no team"),
        pytest.param(
            players("box-UTA-game-basic") + players("box-LAL-game-basic"),
            "box score tables of UTA, LAL, not of both teams",
            id="without the home team",
        ),
    ],
)
def test_box_scores_that_are_bad(content: str, reason: str) -> None:
    assert boxed(content) == bad(reason)


@pytest.mark.parametrize(
    ("utah", "reason"),
    [
        pytest.param(
            players("box-UTA-game-basic", 4, 48), "hollow: 4 players of a team have played", id="too few players"
        ),
        pytest.param(players("box-UTA-game-basic", 0), "hollow: 0 players of a team have played", id="none"),
        pytest.param(
            players("box-UTA-game-basic", 8, 99),
            "hollow: the players of a team have 96 of its 99 points",
            id="points are missing",
        ),
        pytest.param(
            players("box-UTA-game-basic", 7, 84),
            "hollow: the players of a team have 210 of its 240 minutes",
            id="minutes are missing",
        ),
    ],
)
def test_box_scores_that_are_hollow(utah: str, reason: str) -> None:
    assert boxed(utah + players("box-BOS-game-basic")) == unfinished(reason)


def test_an_empty_box_score_is_absent() -> None:
    content = players("box-UTA-game-basic", 0) + players("box-BOS-game-basic", 0)
    assert boxed(content) == bad("no players in the box score", Fault.ABSENT)


@pytest.mark.parametrize(
    ("canonical", "fault"),
    [
        ("/boxscores/202401050LAL.html", Fault.UNFIT),
        ("/boxscores/pbp/202401050BOS.html", Fault.UNFIT),
        ("/leagues/NBA_2024.html", Fault.UNFIT),
        ("/404.html", Fault.ABSENT),
        ("/boxscores/", Fault.ABSENT),
        ("/", Fault.ABSENT),
    ],
)
def test_only_the_site_s_own_404_and_index_pages_say_that_there_is_no_such_page(canonical: str, fault: Fault) -> None:
    content = players("box-UTA-game-basic") + players("box-BOS-game-basic")
    assert boxed(content, canonical) == bad("another page: Jazz vs Celtics", fault)


def an_answer(title: str, head: str = "", content: str = "", end: str = "</html>") -> Fault | None:
    body = f"<!DOCTYPE html><html><head><title>{title}</title>{head}</head><body>{content}</body>{end}"
    return examine(body.encode(), {"id": "202401050BOS"}, Check(name="basketball_reference.box_score")).fault


CANONICAL = f'<link rel="canonical" href="{SITE}%s">'


@pytest.mark.parametrize(
    ("title", "head", "fault"),
    [
        pytest.param("Page Not Found", "", Fault.REFUSED, id="a 404 page that gives no address"),
        pytest.param("Page Not Found | Basketball-Reference.com", "", Fault.REFUSED, id="nor one that names the site"),
        pytest.param(
            "Not Found", '<link rel="canonical" href="https://portal.example/404.html">', Fault.REFUSED, id="another's"
        ),
        pytest.param("Down for maintenance", CANONICAL % "/", Fault.REFUSED, id="the site's own maintenance page"),
        pytest.param("Rate Limited Request (429 error)", CANONICAL % "/429.html", Fault.REFUSED, id="its own wall"),
        pytest.param("List of all Players", CANONICAL % "/players/", Fault.ABSENT, id="its index of players"),
    ],
)
def test_what_another_page_says_depends_on_whose_it_is(title: str, head: str, fault: Fault) -> None:
    assert an_answer(title, head) is fault


def test_a_page_cut_off_is_no_evidence_whoever_it_is_of() -> None:
    assert an_answer("Jazz vs Celtics", CANONICAL % "/boxscores/202401050BOS.html", end="") is Fault.CUT_OFF
    assert an_answer("Jazz vs Celtics | Basketball-Reference.com", end="") is Fault.CUT_OFF


def test_a_good_page_may_speak_of_walls_in_its_scripts() -> None:
    content = players("box-UTA-game-basic") + players("box-BOS-game-basic")
    scripts = "<script src='/cdn-cgi/challenge-platform/h/b/jsd.js'></script><script>var _cf_chl_opt, captcha</script>"
    assert boxed(f"{content}{scripts}<h1>Access Denied: a night in Boston</h1>") == Verdict(WHOLE)
    assert an_answer("Page Not Found", CANONICAL % "/404.html", scripts) is Fault.ABSENT


def told(*rows: int) -> Verdict:
    """So many plays in each period."""
    periods = (
        f'<tr class="thead" id="q{n}"><th>Q</th></tr><tr><td>12:00.0</td><td>Start of period {n}</td></tr>'
        + "<tr><td>11:00.0</td><td>A. Player makes 2-pt jump shot</td></tr>" * plays
        for n, plays in enumerate(rows, 1)
    )
    body = a_page("/boxscores/pbp/202401050BOS.html", "Jazz vs Celtics", f'<table id="pbp">{"".join(periods)}</table>')
    return examine(body, {"id": "202401050BOS"}, Check(name="basketball_reference.play_by_play"))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        pytest.param((25, 25, 25, 25), Verdict(WHOLE), id="whole"),
        pytest.param((25,) * 8, Verdict(WHOLE), id="four overtimes"),
        pytest.param((25, 25, 25, 24), unfinished("99 rows of play-by-play"), id="too few"),
        pytest.param((60, 0, 0, 60), unfinished("hollow: no row in period 2 of 4"), id="a period is missing"),
        pytest.param((), bad("no rows of play-by-play", Fault.ABSENT), id="empty"),
    ],
)
def test_play_by_play_needs_its_rows(rows: tuple[int, ...], found: Verdict) -> None:
    assert told(*rows) == found


def a_row(
    game_id: str,
    *,
    clock: str = "7:30p",
    linked: bool = True,
    remarks: str = "",
    points: tuple[str, str] = ("99", "91"),
) -> str:
    link = f'<a href="/boxscores/{game_id}.html">Box Score</a>' if linked else ""
    return (
        f'<tr><th data-stat="date_game" csk="{game_id}">a day</th><td data-stat="game_start_time">{clock}</td>'
        f'<td data-stat="visitor_pts">{points[0]}</td><td data-stat="home_pts">{points[1]}</td>'
        f'<td data-stat="box_score_text">{link}</td><td data-stat="game_remarks">{remarks}</td></tr>'
    )


def month(
    *rows: str,
    name: str = "january",
    season: str = "2023-24",
    title: str = "2023-24 NBA Schedule",
    end_year: int = 2024,
) -> Verdict:
    body = a_page(f"/leagues/NBA_{end_year}_games.html", title, a_table("schedule", *rows))
    fields = {"season": season, "end_year": str(int(season[:4]) + 1), "month": name}
    return examine(body, fields, Check(name="basketball_reference.schedule"))


def test_a_played_game_is_read_in_full() -> None:
    assert month(a_row("202401050BOS")) == Verdict(
        WHOLE,
        games=(
            Game(
                id="202401050BOS",
                day=date(2024, 1, 5),
                start=datetime(2024, 1, 6, 0, 30, tzinfo=UTC),
                status=GameStatus.FINAL,
                season="2023-24",
                season_type="regular",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("row", "status", "wholeness"),
    [
        pytest.param(a_row("202401050BOS", linked=False), GameStatus.SCHEDULED, PARTIAL, id="not played"),
        pytest.param(
            a_row("202401050BOS", linked=False, remarks="Postponed"), GameStatus.POSTPONED, WHOLE, id="postponed"
        ),
        pytest.param(
            a_row("202401050BOS", linked=False, remarks="Cancelled"), GameStatus.CANCELLED, WHOLE, id="cancelled"
        ),
        pytest.param(
            a_row("202401050BOS", linked=False, remarks="Game canceled"), GameStatus.CANCELLED, WHOLE, id="canceled"
        ),
        pytest.param(
            a_row("202401050BOS", linked=False, remarks="Forfeit"), GameStatus.CANCELLED, WHOLE, id="forfeited"
        ),
        pytest.param(a_row("202401050BOS", remarks="Postponed"), GameStatus.FINAL, WHOLE, id="postponed, then played"),
        pytest.param(a_row("202401050BOS", points=("0", "0")), GameStatus.CANCELLED, WHOLE, id="final 0-0"),
    ],
)
def test_status_of_a_game(row: str, status: GameStatus, wholeness: Wholeness) -> None:
    found = month(row)
    assert (found.games[0].status, found.wholeness) == (status, wholeness)


@pytest.mark.parametrize(
    ("clock", "hour"),
    [("12:00p", 17), ("10:30a", 15), ("1:00p", 18), ("7:30 pm", 0), ("", None), ("TBD", None), ("7:75p", None)],
)
def test_start_of_a_game(clock: str, hour: int | None) -> None:
    start = month(a_row("202401050BOS", clock=clock)).games[0].start
    assert (start.hour if start else None) == hour


def test_playoffs_begin_at_their_header() -> None:
    rows = [
        a_row("202404140BOS"),
        a_row("202404160NOP", remarks="Play-In Game"),
        PLAYOFFS,
        a_row("202404200CLE"),
    ]
    assert [game.season_type for game in month(*rows, name="april").games] == ["regular", "play-in", "playoffs"]


@pytest.mark.parametrize(
    ("name", "game_id", "season", "season_type"),
    [
        ("march", "202403050BOS", "2023-24", "regular"),
        ("june", "202406060BOS", "2023-24", "playoffs"),
        ("july", "202007300UTA", "2019-20", "regular"),
        ("september", "202009300LAL", "2019-20", "playoffs"),
        ("october-2020", "202010110MIA", "2019-20", "playoffs"),
        ("october-2019", "201910220TOR", "2019-20", "regular"),
    ],
)
def test_season_type_on_a_page_without_the_header(name: str, game_id: str, season: str, season_type: str) -> None:
    found = month(
        a_row(game_id), name=name, season=season, title=f"{season} NBA Schedule", end_year=int(season[:4]) + 1
    )
    assert [game.season_type for game in found.games] == [season_type]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(month(a_row("202402010BOS")), "game 202402010BOS is not in january", id="another month"),
        pytest.param(
            month(a_row("202401050BOS"), title="2022-23 NBA Schedule"),
            "another page: 2022-23 NBA Schedule",
            id="another season by title",
        ),
        pytest.param(
            month(a_row("202401050BOS"), end_year=2023),
            "another page: 2023-24 NBA Schedule",
            id="another season by address",
        ),
        pytest.param(
            month(a_row("2024-01-05")), "none of 1 entries can be read: 2024-01-05: not a game id", id="all odd"
        ),
    ],
)
def test_schedules_that_are_bad(found: Verdict, reason: str) -> None:
    assert found == bad(reason)


def test_an_empty_month_says_that_there_is_none_yet() -> None:
    assert month() == bad("no games in the schedule", Fault.ABSENT)


@pytest.mark.parametrize(
    ("row", "odd"),
    [
        pytest.param(a_row("2024-01-05"), "2024-01-05: not a game id", id="odd id"),
        pytest.param(a_row(""), "entry 2: not a game id", id="no id"),
        pytest.param("<tr><td>a note</td></tr>", "entry 2: not a game id", id="a note"),
        pytest.param(a_row("202413450BOS"), "202413450BOS: not in january", id="13th month"),
        pytest.param(a_row("202401450BOS"), "202401450BOS: no such day", id="45th day"),
        pytest.param(a_row("202402010BOS"), "202402010BOS: not in january", id="another month"),
    ],
)
def test_an_odd_row_is_named_and_spoils_no_other(row: str, odd: str) -> None:
    found = month(a_row("202401050BOS"), row, a_row("202401060BOS"))
    assert [game.id for game in found.games] == ["202401050BOS", "202401060BOS"]
    assert (found.wholeness, found.reason) == (PARTIAL, f"1 of 3 entries cannot be read: {odd}")


def test_an_empty_row_is_no_entry() -> None:
    assert month(a_row("202401050BOS"), "<tr><td> </td></tr>").wholeness is WHOLE


def test_an_october_of_the_other_year_is_bad() -> None:
    found = month(
        a_row("202010110MIA"), name="october-2019", season="2019-20", title="2019-20 NBA Schedule", end_year=2020
    )
    assert found.wholeness is BAD


def season(*games: int, table: str = "totals_stats", stat: str = "g", min_rows: int = 3) -> Verdict:
    rows = [f'<tr><th>A. Player</th><td data-stat="{stat}">{played}</td></tr>' for played in games]
    body = a_page("/leagues/NBA_2024_totals.html", "2023-24 NBA Player Stats: Totals", a_table(table, *rows))
    check = Check(name="basketball_reference.season_table", tables=["totals_stats", "totals"], min_rows=min_rows)
    return examine(body, {"season": "2023-24", "end_year": "2024"}, check)


@pytest.mark.parametrize(
    ("found", "wholeness", "reason"),
    [
        pytest.param(season(82, 40, 3), WHOLE, "", id="whole"),
        pytest.param(season(82, 40, 3, table="totals", stat="games"), WHOLE, "", id="another layout"),
        pytest.param(season(20, 19, 3), WHOLE, "", id="whole as it is, whenever it was taken"),
        pytest.param(season(82, 40), BAD, "2 players in the table, fewer than 3", id="too few rows"),
        pytest.param(
            season(82, 40, 3, table="totals_stats_post"), BAD, "no table totals_stats or totals", id="no table"
        ),
    ],
)
def test_season_tables(found: Verdict, wholeness: Wholeness, reason: str) -> None:
    assert found == (bad(reason) if wholeness is BAD else Verdict(wholeness, reason))
