"""What did a watch take in, and how long did that take?"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from tasks import clock
from tasks.domain.arrivals import Fate
from tasks.domain.wording import plural
from tasks.observe.watcher import Taken

_MOST_ERRORS = 20  # unreadable messages that are told of one by one
_MOST_LATENCIES = 100_000


@dataclass
class Watched:
    """The messages that were taken so far."""

    fates: Counter[Fate] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)  # why the first unreadable messages are that, by their names
    elsewhere: str | None = None  # the bucket of the first message of another one
    begun: float = field(default_factory=clock.seconds)
    seconds: float = 0.0
    # Seconds from receipt to state of the last messages
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_LATENCIES))

    @property
    def received(self) -> int:
        """The number of all messages."""
        return self.fates.total()

    @property
    def unreadable(self) -> int:
        """The number of messages that could not be read."""
        return self.fates[Fate.UNREADABLE]

    def counts(self) -> dict[str, int]:
        """How many messages met each fate, by its name."""
        return {fate.value: self.fates[fate] for fate in Fate}

    def add(self, taken: Taken, received: Iterable[float], names: Iterable[str]) -> None:
        """Adds messages that were received at some times (by tasks.clock) and are called by these names.

        Those that wait are not counted yet.
        """
        now = clock.seconds()
        self.fates.update(fate for n, fate in enumerate(taken.fates) if n not in taken.waiting)
        self.seconds = now - self.begun
        self.latencies.extend(
            now - at
            for n, at in enumerate(received)
            if n not in taken.waiting and taken.fates[n] not in (Fate.FOREIGN, Fate.UNREADABLE)  # those have no state
        )
        self.elsewhere = self.elsewhere or next(iter(taken.elsewhere.values()), None)
        if taken.errors and len(self.errors) < _MOST_ERRORS:
            found = ((name, taken.errors[n]) for n, name in enumerate(names) if n in taken.errors)
            self.errors |= islice(found, _MOST_ERRORS - len(self.errors))

    def latency(self, share: float) -> float | None:
        """The seconds within which this share of the messages, from 0 to 1, became states; None if none did."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def described(fates: Counter[Fate]) -> str:
    """How many messages there are, and how many met which fate: "12 messages: 3 applied, 9 own"."""
    counts = [f"{fates[fate]:,} {fate.replace('_', ' ')}" for fate in Fate if fates[fate]]
    return f"{plural(fates.total(), 'message')}{': ' if counts else ''}{', '.join(counts)}"
