"""Is another process using this folder or database? A lock on a file shows it, and ends with its process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.domain.errors import AdceError


@contextmanager
def exclusive_lock(lock: Path, advice: str, of: str | None = None) -> Iterator[None]:
    """Holds the lock on the file `lock` during the block. Processes that are started meanwhile do not inherit it.

    Raises AdceError if another process holds the lock. The error names that process and what the lock is `of` (None
    stands for the folder of the file), and ends with `advice`.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as error:
        raise AdceError(f"{lock}: cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = f"another `adce up`, process {file.read()}"
            raise AdceError(f"{of or lock.parent} is in use by {holder}; {advice}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
