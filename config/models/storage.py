"""The addresses of the lake and of the ledger, and the folders of the lake that no dataset may use."""

from __future__ import annotations

import re
from typing import Annotated

from config.models.base import matching, plain_path


def _suggested_lake(text: str) -> str | None:
    if path := plain_path(text):
        return f"file://{path}" if path.startswith("/") else f"file:{path.replace('~/', '$HOME/', 1)}"
    if text.startswith("file://") and (path := plain_path(text.removeprefix("file://"))):
        return f"file:///{path} or file:{path}"
    if bucket := re.fullmatch(r"s3:/?([\w.-][\w./-]*)", text):
        return f"s3://{bucket[1]}"
    return None


def _suggested_ledger(text: str) -> str | None:
    if path := plain_path(text.removeprefix("sqlite://").removeprefix("sqlite:")):
        return f"sqlite:///{path.replace('~/', '$HOME/', 1)}"
    return "postgresql://…" if text.startswith("postgres://") else None


LakeAddress = Annotated[
    str,
    matching(
        r"file:(//(localhost)?/.+|/?[^/].*)|s3://[^/\s@]+(/\S*)?",
        "not the address of a lake; write it as file:///folder or s3://bucket/prefix",
        _suggested_lake,
    ),
]
LedgerAddress = Annotated[
    str,
    matching(
        r"(sqlite|postgresql(\+psycopg)?)://.*",
        "not the address of a ledger; write it as sqlite:///adce.db or postgresql://host/adce",
        _suggested_ledger,
    ),
]
TEST_FOLDER = "_test"  # folder of the lake for the files that runs in test mode store
OWN_FOLDER = "_adce"  # folder of the lake for ADCE's own files: the lake's mark and partial versions
