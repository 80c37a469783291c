"""Is one more request within the source's rate, whatever window one looks at?"""

import re
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    count: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """10/1 is ten requests in a second, 1/12 one in twelve seconds."""
        match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)", text)
        if not match or int(match[1]) < 1 or float(match[2]) <= 0:
            raise ValueError(f"{text!r} is not a rate; write it as 10/1, requests/seconds")
        return cls(int(match[1]), float(match[2]))

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds:g}"


@dataclass(slots=True)
class SlidingWindow:
    """Accepts at most `rate.count` requests in any window of `rate.seconds`, and counts only those.

    Windows are half-open, [t, t + seconds): a request exactly `seconds` after another is in no window
    with it and is accepted. There is no tolerance, so a client that is early by any amount is refused.
    """

    rate: Rate
    _accepted: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Take a place and return 0, or return the seconds until a place is free. `now` is monotonic."""
        if len(self._accepted) == self.rate.count:
            wait = self._accepted[0] + self.rate.seconds - now
            if wait > 0:
                return wait
            self._accepted.popleft()
        self._accepted.append(now)
        return 0.0
