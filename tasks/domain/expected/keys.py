"""Which keys does a partition have, and which dataset does a key belong to?"""

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
    """The keys of one partition, in the order of the dataset's templates. No other code makes keys."""
    return [template.format_map(fields) for template in dataset.keys]


class KeyPatterns:
    """Matches keys with the datasets of a configuration. A key that matches none is not ADCE's."""

    def __init__(self, config: Config):
        self._patterns = {
            name: [re.compile(_pattern(key, config.sources[dataset.source].game_id)) for key in dataset.keys]
            for name, dataset in config.datasets.items()
        }

    def dataset_of(self, key: str) -> str | None:
        """The dataset of a key; None if it belongs to none."""
        return next((n for n, ps in self._patterns.items() if any(p.fullmatch(key) for p in ps)), None)

    def match(self, key: str) -> tuple[str, dict[str, str]] | None:
        """The dataset of a key and the values of the template's fields; None if the key belongs to no dataset."""
        for name, patterns in self._patterns.items():
            for pattern in patterns:
                if found := pattern.fullmatch(key):
                    return name, found.groupdict()
        return None


def _pattern(template: str, game_id: str) -> str:
    """The regular expression for the keys of a template: a pattern for each field, and all other text literally."""
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
    """The deepest folder that contains all keys of a template."""
    return template[: template.index("{")].rpartition("/")[0]


def folders(datasets: Iterable[Dataset]) -> list[str]:
    """The folders that contain all keys of the datasets, without those that lie inside another of them."""
    fixed = {fixed_folder(key) for dataset in datasets for key in dataset.keys}
    return sorted(f for f in fixed if not any(f.startswith(other + "/") for other in fixed))
