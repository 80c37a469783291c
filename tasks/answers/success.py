"""How well was the lake kept in the last days? The answer comes from the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from config.models import Config
from tasks.domain import success
from tasks.domain.success import DETECTION, FILE_RATE, FILL_RATE, HUNDRED, Figure, Longest, Success
from tasks.ledger import Ledger
from tasks.ledger.plans import RUN

_MOST_LONGEST = 10
_AT_ANY_TIME = datetime.max.replace(tzinfo=UTC)
_NOT_BEGUN = "no attempt is recorded: no fill of it has begun so far"
_STANDS_STILL = "not known in a sandbox, whose clock stands still"
_WAITED = "no attempt before this one is recorded: no fill of it had begun"


def success_since(config: Config, ledger: Ledger, since: datetime, now: datetime) -> Success:
    """How well the lake was kept between two times, as far back as the ledger goes."""
    read = _read_sandbox if config.sandbox else _read
    return ledger.database.read_together(lambda: read(config, ledger, since, now))


def _read(config: Config, ledger: Ledger, asked: datetime, now: datetime) -> Success:
    facts = ledger.figures
    first = min(facts.first() or now, now)
    since = max(asked, first)
    longest_promise = max((dataset.promise for dataset in config.datasets.values()), default=timedelta())
    files = facts.due_files(max(since - longest_promise, first), now)
    waited = success.stretches(facts.runs(since, now), facts.fills(since, now))
    figures = (
        success.detection(files, since),
        *success.throughput(waited),
        success.slowest_hundred(waited),
        success.refused(facts.refusals(since, now), now - since),
        success.cycles(facts.cycles(since, now)),
    )
    kept = success.kept(config.datasets, files, since, now)
    return Success(asked, since, now, figures, kept, _longest(ledger, since, now), facts.gaps_without_due())


def _read_sandbox(config: Config, ledger: Ledger, asked: datetime, now: datetime) -> Success:
    """How well the lake of a sandbox was kept.

    Attempts have the times of its clock, which stands still, and runs have real ones. So it is known what was refused,
    and how long runs took to plan, but not how long anything waited.
    """
    facts, look = ledger.figures, ledger.looks.last()
    until = look.taken_at if look else now
    since = until - (now - asked)
    begun = ledger.runs.first_began()
    lasted = now - max(asked, begun) if begun else timedelta()
    figures = (
        *(Figure(aim, None, _STANDS_STILL) for aim in (DETECTION, FILL_RATE, FILE_RATE, HUNDRED)),
        success.refused(facts.refusals(since, until), lasted),
        success.cycles(facts.cycles(asked, now)),
    )
    longest = _longest(ledger, since, until)
    return Success(since, since, until, figures, [], longest, facts.gaps_without_due(), is_sandbox=True)


def _longest(ledger: Ledger, since: datetime, now: datetime) -> list[Longest]:
    """The files that were not there for the longest time, at most one of a dataset, and why."""
    still = ledger.figures.longest_open()
    files = {one.dataset: one.files for one in still}
    by_dataset: dict[str, Longest] = {}
    for one in (*still, *ledger.figures.longest_closed(since, now)):
        if (other := by_dataset.get(one.dataset)) is None or one.lasted(now) > other.lasted(now):
            by_dataset[one.dataset] = replace(one, files=files.get(one.dataset, 0))
    found = sorted(by_dataset.values(), key=lambda one: one.lasted(now), reverse=True)[:_MOST_LONGEST]
    errors = ledger.figures.errors({one.key: one.stored or _AT_ANY_TIME for one in found})
    plan = ledger.plans.kept(RUN)
    held = plan.reasons([one.key for one in found if one.stored is None]) if plan else {}
    reasons = {key: reason.text for key, reason in held.items()}
    return [replace(one, why=_why(one, reasons, errors)) for one in found]


def _why(one: Longest, reasons: Mapping[str, str], errors: Mapping[str, str]) -> str:
    """Why a file is not there: what the last run says, or else the last attempt that did not store it."""
    return reasons.get(one.key) or errors.get(one.key) or (_WAITED if one.stored else _NOT_BEGUN)
