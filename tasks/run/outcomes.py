"""What became of the files that a run has come to?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import Fill


class Outcomes(Mapping[str, FileOutcome]):
    """The last outcome of each file, by key. One that is tried once more in the same run has none until then."""

    def __init__(self) -> None:
        self._last: dict[str, FileOutcome] = {}
        self._dataset_of: dict[str, str] = {}  # by key, of the fills that were begun

    def begin(self, fill: Fill) -> None:
        """The files of a fill are being fetched."""
        self._dataset_of |= dict.fromkeys(fill.keys, fill.dataset)

    def add(self, outcomes: Iterable[FileOutcome]) -> None:
        """The files of these outcomes belong to fills that were begun."""
        self._last |= {outcome.key: outcome for outcome in outcomes}

    def try_again(self, keys: Iterable[str]) -> None:
        """The files are fetched once more in this run: what became of them so far is not the end."""
        for key in keys:
            del self._last[key]

    def by_dataset(self) -> dict[str, tuple[int, int]]:
        """How many files are there now, and how many failed, of each dataset."""
        there: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for key, outcome in self._last.items():
            if outcome.outcome is not Outcome.DEFERRED:
                (there if outcome.is_there else failed)[self._dataset_of[key]] += 1
        return {name: (there[name], failed[name]) for name in there | failed}

    def __getitem__(self, key: str) -> FileOutcome:
        return self._last[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)
