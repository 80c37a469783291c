"""How is each source asked now, and what holds it up? The command `adce sources`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from deployments.cli.layout import Column, print_table, say, standard_output
from deployments.cli.ledger import opened
from deployments.cli.options import JsonOption, Places
from deployments.cli.output import print_json
from tasks.domain.access import Access
from tasks.domain.reasons import Limit
from tasks.domain.wording import utc

if TYPE_CHECKING:
    from config.models import Rate
    from tasks.answers.sources import SourceNow


def sources(places: Places, as_json: JsonOption = False) -> None:
    """Shows how each source is asked now: its rate, the files that wait, and what holds it up, since when and until.

    It reads the ledger and the configuration only. The files that wait are those that the last run knew of.

    Example: adce sources
    """
    from tasks.answers.sources import sources_now
    from tasks.ledger.plans import RUN
    from tasks.show.documents.operations import SourcesAnswer

    now = datetime.now(UTC)
    with opened(places, Access.LOOK) as (config, ledger):
        found = sources_now(config, ledger, now)
        last = ledger.plans.kept(RUN)
    looked_at = last.at if last else None
    if as_json:
        print_json(SourcesAnswer.of(found, now, looked_at).as_json())
        return
    collected = {one.source for name, one in config.datasets.items() if config.collect.chooses(name, one.source)}
    _show(found, collected, standard_output())
    say(f"the files that wait are as of {utc(looked_at)}" if looked_at else "no run has looked at the lake so far")


def _show(found: Sequence[SourceNow], collected: Collection[str], console: Console) -> None:
    from tasks.answers.holds import remedy_of, waiting_words

    columns = [
        Column("source"),
        Column("rate", leaves=2),
        Column("sent last minute", is_number=True, leaves=1),
        Column("files waiting", is_number=True),
        Column("last stored (UTC)", leaves=3),
        Column("state"),
    ]
    print_table(console, columns, [_row(source, source.name in collected) for source in found])
    for source in found:
        for hold in source.holds:
            since = f" (since {utc(hold.since)})" if hold.since else ""
            files = f"; {waiting_words(hold.waiting)}" if hold.waiting else ""
            say(f"{hold.name}: {hold.reason.text}{since}{files}{remedy_of(hold.reason)}")
        if source.next_window:
            begins, window = source.next_window
            say(f"{source.name}: next maintenance from {utc(begins)} {window.ends_in_words}: {window.reason}")


def _row(source: SourceNow, is_collected: bool) -> list[str]:
    stored = utc(source.last_stored).removesuffix(" UTC") if source.last_stored else "never"
    rates = " and ".join(map(_rate, source.rates))
    waiting = f"{sum(source.waiting.values()):,}"
    return [source.name, rates, f"{source.last_minute:,}", waiting, stored, _state(source, is_collected)]


def _rate(rate: Rate) -> str:
    return f"{rate.requests} in {rate.seconds:g}s"


def _state(source: SourceNow, is_collected: bool) -> str:
    if not is_collected:
        return "not collected"
    if not source.is_enabled:
        return "disabled"
    of_all = [hold.reason.limit for hold in source.holds if hold.name == source.name]
    if of_all and set(of_all) != {Limit.PROBE}:
        return "held up"
    if of_all:
        return "to be probed"
    return "partly held up" if source.holds else "asked as usual"
