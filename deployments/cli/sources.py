"""How is each source asked now, and what holds it up? The command `adce sources`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from deployments.cli.layout import Column, print_table, say, standard_output
from deployments.cli.ledger import opened
from deployments.cli.options import JsonOption, Places
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.domain.reasons import Limit
from tasks.domain.wording import duration, plural, utc

if TYPE_CHECKING:
    from config.models import Config, Rate
    from tasks.answers.sources import EventsNow, SourceNow
    from tasks.domain.incidents import Incident
    from tasks.domain.limits.buckets import BucketOnServer


def sources(places: Places, as_json: JsonOption = False) -> None:
    """Shows how each source is asked now: its rate, the files that wait, and what holds it up, since when and until.

    It reads the ledger and the configuration: the files that wait are those that the last run knew of, as
    events have changed them since. The rates in Prefect are those of the server that PREFECT_API_URL names, or else of
    that of the last run, if it answers at once.

    Example: adce sources
    """
    from tasks.answers.sources import events_now, sources_now
    from tasks.ledger.plans import RUN
    from tasks.show.documents.operations import SourcesAnswer

    now = datetime.now(UTC)
    with opened(places, Access.LOOK) as (config, ledger):
        last = ledger.plans.kept(RUN)
        found, events = sources_now(config, ledger, now, last), events_now(ledger, now)
        last_server = ledger.runs.last_server()
    looked_at, since = (last.at, last.verified_since) if last else (None, None)
    buckets, unknown = _buckets(config, last_server)
    if as_json:
        print_json(SourcesAnswer.of(found, now, looked_at, since, buckets, unknown, events).as_json())
        return
    collected = {one.source for name, one in config.datasets.items() if config.collect.chooses(name, one.source)}
    _show(found, collected, {bucket.name: bucket for bucket in buckets}, standard_output())
    if unknown:
        say(f"the rates in Prefect are not known: {unknown}")
    if events:
        _show_events(events, config.keep.attempts)
    say(_as_of(looked_at, since, events.progress if events else None))


def _as_of(looked_at: datetime | None, since: datetime | None, told: datetime | None) -> str:
    """Of which time the files that wait are, by the last look of a run, and when the queue of events was last read.

    If the look has listed only parts of the lake, all of it had been listed `since`.
    """
    events = f"the events until {utc(told)}" if told and (looked_at is None or told > looked_at) else ""
    if looked_at is None:
        return f"no run has looked at the lake so far{f'; the files that wait are by {events}' if events else ''}"
    parts = f" (parts of the lake were last listed at {utc(since)} or later)" if since else ""
    return f"the files that wait are as of {utc(looked_at)}{parts}{f', and by {events}' if events else ''}"


def _show_events(events: EventsNow, kept: timedelta) -> None:
    say(f"events of the lake are watched since {utc(events.since)}; the queue was last read at {utc(events.progress)}")
    say(f"the path of events is {events.path.state}: {events.path.reason}")
    if events.unread:
        last = events.unread[0]
        unread = f"{plural(events.unread_count, 'message')} of the queue could not be read in the last {duration(kept)}"
        say(f"{unread}; the last, received {utc(last.at)}: {last.reason}: {last.begin}")
    by_folder: Counter[str] = Counter()
    for (_, folder), count in events.missed.items():
        by_folder[folder] += count
    if by_folder:
        folders = ", ".join(f"{folder} {count:,}" for folder, count in by_folder.most_common())
        say(f"changes of the last 7 days of which no event has told: {folders}")


def _buckets(config: Config, last_server: str | None) -> tuple[Sequence[BucketOnServer], str | None]:
    """The rate buckets of the server that is asked, if there is one, and why they are not known, if they are not."""
    from deployments.prefect_api.buckets import buckets_on
    from deployments.prefect_api.settings import api_url

    try:
        server = api_url() or last_server
        return (asyncio.run(buckets_on(server, config)) if server else []), None
    except AdceError as error:
        return [], str(error)


def _show(
    found: Sequence[SourceNow], collected: Collection[str], buckets: Mapping[str, BucketOnServer], console: Console
) -> None:
    from tasks.answers.holds import remedy_of
    from tasks.domain.limits.buckets import ALL_SOURCES, bucket_for

    columns = [
        Column("source"),
        Column("rate", leaves=3),
        *([Column("in Prefect", leaves=2)] if buckets else []),
        Column("sent last minute", is_number=True, leaves=1),
        Column("files waiting", is_number=True),
        Column("last stored (UTC)", leaves=4),
        Column("state"),
    ]
    rows = [_row(source, source.name in collected, buckets.get(bucket_for(source.name))) for source in found]
    print_table(console, columns, rows)
    for source in found:
        for hold in source.holds:
            since = f" (since {utc(hold.since)})" if hold.since else ""
            say(f"{hold.name}: {hold.reason.text}{since}{_files(hold.waiting)}{remedy_of(hold.reason)}")
        for incident in source.incidents:
            say(_incident(incident))
        if source.next_window:
            begins, window = source.next_window
            say(f"{source.name}: next maintenance from {utc(begins)} {window.ends_in_words}: {window.reason}")
    told = {bucket_for(hold.name) for source in found for hold in source.holds if hold.reason.limit is Limit.BUCKET}
    waiting = {bucket_for(source.name): source.waiting for source in found}
    waiting[bucket_for(ALL_SOURCES)] = {name: count for source in found for name, count in source.waiting.items()}
    for bucket in buckets.values():
        if bucket.trouble and not (bucket.defect and bucket.name in told):
            say(f"{bucket.trouble}{_files(waiting[bucket.name]) if bucket.defect else ''}")


def _incident(incident: Incident) -> str:
    from tasks.domain.alert_messages import end_of
    from tasks.domain.incidents import BY_KIND, command_of

    end = f"; {end}" if (end := end_of(incident)) else ""
    files = f", {plural(incident.files, 'file')}" if incident.files else ""
    reason = f": {incident.reason}" if incident.reason else ""
    title, command = BY_KIND[incident.kind].title, command_of(incident)
    more = "" if command == "adce sources" else f"; more: {command}"
    return f"{incident.scope}: {title} (since {utc(incident.began)}{files}){reason}{end}{more}"


def _files(waiting: Mapping[str, int]) -> str:
    from tasks.answers.holds import waiting_words

    return f"; {waiting_words(waiting)}" if waiting else ""


def _row(source: SourceNow, is_collected: bool, bucket: BucketOnServer | None) -> list[str]:
    stored = utc(source.last_stored).removesuffix(" UTC") if source.last_stored else "never"
    rates = " and ".join(map(_rate, source.rates))
    waiting = f"{sum(source.waiting.values()):,}"
    in_prefect = [_in_prefect(bucket)] if bucket else []
    state = _state(source, is_collected, bucket)
    return [source.name, rates, *in_prefect, f"{source.last_minute:,}", waiting, stored, state]


def _rate(rate: Rate) -> str:
    return f"{rate.requests} in {rate.seconds:g}s"


def _in_prefect(bucket: BucketOnServer) -> str:
    if bucket.defect or bucket.have is None:
        return "no rate"
    return f"{bucket.have.rate:.3g}/s" if bucket.trouble else "the same"


def _state(source: SourceNow, is_collected: bool, bucket: BucketOnServer | None) -> str:
    if not is_collected:
        return "not collected"
    if not source.is_enabled:
        return "disabled"
    of_all = [hold.reason.limit for hold in source.holds if hold.name == source.name]
    if (of_all and set(of_all) != {Limit.PROBE}) or (bucket and bucket.defect):
        return "held up"
    if of_all:
        return "to be probed"
    return "partly held up" if source.holds else "asked as usual"
