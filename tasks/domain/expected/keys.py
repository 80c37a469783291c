"""Which keys has a partition, and whose key is this?"""

import re
import string
from collections.abc import Iterable, Mapping

from config.models import Config, Dataset

FIELD_PATTERNS = {
    "season": r"[0-9]{4}-[0-9]{2}",
    "start_year": r"[0-9]{4}",
    "end_year": r"[0-9]{4}",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "yyyymmdd": r"[0-9]{8}",
    "month": r"[a-z]+(?:-[0-9]{4})?",
}


def keys_of(dataset: Dataset, fields: Mapping[str, str]) -> list[str]:
    """The keys of one partition, in the order of the dataset's. They are made here and nowhere else."""
    return [template.format_map(fields) for template in dataset.keys]


class KeyPatterns:
    """The keys that the datasets of a configuration can have; everything else in the lake is foreign."""

    def __init__(self, config: Config):
        self._patterns = {
            name: [re.compile(_pattern(key, config.sources[dataset.source].game_id)) for key in dataset.keys]
            for name, dataset in config.datasets.items()
        }

    def dataset_of(self, key: str) -> str | None:
        return next((n for n, ps in self._patterns.items() if any(p.fullmatch(key) for p in ps)), None)

    def match(self, key: str) -> tuple[str, dict[str, str]] | None:
        """The dataset of a key, and the fields in it."""
        for name, patterns in self._patterns.items():
            for pattern in patterns:
                if found := pattern.fullmatch(key):
                    return name, found.groupdict()
        return None


def _pattern(template: str, game_id: str) -> str:
    """The expression that the keys of a template match: fields by their shape, the rest to the letter."""
    parts: list[str] = []
    seen: set[str] = set()
    for literal, field, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(literal))
        if field is not None:
            pattern = game_id if field == "id" else FIELD_PATTERNS[field]
            parts.append(f"(?:{pattern})" if field in seen else f"(?P<{field}>{pattern})")
            seen.add(field)
    return "".join(parts)


def fixed_folder(template: str) -> str:
    """The folder that all keys of a template are in."""
    return template[: template.index("{")].rpartition("/")[0]


def folders(datasets: Iterable[Dataset]) -> list[str]:
    """The fixed folders that hold all keys of the datasets, none inside another."""
    fixed = {fixed_folder(key) for dataset in datasets for key in dataset.keys}
    return sorted(f for f in fixed if not any(f.startswith(other + "/") for other in fixed))
