"""Where does an answer go? To standard output as JSON, or to a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from tasks.domain.errors import AdceError


def print_json(document: Any) -> None:
    json.dump(document, sys.stdout)
    sys.stdout.write("\n")


def write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AdceError(f"{path}: cannot be written: {error.strerror}") from None
    typer.echo(f"{path} written", err=True)
