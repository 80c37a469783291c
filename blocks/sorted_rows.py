"""How are the rows of many files read in the order of their keys, whichever order the files have, in little memory?"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from itertools import chain, islice
from operator import eq
from pathlib import Path
from typing import NamedTuple

from arro3.core import Array, DataType, RecordBatch, Table
from arro3.io import read_parquet, write_csv, write_parquet

Read = Callable[[int], Iterator[RecordBatch]]  # the rows of a file, in batches of at most so many

_ROWS = 65_536  # the most rows of a batch
_FEWEST_ROWS = 2048  # the same where many files are open
_AT_ONCE = 500_000  # the most rows of all files together that are in memory
_SORTED_TOGETHER = 262_144  # rows of a file that is not in order


class Rows(NamedTuple):
    """Some rows in the order of their keys, and these keys, which are their column `key`."""

    batch: RecordBatch
    keys: list[str]

    def between(self, first: str, end: str) -> Rows:
        """The rows whose keys are not before `first`, but before `end`."""
        low, high = bisect_left(self.keys, first), bisect_left(self.keys, end)
        return Rows(_each(self.batch, lambda column: column.slice(low, high - low)), self.keys[low:high])


class OutOfOrderError(Exception):
    """The rows of a file are not in the order of their keys."""


class Run(NamedTuple):
    """Rows in the order of their keys, the first of which is known, and perhaps the last."""

    read: Read
    first: str
    last: str | None = None

    def is_between(self, first: str, end: str) -> bool:
        """May some of the keys be not before `first`, but before `end`?

        Any may be where the last is not known, since the rows need not be in order.
        """
        return self.last is None or (self.first < end and self.last >= first)


def run_of(read: Read) -> Run | None:
    """The rows of a file as one run, if they are in order, which `merged` finds out; None if there is no row."""
    first = next((batch["key"][0].as_py() for batch in read(_FEWEST_ROWS) if batch.num_rows), None)
    return None if first is None else Run(read, first)


def runs_of(read: Read, file: Path) -> list[Run]:
    """The rows of a file in any order, as several runs, which are written to files named `file`."""
    return [_written(part, file.with_suffix(f".{n}")) for n, part in enumerate(_sorted_parts(read))]


def merged(runs: Iterable[Run]) -> Iterator[Rows]:
    """The rows of all runs in the order of their keys. Of several with the same key, one comes.

    Raises OutOfOrderError if the rows of a run are not in order.
    """
    waiting = sorted(runs, key=lambda run: run.first, reverse=True)
    at_most = max(_FEWEST_ROWS, min(_ROWS, _AT_ONCE // max(len(waiting), 1)))
    opened: list[_Opened] = []
    previous = None
    while opened or waiting:
        while waiting and (not opened or waiting[-1].first <= min(run.last for run in opened)):
            opened.append(_Opened(waiting.pop(), at_most))
        bound = min(run.last for run in opened)
        parts = [part for run in opened if (part := run.take(bound)).keys]
        rows = _sorted(parts) if len(parts) > 1 else parts[0]
        opened = [run for run in opened if run.has_rows]
        if rows.keys[0] == previous or any(map(eq, rows.keys, islice(rows.keys, 1, None))):
            before = (previous, *rows.keys)
            kept = [place for place, key in enumerate(rows.keys) if key != before[place]]
            rows = Rows(rows_at(rows.batch, kept), [rows.keys[place] for place in kept])
        if rows.keys:
            previous = rows.keys[-1]
            yield rows


def rows_at(batch: RecordBatch, places: Iterable[int]) -> RecordBatch:
    """The rows at these places of a batch, copied."""
    numbers = Array(list(places), DataType.uint32())
    return _each(batch, lambda column: column.take(numbers))


def strings(column: Array) -> list[str]:
    """The values of a column of text that has no null. This is faster than Arrow's own way."""
    lines = lines_of(column)
    values = lines.split("\n")
    is_plain = len(values) == len(column) and '"' not in lines and "\r" not in lines
    return values if is_plain else column.to_pylist()


def lines_of(column: Array) -> str:
    """The values of a column of text, each in a line: as CSV, with quotes around unusual ones."""
    lines = BytesIO()
    write_csv(RecordBatch.from_arrays([column], names=["text"]), lines, header=False)
    return lines.getvalue().decode().removesuffix("\n")


def _each(batch: RecordBatch, change: Callable[[Array], Array]) -> RecordBatch:
    """The batch with each of its columns changed.

    If the batch were changed as a whole, each column of the result would keep all of the others in memory.
    """
    return RecordBatch.from_arrays([change(column) for column in batch.columns], schema=batch.schema)


class _Opened:
    """A run of which some rows have been taken."""

    def __init__(self, run: Run, at_most: int):
        self._batches = (batch for batch in run.read(at_most) if batch.num_rows)
        self._batch: RecordBatch | None = None
        self._keys: list[str] = [""]
        self._place = 0
        self._next()

    @property
    def has_rows(self) -> bool:
        """Are there rows that were not taken?"""
        return self._batch is not None

    @property
    def last(self) -> str:
        """The last key of the rows that are in memory."""
        return self._keys[-1]

    def take(self, bound: str) -> Rows:
        """Those of the rows in memory that are not after this key. They are taken then."""
        assert self._batch is not None
        begin, end = self._place, bisect_right(self._keys, bound, self._place)
        taken = Rows(self._batch.slice(begin, end - begin), self._keys[begin:end])
        self._place = end
        if end == len(self._keys):
            self._next()
        return taken

    def _next(self) -> None:
        self._batch = next(self._batches, None)
        if self._batch is not None:
            before, self._keys, self._place = self._keys[-1], strings(self._batch["key"]), 0
            if self._keys[0] < before or self._keys != sorted(self._keys):
                raise OutOfOrderError


def _sorted(parts: Sequence[Rows]) -> Rows:
    """The rows of some parts in order, copied."""
    keys = list(chain.from_iterable(part.keys for part in parts))
    places = sorted(range(len(keys)), key=keys.__getitem__)
    together = Table.from_batches([part.batch for part in parts]).combine_chunks().to_batches()[0]
    return Rows(rows_at(together, places), list(map(keys.__getitem__, places)))


def _sorted_parts(read: Read) -> Iterator[Rows]:
    """The rows of a file, in parts of which each is in order."""
    held: list[Rows] = []
    for batch in chain(read(_ROWS), [None]):
        if batch is not None and batch.num_rows:
            held.append(Rows(batch, strings(batch["key"])))
        if held and (batch is None or sum(len(one.keys) for one in held) >= _SORTED_TOGETHER):
            yield _sorted(held)
            held = []


def _written(part: Rows, file: Path) -> Run:
    write_parquet(part.batch, file, compression="lz4_raw")
    return Run(partial(_parquet, file), part.keys[0], part.keys[-1])


def _parquet(file: Path, at_most: int) -> Iterator[RecordBatch]:
    return iter(read_parquet(file, batch_size=at_most))
