"""Rows of many files come in the order of their keys, each key once."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from arro3.core import Array, DataType, RecordBatch
from hypothesis import given
from hypothesis import strategies as st

from blocks import sorted_rows
from blocks.sorted_rows import OutOfOrderError, Rows, merged, run_of, runs_of

KEYS = st.text('ab/é"\n\r,', max_size=4)


def _batch(keys: list[str], file: int) -> RecordBatch:
    columns = [Array(keys, DataType.string()), Array([file] * len(keys), DataType.int64())]
    return RecordBatch.from_arrays(columns, names=["key", "file"])


def _read(parts: list[list[str]], file: int, _: int) -> Iterator[RecordBatch]:
    yield from (_batch(keys, file) for keys in parts)


def _keys(found: Iterable[Rows]) -> list[str]:
    return [key for rows in found for key in rows.keys]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.lists(KEYS, max_size=5), max_size=4)), max_size=5))
def test_whatever_the_order_of_files_and_rows_each_key_comes_once_and_in_order(
    files: list[tuple[bool, list[list[str]]]],
) -> None:
    """Some of the files are in order, and others as they come. A key has the row of a file that has the key."""
    contents = []
    for is_sorted, parts in files:
        every = sorted(key for part in parts for key in part)
        contents.append([every[:2], every[2:]] if is_sorted else parts)
    held = {(key, number) for number, parts in enumerate(contents) for part in parts for key in part}
    with TemporaryDirectory() as folder:
        reads = [partial(_read, parts, number) for number, parts in enumerate(contents)]
        in_order = [run for read in reads if (run := run_of(read))]
        if any((keys := list(chain.from_iterable(parts))) != sorted(keys) for parts in contents):
            with pytest.raises(OutOfOrderError):
                list(merged(in_order))
        else:
            assert _keys(merged(in_order)) == sorted({key for key, _ in held})
        runs = [run for number, read in enumerate(reads) for run in runs_of(read, Path(folder, f"{number}"))]
        found = list(merged(runs))
        rows = [pair for part in found for pair in zip(part.keys, part.batch["file"].to_pylist(), strict=True)]
        assert [part.batch["key"].to_pylist() for part in found] == [part.keys for part in found]
    assert [key for key, _ in rows] == sorted({key for key, _ in held})
    assert set(rows) <= held


def test_a_file_that_is_not_in_order_is_sorted_in_parts(tmp_path: Path) -> None:
    keys = [f"{n:07}" for n in range(sorted_rows._SORTED_TOGETHER + 10, 0, -1)]
    read = partial(_read, [keys[start : start + 65_536] for start in range(0, len(keys), 65_536)], 0)
    runs = runs_of(read, tmp_path / "x")
    assert len(runs) == len(list(tmp_path.iterdir())) == 2
    parts = list(merged(runs))
    assert [key for part in parts for key in part.keys] == sorted(keys)
    assert max(len(part.keys) for part in parts) <= 2 * sorted_rows._ROWS
