"""Whose key is this?"""

import re
import string
from collections.abc import Iterable

from config.models import Config, Dataset

_FIELD_PATTERNS = {
    "season": r"[0-9]{4}-[0-9]{2}",
    "start_year": r"[0-9]{4}",
    "end_year": r"[0-9]{4}",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "yyyymmdd": r"[0-9]{8}",
    "month": r"[a-z]+(?:-[0-9]{4})?",
}


class KeyPatterns:
    """The keys that the datasets of a configuration can have; everything else in the lake is foreign."""

    def __init__(self, config: Config):
        self._patterns = {
            name: [re.compile(_pattern(key, config.sources[dataset.source].game_id)) for key in dataset.keys]
            for name, dataset in config.datasets.items()
        }

    def dataset_of(self, key: str) -> str | None:
        return next((n for n, ps in self._patterns.items() if any(p.fullmatch(key) for p in ps)), None)


def _pattern(template: str, game_id: str) -> str:
    """The expression that the keys of a template match: fields by their shape, the rest to the letter."""
    parts = []
    for literal, field, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(literal))
        if field is not None:
            parts.append(f"(?:{game_id if field == 'id' else _FIELD_PATTERNS[field]})")
    return "".join(parts)


def folders(datasets: Iterable[Dataset]) -> list[str]:
    """The fixed folders that hold all keys of the datasets, none inside another."""
    fixed = {key[: key.index("{")].rpartition("/")[0] for dataset in datasets for key in dataset.keys}
    return sorted(f for f in fixed if not any(f.startswith(other + "/") for other in fixed))
