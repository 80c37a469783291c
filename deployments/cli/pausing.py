"""How does an operator pause a source or a dataset, and resume it? The commands `adce pause` and `adce resume`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from deployments.cli import completion
from deployments.cli.layout import say
from deployments.cli.ledger import opened
from deployments.cli.options import JsonOption, Places, note_of, operator, span_of
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.limits.pauses import OperatorPause, end_of
from tasks.domain.reasons import Limit
from tasks.domain.times import moment_of
from tasks.domain.wording import how_often, utc, verb

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE|DATASET", help="A source or a dataset, with all its variants.", autocompletion=completion.names
    ),
]


def pause(
    name: NameArgument,
    note: Annotated[str, typer.Option("--note", help="The reason, which is shown wherever the files are shown.")],
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="2h", help="For how long; default: until `adce resume`.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="ISO-TIME", help="Until when, instead of --for.")
    ] = None,
    *,
    places: Places,
    as_json: JsonOption = False,
) -> None:
    """Pauses a source or a dataset, until a time or until `adce resume`. Runs at work obey at their next request.

    No probe follows when the pause is over. It replaces an earlier pause of the same name by an operator.

    Example: adce pause espn --for 2h --note "their database moves"
    """
    from tasks.answers.holds import hold_of, holds_of, named_datasets, outlasting, remedy_of, waiting_words
    from tasks.ledger.plans import RUN
    from tasks.show.documents.operations import Paused

    note = note_of(note)
    with opened(places, Access.CHANGE, lambda config: named_datasets(config, name)) as (config, ledger):
        now, gaps = datetime.now(UTC), ledger.gaps.counts()
        pause = OperatorPause(name, _end(lasts, until, now), note, by=operator(), since=now)
        replaced = ledger.operator_pauses.begin(pause)
        holds = holds_of(config, ledger, now, gaps, ledger.plans.kept(RUN))
    begun = hold_of(config, pause, gaps)
    longer = outlasting(begun, holds)
    former = hold_of(config, replaced, gaps) if replaced else None
    if as_json:
        print_json(Paused.of(begun, former, longer).as_json())
        return
    say(f"{name} is {begun.reason.text}")
    if former:
        say(f"this takes the place of: {former.reason.text}")
    if not begun.waiting:
        known = "no file that a run has found lacking waits for it; `adce plan` shows which files wait now"
        say(f"{known}; runs at work begin no more requests to {name}")
        return
    end = f"until {utc(begun.reason.until)}" if begun.reason.until else f"until you type `adce resume {name}`"
    wait = verb(sum(begun.waiting.values()), "waits", "wait")
    at_least = "at least " if longer else ""
    say(f"{waiting_words(begun.waiting)} {wait} {at_least}{end}; runs at work begin no more requests for them")
    for hold in longer:
        wait = verb(sum(hold.waiting.values()), "waits", "wait")
        say(f"{waiting_words(hold.waiting)} {wait} longer: {hold.name} {hold.reason.text}{remedy_of(hold.reason)}")


def resume(name: NameArgument, places: Places, as_json: JsonOption = False) -> None:
    """Ends what holds up a source or a dataset: an operator's pause, one after a refusal, or an open circuit breaker.

    Where a refusal or an open circuit breaker held it up, the next request is a probe, whose answer decides.
    Maintenance windows are in the configuration, and stay.

    Example: adce resume espn
    """
    from tasks.answers.holds import hold_of, holds_of, named_datasets, remedy_of, source_of, waiting_for, waiting_words
    from tasks.ledger.plans import RUN
    from tasks.show.documents.operations import Resumed

    with opened(places, Access.CHANGE, lambda config: named_datasets(config, name)) as (config, ledger):
        now, gaps = datetime.now(UTC), ledger.gaps.counts()
        ended = [hold_of(config, pause, gaps) for pause in ledger.operator_pauses.resume(name, now)]
        holds = holds_of(config, ledger, now, gaps, ledger.plans.kept(RUN))
    probed = {hold.name for hold in ended if not hold.by}
    concern_it = [hold for hold in holds if hold.concerns(name, source_of(config, name))]
    stays = [hold for hold in concern_it if not (hold.reason.limit is Limit.PROBE and hold.name in probed)]
    held = {dataset for hold in stays if hold.reason.limit is not Limit.PROBE for dataset in hold.waiting}
    free = {dataset: n for dataset, n in waiting_for(config, name, gaps).items() if dataset not in held}
    if as_json:
        print_json(Resumed.of(name, ended, stays, free).as_json())
        return
    for hold in ended:
        probe = "" if hold.by else "; the next request is a probe, whose answer decides"
        say(f"ended: {hold.name} {hold.reason.text}{probe}")
    if not ended:
        say(f"there is nothing to end: {name} is not paused")
    for hold in stays:
        say(f"there is still: {hold.name} {hold.reason.text}{remedy_of(hold.reason)}")
    if ended and free:
        are = verb(sum(free.values()), "is", "are")
        often = how_often(config.reconcile.interval)
        say(f"{waiting_words(free)} {are} fetched by the next run, or by one at work; {often}")


def _end(lasts: str | None, until: str | None, now: datetime) -> datetime:
    """The end of a pause. Raises AdceError for one that is not to come."""
    if lasts and until:
        raise AdceError("--for and --until: give one of them")
    end = now + span_of("--for", lasts) if lasts else end_of(moment_of("--until", until))
    if end <= now:
        given = f"--for {lasts}" if lasts else f"--until {until}"
        raise AdceError(f"{given}: that is over already; it is {utc(now)}")
    return end
