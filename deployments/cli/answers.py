"""How do the answers of `adce why` and `adce check` look in a terminal?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.markup import escape

from deployments.cli.layout import print_pairs
from deployments.prefect_api.settings import link_to_run
from tasks.answers.check import Checked
from tasks.answers.why import Answer
from tasks.domain.assess.states import Learnt, LearntBy, State
from tasks.domain.assess.verdicts import Consequence
from tasks.domain.wording import duration, factor, plural, score, size, utc

_MOST_IN_FULL = 5
_MOST_ROWS = 200
_MOST_ATTEMPTS = 20
_WHAT_FOLLOWS = {
    Consequence.ABSENT: " (a look that found no whole file)",
    Consequence.REFUSED: " (the source would be paused)",
    Consequence.HEALS: " (it is requested again at once)",
    Consequence.BAD: " (the file has failed)",
}
_COLOURS = {
    State.PRESENT: "green",
    State.NOT_DUE: "blue",
    State.GAP: "red",
    State.IN_FLIGHT: "cyan",
    State.DEFERRED: "yellow",
    State.UNAVAILABLE: "magenta",
}


def show(answers: Sequence[Answer], server: str | None, console: Console) -> None:
    """Prints up to five answers in full, with links to runs on a Prefect server, and more as one line each."""
    if len(answers) <= _MOST_IN_FULL:
        for number, answer in enumerate(answers):
            if number:
                console.print()
            _show_in_full(answer, server, console)
        return
    for answer in answers[:_MOST_ROWS]:
        status = answer.status
        is_told = status.until is None or utc(status.until) in status.reason
        until = "" if is_told else f"; {status.until_in_words}"
        console.print(f"{_state(status.state)} {escape(answer.cell.key)}: {escape(status.reason)}{until}")
    if len(answers) > _MOST_ROWS:
        console.print(f"and {len(answers) - _MOST_ROWS:,} more; --json shows all")


def show_check(checked: Checked, console: Console) -> None:
    """Prints what ADCE would do with a body, and why."""
    about = ", ".join(f"{name} {value}" for name, value in checked.fields.items())
    console.print(f"{escape(checked.key)}: {checked.dataset}, {escape(about)}")
    colour = "green" if checked.answer is Consequence.STORED else "red"
    reason = f": {escape(checked.verdict.reason)}" if checked.verdict.reason else ""
    answer = f"[{colour}]{checked.answer.value}[/{colour}]{_WHAT_FOLLOWS.get(checked.answer, '')}"
    console.print(f"{answer}; {checked.wholeness.value}{reason}")
    if checked.verdict.games:
        statuses = Counter(game.status.value for game in checked.verdict.games)
        games = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
        console.print(f"{plural(len(checked.verdict.games), 'game')}: {games}")


def _show_in_full(answer: Answer, server: str | None, console: Console) -> None:
    status, cell = answer.status, answer.cell
    rows = {
        "state": f"{_state(status.state)}{f' ({status.kind.value})' if status.kind else ''}",
        "reason": escape(status.reason),
        status.until_name: _minute(status.until),
        "decided by": escape(answer.decides),
        "next": escape(answer.next_action),
        "about": f"{cell.dataset} of {answer.source}, season {cell.season}; due from {_minute(cell.due_at)}",
        "in the lake": answer.have and f"{size(answer.have.size)}, stored {_minute(answer.have.modified)}",
        "learnt": answer.learnt and ("" if answer.have else "that it is gone: ") + _learnt(answer.learnt),
        "first missed": _minute(answer.first_seen),
        "score": answer.score and f"{score(answer.score)} ({_parts(answer)})",
        "in the plan": answer.plan and _is_promised(answer) and _place(answer),
    }
    console.print(f"[bold]{escape(cell.key)}[/bold]")
    print_pairs(console, {name: text for name, text in rows.items() if text})
    for attempt in answer.attempts[:_MOST_ATTEMPTS]:
        took = f" in {duration(timedelta(seconds=attempt.seconds))}" if attempt.seconds is not None else ""
        error = f": {escape(attempt.error)}" if attempt.error else f", {size(attempt.bytes)}{took}"
        run = _run(answer, attempt.run, server)
        console.print(f"  {_minute(attempt.at)}  {attempt.outcome}{error}  [dim]{run}[/dim]")
    if len(answer.attempts) > _MOST_ATTEMPTS:
        console.print(f"  and {plural(len(answer.attempts) - _MOST_ATTEMPTS, 'attempt')} before; --json shows more")
    for change in answer.changes:
        kept = f"the former version is {escape(change.kept_as)}" if change.kept_as else "the bucket keeps versions"
        console.print(f"  {_minute(change.at)}  corrected at the source; {kept}")


def _state(state: State) -> str:
    return f"[{_COLOURS[state]}]{state.value}[/]"


def _parts(answer: Answer) -> str:
    return ", ".join(f"{name} {factor(value)}" for name, value in (answer.score_parts or {}).items())


def _is_promised(answer: Answer) -> bool:
    """Will the run of the plan fetch the file? It must be at work, and nothing may have come up for which it waits."""
    return answer.status.state is not State.DEFERRED and bool(answer.plan and answer.plan["at_work"])


_LEARNT_BY = {
    LearntBy.LISTING: "by a listing of the lake",
    LearntBy.EVENT: "by an event of the lake",
    LearntBy.OWN: "since ADCE stored it",
}


def _learnt(learnt: Learnt) -> str:
    return _LEARNT_BY[learnt.by] + (f", {_minute(learnt.at)}" if learnt.at else "")


def _place(answer: Answer) -> str:
    plan = answer.plan or {}
    eta = f", done about {utc(datetime.fromisoformat(plan['eta']))}" if plan["eta"] else ""
    return f"fill {plan['position']} of {plan['of']} of {utc(datetime.fromisoformat(plan['at']))}{eta}"


def _run(answer: Answer, run: str, server: str | None) -> str:
    record = answer.runs.get(run)
    if record is None or record.flow_run is None:
        return f"run {run[:8]}"
    return f"run {run[:8]} {link_to_run(server, record.flow_run) or f'(Prefect {record.flow_run})'}"


def _minute(moment: datetime | None) -> str | None:
    return utc(moment) if moment else None
