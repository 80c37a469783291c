"""The addresses of the lake and of the ledger, and the folders of the lake that no dataset may use."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BeforeValidator

from config.models.base import matching, plain_path


def lake_address(text: str, folder: Path | None = None) -> str:
    """The address of a lake that may be given as a path, `~` for the home folder included.

    A relative path becomes one from `folder`; without `folder` it stays relative to the working folder. A text that is
    neither a path nor the address of a folder is returned as it is.
    """
    path = unquote(text.removeprefix("file:")) if re.match(r"file:[^/]", text) else text
    path = os.path.expanduser(path)
    if not _is_path(path):
        return text
    if folder is None and not os.path.isabs(path):
        return f"file:{quote(Path(path).as_posix())}"
    return Path(os.path.abspath(os.path.join(folder or "", path))).as_uri()


def ledger_address(text: str, folder: Path | None = None) -> str:
    """The address of a ledger that may be given as the path of a SQLite file, as `lake_address` does for a lake."""
    path, mark, options = text.removeprefix("sqlite:///").partition("?")
    path = os.path.expanduser(path)
    if not _is_path(path):
        return text
    return f"sqlite:///{os.path.abspath(os.path.join(folder, path)) if folder else Path(path)}{mark}{options}"


def are_one_place(lake: str, ledger: str) -> bool:
    """Would the file of the ledger be where the folder of the lake is? Both are addresses."""
    folder = unquote(lake.removeprefix("file://").removeprefix("file:"))
    file = ledger.removeprefix("sqlite:///").partition("?")[0]
    return folder != lake and file != ledger and os.path.abspath(folder) == os.path.abspath(file)


def _is_path(text: str) -> bool:
    """Is the text a path? A text with a scheme is not, and neither is the home folder of nobody, as in ~nobody."""
    return bool(text.strip()) and text.isprintable() and not re.match(r"~|[A-Za-z][A-Za-z0-9+.-]*:|:", text)


def _suggested_lake(text: str) -> str | None:
    if text.startswith("file://") and (path := plain_path(text.removeprefix("file://"))):
        return f"file:///{path} or file:{path}"
    if bucket := re.fullmatch(r"s3:/?([\w.-][\w./-]*)", text):
        return f"s3://{bucket[1]}"
    return None


def _suggested_ledger(text: str) -> str | None:
    if path := plain_path(text.removeprefix("sqlite://").removeprefix("sqlite:")):
        return f"sqlite:///{path}"
    return "postgresql://…" if text.startswith("postgres://") else None


def _outlives_a_run(url: str) -> str:
    """SQLite without a file keeps its database in memory, and each connection has another one."""
    in_memory = ":memory:" in url or "mode=memory" in url
    if url.startswith("sqlite:") and (in_memory or not re.match(r"sqlite:///[^?]", url)):
        raise ValueError(
            "a SQLite ledger must be a file: sqlite:///adce.db in this folder, or sqlite:////data/adce.db in /data"
        )
    return url


def _if_text(change: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: change(value) if isinstance(value, str) else value)


LakeAddress = Annotated[
    str,
    _if_text(lake_address),
    matching(
        r"file:(//(localhost)?/.+|/?[^/].*)|s3://[^/\s@]+(/\S*)?",
        "not the address of a lake; write it as file:///folder or s3://bucket/prefix",
        _suggested_lake,
    ),
]
LedgerAddress = Annotated[
    str,
    _if_text(ledger_address),
    matching(
        r"(sqlite|postgresql(\+psycopg)?)://.*",
        "not the address of a ledger; write it as sqlite:///adce.db or postgresql://host/adce",
        _suggested_ledger,
    ),
    AfterValidator(_outlives_a_run),
]
TEST_FOLDER = "_test"  # folder of the lake for the files that runs in test mode store
OWN_FOLDER = "_adce"  # folder of the lake for ADCE's own files: the lake's mark and partial versions
