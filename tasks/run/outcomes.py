"""What is the outcome of each file that a run has worked on?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.domain.plan.plan import Fill


class Outcomes(Mapping[str, FileOutcome]):
    """The last outcome of each file, by key. A file that is being fetched again in the same run has none."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._last: dict[str, FileOutcome] = {}
        self._deferred: set[str] = set()  # keys of files that are left for later
        self._failed: set[str] = set()  # keys of files that have failed, and of which the source may have one
        self._dataset_of: dict[str, str] = {}  # the dataset of each file whose fill was begun

    def begin(self, fill: Fill) -> None:
        """Records that the files of a fill are being fetched. Call it before `add`."""
        self._dataset_of |= dict.fromkeys(fill.keys, fill.dataset)

    def add(self, outcomes: Iterable[FileOutcome]) -> None:
        """Records outcomes of files whose fills were begun."""
        for outcome in outcomes:
            self._last[outcome.key] = outcome
            (self._failed.add if outcome.is_fault else self._failed.discard)(outcome.key)
            is_deferred = outcome.outcome is Outcome.DEFERRED
            (self._deferred.add if is_deferred else self._deferred.discard)(outcome.key)
        self.on_change()

    def try_again(self, keys: Iterable[str]) -> None:
        """Removes the outcomes of files that are fetched again in this run."""
        for key in keys:
            del self._last[key]
            self._failed.discard(key)
            self._deferred.discard(key)

    @property
    def done(self) -> int:
        """How many files need nothing more in this run: those that were fetched, are absent, or have failed."""
        return len(self._last) - len(self._deferred)

    @property
    def failed(self) -> int:
        """How many files have failed. Files that the source says it does not have are not counted."""
        return len(self._failed)

    def by_dataset(self) -> dict[str, tuple[int, int]]:
        """By dataset, how many files are in the lake now and how many have failed. Deferred files do not count."""
        there: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for key, outcome in self._last.items():
            if outcome.outcome is not Outcome.DEFERRED:
                (there if outcome.is_in_lake else failed)[self._dataset_of[key]] += 1
        return {name: (there[name], failed[name]) for name in there | failed}

    def __getitem__(self, key: str) -> FileOutcome:
        return self._last[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)
