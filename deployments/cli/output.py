"""How is an answer written as JSON to standard output, or to a file?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from config.secrets import without_secrets
from tasks.domain.errors import AdceError


def print_json(document: Any) -> None:
    """Prints one JSON document, without secrets, and a line break on standard output."""
    json.dump(without_secrets(document), sys.stdout)
    sys.stdout.write("\n")


def write(path: Path, text: str) -> None:
    """Writes a file, and says so on standard error. Raises AdceError if the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AdceError(f"{path}: cannot be written: {error.strerror}") from None
    typer.echo(f"{path} written", err=True)
