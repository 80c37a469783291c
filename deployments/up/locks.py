"""Is another process at work on this? A lock on a file, which its process holds and the process's death frees."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.domain.errors import AdceError


@contextmanager
def only_one(lock: Path, otherwise: str) -> Iterator[None]:
    """Holds a lock while the block runs; no process that is started meanwhile inherits it.

    Raises AdceError when another process holds it, which names that process, and `otherwise` what to do.
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
            raise AdceError(
                f"{lock.parent} is in use by another `adce up`, process {file.read()}; {otherwise}"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
