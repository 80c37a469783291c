"""What is told of incidents, does it arrive, and what is not to be told? The commands `adce alerts …`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.names import suggestion_or_list
from deployments.cli import completion
from deployments.cli.layout import say
from deployments.cli.ledger import opened
from deployments.cli.options import JsonOption, Places, command, note_of, operator, span_of
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.errors import AdceError, SelectionError
from tasks.domain.wording import one_line, plural, utc, verb

if TYPE_CHECKING:
    from config.models import Config
    from tasks.answers.alerts import AlertsNow, TargetNow
    from tasks.domain.alert_messages import Message
    from tasks.domain.incidents import Incident
    from tasks.ledger.incidents import Silence

app = typer.Typer(help="Lists incidents, tests who is told of them, and silences them.", no_args_is_help=True)
TargetArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TARGET]...", help="Names in alerts.targets; default: all.", autocompletion=completion.targets
    ),
]
KindArgument = Annotated[
    str,
    typer.Argument(metavar="KIND", help="The kind of an incident, or all.", autocompletion=completion.kinds),
]


@command(app, "list")
def list_all(places: Places, as_json: JsonOption = False) -> None:
    """Lists incidents by their cause, silences, and who was told.

    What has closed within a day is listed, too. The conditions are evaluated
    by `adce serve`, `adce watch` and reconciles.

    Example: adce alerts list
    """
    from tasks.answers.alerts import alerts_now
    from tasks.show.documents.alerts import AlertsAnswer

    with opened(places, Access.LOOK) as (config, ledger):
        found = alerts_now(config, ledger, datetime.now(UTC))
    if as_json:
        print_json(AlertsAnswer.of(found, config).as_json())
        return
    for line in _lines(found, config):
        say(line)


@command(app, "test", status_1="a target did not get its message")
def send_test(targets: TargetArgument = None, *, places: Places) -> None:
    """Sends a test message to each target.

    A line for each says whether it has taken the message.

    Example: adce alerts test ops
    """
    config = places.load()
    from deployments.cli.terminal import prefect_log
    from tasks.publish.messages import trial

    names = _chosen(config, targets)
    if config.alerts.owner != "adce":
        typer.echo(f"adce: alerts.owner is {config.alerts.owner}, so ADCE tells no target of incidents", err=True)
    needs_prefect = any(getattr(config.alerts.targets[name], "url_block", None) for name in names)
    with prefect_log(is_shown=False) if needs_prefect else nullcontext():  # it imports Prefect
        failed = asyncio.run(_deliver(config, names, trial(config, datetime.now(UTC))))
    for name in names:
        say(f"{name}: {failed[name]}" if name in failed else f"{name}: ok")
    if failed:
        raise typer.Exit(1)


@command(app)
def silence(
    kind: KindArgument,
    scope: Annotated[
        str,
        typer.Option("--scope", metavar="SOURCE|DATASET", help="Only of this one.", autocompletion=completion.scopes),
    ] = "",
    lasts: Annotated[str | None, typer.Option("--for", metavar="2h", help="For how long.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="The reason, which `adce alerts list` shows.")] = None,
    ends: Annotated[bool, typer.Option("--end", help="End the silence of this kind and scope.")] = False,
    *,
    places: Places,
) -> None:
    """Silences a kind of incident for some time.

    Afterwards, what is still open is told, and so is what has ended.
    A silence takes the place of an earlier one of the same kind and scope.

    Example: adce alerts silence breaker --scope espn --for 2h --note "they know"
    """
    from tasks.answers.alerts import check_silence, kind_of, scope_of
    from tasks.domain.incidents import QuietTime
    from tasks.ledger.incidents import Silence

    if ends and (lasts or note):
        raise AdceError("--end: give neither --for nor --note with it")
    chosen, now = kind_of(kind), datetime.now(UTC)
    if lacking := [] if ends else [name for name, given in (("--for", lasts), ("--note", note)) if given is None]:
        raise AdceError(f"give {' and '.join(lacking)}, as in --for 2h --note 'they know', or --end")
    lasting, reason = (span_of("--for", lasts), note_of(note)) if lasts is not None and note is not None else (None, "")
    if lasting is not None and not lasting:
        raise AdceError(f"--for {lasts}: that is over already; it is {utc(now)}")
    with opened(places, Access.CHANGE, lambda config: scope_of(config, scope)) as (config, ledger):
        place = scope_of(config, scope)
        if lasting is None:
            if ledger.incidents.end_silence(chosen, place):
                say(f"{_name(kind, place)}: silence ended")
            else:
                others = _silences(ledger.incidents.silences(now))
                say(f"{_name(kind, place)}: there is no such silence to end; {others}")
            return
        check_silence(chosen, place)
        begun = Silence(QuietTime(now, now + lasting, chosen, place), reason, operator())
        ledger.incidents.silence(begun)
        held = [one for one in ledger.incidents.open() if begun.hold.covers(one, now)]
    say(_silenced(begun))
    if held:
        say(f"{plural(len(held), 'incident')} of these {'is' if len(held) == 1 else 'are'} open")


def _chosen(config: Config, targets: Sequence[str] | None) -> list[str]:
    """The targets of these names, or all. Raises AdceError for another name, or if there are none."""
    known = config.alerts.targets
    if not known:
        raise AdceError("nobody is told of incidents: set alerts.targets; config/README.md says how")
    for name in targets or ():
        if name not in known:
            raise SelectionError(f"no target {name!r}; {suggestion_or_list(name, known, 'the targets are')}")
    return list(dict.fromkeys(targets)) if targets else list(known)


async def _deliver(config: Config, names: Sequence[str], message: Message) -> dict[str, str]:
    """Sends a message to targets, all at once. Returns what is wrong with those that did not take it."""
    from blocks.alert_targets import DeliveryError, target_of

    async def deliver(name: str) -> str:
        try:
            target = await target_of(name, config.alerts.targets[name], config)
            await target.deliver(message)
        except DeliveryError as error:
            return str(error).removeprefix(f"alerts.targets.{name}: ")
        return ""

    results = await asyncio.gather(*map(deliver, names))
    return {name: wrong for name, wrong in zip(names, results, strict=True) if wrong}


def _lines(found: AlertsNow, config: Config) -> Iterator[str]:
    yield from _open(found, config)
    if found.evaluated is None:
        yield "the conditions were never evaluated: adce serve, adce watch and reconciles do that"
    else:
        yield f"{'as of' if found.open else 'no incident is open as of'} {utc(found.evaluated)}"
    if found.closed:
        yield "closed within a day:"
        yield from (f"  {_line(one)}; ended {utc(one.cleared or one.closed or one.began)}" for one in found.closed)
    yield from map(_silenced, found.silences)
    if config.alerts.owner != "adce":
        yield f"alerts.owner is {config.alerts.owner}, so ADCE tells no target"
        return
    yield from map(_of_target, found.targets)
    if not found.targets:
        yield "nobody is told by the settings of this command: alerts.targets is empty"


def _open(found: AlertsNow, config: Config) -> Iterator[str]:
    """The open incidents, each with those that it explains."""
    from tasks.domain.incidents import command_of

    ids = {one.id for one in found.open}
    for root in found.open:
        if root.cause in ids:
            continue
        yield f"{_line(root)}{_end(root)}"
        told = _told(root, found) if config.alerts.owner == "adce" else ""
        yield f"  {'; '.join(filter(None, (_amount(root, config), f'more: {command_of(root)}', told)))}"
        yield from (f"  explains: {_line(one)}{_end(one)}" for one in found.open if one.cause == root.id)


def _amount(incident: Incident, config: Config) -> str:
    """The value of an incident and its limit; empty if its condition only holds or does not, or its files say all."""
    from tasks.answers.incidents import passed_limit
    from tasks.domain.incidents import BY_KIND

    measure, limit = BY_KIND[incident.kind].measure, passed_limit(config, incident)
    value = measure.text(incident.value)
    is_told = value and (limit or not incident.files)  # the number of files is told anyway
    return f"it is {value}, the limit is {measure.text(limit)}" if is_told else ""


def _told(incident: Incident, found: AlertsNow) -> str:
    """Who has been told of an incident, and who has not, and why."""
    if incident.told is None:
        return "held back by a silence or maintenance window" if incident.is_held else "not told yet"
    if not found.targets:
        return ""
    got, waiting = found.deliveries[incident.id], found.has_to_hear(incident)
    by_time: dict[str, list[str]] = {}
    for name, at in got.items():
        by_time.setdefault(utc(at), []).append(name)
    parts = [f"told {time}: {', '.join(names)}" for time, names in by_time.items()]
    parts += [f"waiting to be told since {utc(incident.told)}: {_refusal(target)}" for target in waiting]
    return "; ".join(parts) or "no target was told: none was there then, or took it within a day"


def _refusal(target: TargetNow) -> str:
    """A target, and why it does not take messages, if that is known."""
    if target.trouble is None or target.failing_since is None:
        return target.name
    return f"{target.name} (since {utc(target.failing_since)}: {target.trouble})"


def _end(incident: Incident) -> str:
    """Since when an open incident is over, if it is."""
    from tasks.domain.alert_messages import end_of

    end = end_of(incident)
    return f"; {end}" if end else ""


def _line(incident: Incident) -> str:
    """An incident: its kind, what is wrong, where, since when, with how many files, and why."""
    from tasks.domain.alert_messages import name_of

    files = f", {plural(incident.files, 'file')}" if incident.files else ""
    reason = f": {one_line(incident.reason)}" if incident.reason else ""
    return f"{incident.kind}: {name_of(incident)}, since {utc(incident.began)}{files}{reason}"


def _silenced(silence: Silence) -> str:
    hold = silence.hold
    return f"{_name(hold.kind or 'all', hold.scope)}: silenced until {utc(hold.until)} by {silence.by}: {silence.note}"


def _silences(silences: Sequence[Silence]) -> str:
    """The silences that last, by their names."""
    names = ", ".join(_name(one.hold.kind or "all", one.hold.scope) for one in silences)
    return f"silenced is: {names}" if names else "nothing is silenced"


def _name(kind: str, scope: str) -> str:
    return f"{kind} of {scope}" if scope else kind


def _of_target(target: TargetNow) -> str:
    if target.since is None:
        return f"{target.name} ({target.type}): no running service has this target yet"
    waiting = "no message waits"
    if target.undelivered and target.oldest:
        messages, waits = plural(target.undelivered, "message"), verb(target.undelivered, "waits", "wait")
        waiting = f"{messages} {waits} since {utc(target.oldest)}"
    trouble = f"; it has failed since {utc(target.failing_since)}: {target.trouble}" if target.failing_since else ""
    return f"{target.name} ({target.type}): {waiting}{trouble}; it is told what happens from {utc(target.since)} on"
