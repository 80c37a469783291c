"""Which part of a dataset goes first? The same part always, and a larger one holds the smaller."""

from __future__ import annotations

import hashlib

from tasks.domain.expected import Cell


def reached(name: str, percent: float, cell: Cell) -> bool:
    """Is a cell among the first so many per cent of the rollout `name`? All cells of a response are, or none is."""
    if percent >= 100:
        return True
    partition = cell.fields.get("id") or cell.first_day.isoformat()
    digest = hashlib.sha256(f"{name} {cell.dataset} {partition}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < percent / 100 * 2**64
