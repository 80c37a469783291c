"""How is a command typed here, so that it finds the same program and the same files?"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def typed(*arguments: str) -> str:
    """The command `adce` with these arguments, as it is typed in the working folder."""
    return shlex.join([_program(), *arguments])


def near(path: Path) -> str:
    """A path as it is typed: relative if it is in the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _program() -> str:
    """The `adce` of this installation: only its name if the shell finds it by that, else its path."""
    own, found = Path(sys.executable).with_name("adce"), shutil.which("adce")
    is_found = found is not None and own.exists() and Path(found).samefile(own)
    return "adce" if is_found or not own.exists() else near(own)
