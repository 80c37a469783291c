"""Does one more request keep to the source's rate in every window of time?"""

import re
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in any window of `seconds` seconds."""

    count: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """The rate of a text: 10/1 is ten requests per second, 1/12 one per twelve seconds. Raises ValueError."""
        match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)", text)
        if not match or int(match[1]) < 1 or float(match[2]) <= 0:
            raise ValueError(f"{text!r} is not a rate; write it as 10/1, requests/seconds")
        return cls(int(match[1]), float(match[2]))

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds:g}"


@dataclass(slots=True)
class SlidingWindow:
    """Accepts at most `rate.count` requests in any window of `rate.seconds`. Refused requests do not count.

    Windows are half-open, [t, t + seconds): two requests exactly `seconds` apart share no window. There is no
    tolerance, so a request that comes too early by any amount is refused.
    """

    rate: Rate
    _accepted: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Accepts a request at `now` and returns 0, or refuses it and returns the seconds until one is accepted.

        `now` is a time of the monotonic clock, in seconds.
        """
        if len(self._accepted) == self.rate.count:
            wait = self._accepted[0] + self.rate.seconds - now
            if wait > 0:
                return wait
            self._accepted.popleft()
        self._accepted.append(now)
        return 0.0
