"""How long do transactions hold the write lock of a ledger in SQLite?

`python -m tests.benchmarks.transactions FILE ARGUMENTS…` is `adce ARGUMENTS…`, and appends to FILE what it measures.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from tasks.ledger.database import address_of


class Transaction(NamedTuple):
    """For how many seconds a transaction held the lock, and the begin of what it wrote."""

    seconds: float
    statement: str


class LongTransactions:
    """Measures the transactions that this process writes to a ledger, and appends each longest so far to a file."""

    def __init__(self, url: str, file: Path):
        self._database, self._file = address_of(url).database, file
        self._begun: dict[int, tuple[float, list[str]]] = {}  # by the connection, with the statements that write
        self._longest = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """A block in which they are measured: from the answer to BEGIN IMMEDIATE until COMMIT has returned."""
        sa.event.listen(sa.Engine, "after_cursor_execute", self._executed)
        ends = {name: getattr(DefaultDialect, name) for name in ("do_commit", "do_rollback")}
        for name, end in ends.items():
            setattr(DefaultDialect, name, self._ending(end))
        try:
            yield
        finally:
            sa.event.remove(sa.Engine, "after_cursor_execute", self._executed)
            for name, end in ends.items():
                setattr(DefaultDialect, name, end)

    def _executed(self, connection: sa.Connection, cursor: Any, statement: str, *_: object) -> None:
        if connection.engine.url.database != self._database:
            return
        if statement == "BEGIN IMMEDIATE":
            self._begun[id(cursor.connection)] = time.perf_counter(), []
        elif (open := self._begun.get(id(cursor.connection))) and not statement.startswith("SELECT"):
            open[1].append(statement)

    def _ending(self, end: Any) -> Any:
        def measured(dialect: DefaultDialect, connection: Any) -> None:
            end(dialect, connection)
            begun, statements = self._begun.pop(id(connection.dbapi_connection), (None, []))
            seconds = 0.0 if begun is None else time.perf_counter() - begun
            if seconds > self._longest:
                self._longest = seconds
                with self._file.open("a") as file:
                    print(json.dumps((seconds, " ".join(statements)[:60])), file=file)

        return measured


def longest(file: Path) -> Transaction:
    """The longest of the transactions in a file of LongTransactions."""
    lines = file.read_text().splitlines() if file.exists() else []
    return max((Transaction(*json.loads(line)) for line in lines), default=Transaction(0.0, ""))


if __name__ == "__main__":
    from deployments.__main__ import main

    name = sys.argv.pop(1)
    with LongTransactions(os.environ["ADCE_LEDGER"], Path(name)).measured():
        main()
