"""What becomes of a file that is being written if its writer dies?

It has a temporary name until it is complete. Its writer holds a lock on it, which the kernel ends with the process. So
a file with such a name that nobody has locked is abandoned, and the next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".adce#"  # obstore leaves such names out of listings
_NOT_LOCKED_YET = 1.0  # seconds for which a file may be there before its writer has locked it


@contextmanager
def part_file(path: Path, body: bytes) -> Iterator[Path]:
    """A file with this body in the folder of `path`, under a temporary name that is gone afterwards."""
    part = path.with_name(f"{_PREFIX}{random.getrandbits(60)}")
    try:
        with part.open("xb") as file:
            with suppress(OSError):  # some file systems know no locks; what is abandoned stays there
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(body)
            file.flush()
            yield part
    finally:
        part.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> int:
    """Removes the part files in a folder and below it whose writers have died. Returns their number."""
    found = (Path(base, name) for base, _, names in os.walk(folder) for name in names if name.startswith(_PREFIX))
    return sum(map(_remove_if_abandoned, found))


def _remove_if_abandoned(part: Path) -> bool:
    with suppress(OSError), part.open("r+b") as file:
        if time.time() - os.fstat(file.fileno()).st_mtime < _NOT_LOCKED_YET:
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
        return True
    return False
