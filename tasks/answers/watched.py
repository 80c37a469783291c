"""What did a watch take in, and how long did that take?"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks import clock
from tasks.observe.watcher import Fate, Taken

_MOST_ERRORS = 20  # unreadable messages that are told of one by one
_MOST_LATENCIES = 100_000


@dataclass
class Watched:
    """The messages that were taken so far."""

    fates: Counter[Fate] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)  # of the first unreadable messages
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
        self.latencies.extend(now - at for n, at in enumerate(received) if n not in taken.waiting)
        if taken.errors and len(self.errors) < _MOST_ERRORS:
            found = [f"{name}: {taken.errors[n]}" for n, name in enumerate(names) if n in taken.errors]
            self.errors += found[: _MOST_ERRORS - len(self.errors)]

    def latency(self, share: float) -> float | None:
        """The seconds within which this share of the messages, from 0 to 1, became states; None without messages."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
