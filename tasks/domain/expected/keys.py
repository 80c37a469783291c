"""Which keys does a partition have, and which dataset does a key belong to?"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from config.models import Config, Dataset, pattern_of
from tasks.domain.wording import plural


def keys_of(dataset: Dataset, fields: Mapping[str, str]) -> list[str]:
    """The keys of one partition, in the order of the dataset's templates. No other code makes keys."""
    return [template.format_map(fields) for template in dataset.keys]


class KeyPatterns:
    """Matches keys with the datasets of a configuration. A key that matches none is not ADCE's."""

    def __init__(self, config: Config):
        self._patterns = [
            (_top_folder(key), name, re.compile(pattern_of(key, config.sources[dataset.source].game_id)))
            for name, dataset in config.datasets.items()
            for key in dataset.keys
        ]
        self._tops = {top for top, _, _ in self._patterns if top}
        self._by_top: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def dataset_of(self, key: str) -> str | None:
        """The dataset of a key; None if it belongs to none."""
        for name, pattern in self._candidates(key):  # a generator takes twice as long
            if pattern.fullmatch(key):
                return name
        return None

    def match(self, key: str) -> tuple[str, dict[str, str]] | None:
        """The dataset of a key and the values of the template's fields; None if the key belongs to no dataset."""
        for name, pattern in self._candidates(key):
            if found := pattern.fullmatch(key):
                return name, found.groupdict()
        return None

    def _candidates(self, key: str) -> list[tuple[str, re.Pattern[str]]]:
        """The patterns whose top folder is that of the key, or that have none."""
        top = key.partition("/")[0]
        top = top if top in self._tops else ""
        if top not in self._by_top:
            self._by_top[top] = [(name, pattern) for of, name, pattern in self._patterns if of in ("", top)]
        return self._by_top[top]


def _top_folder(template: str) -> str:
    """The first folder of all keys of a template; empty if they have none in common."""
    return fixed_folder(template).partition("/")[0]


def fixed_folder(template: str) -> str:
    """The deepest folder that contains all keys of a template."""
    return template[: template.index("{")].rpartition("/")[0]


def folders(datasets: Iterable[Dataset]) -> list[str]:
    """The folders that contain all keys of the datasets, without those that lie inside another of them."""
    return outermost(fixed_folder(key) for dataset in datasets for key in dataset.keys)


def outermost(folders: Iterable[str]) -> list[str]:
    """The folders that are not within another of them, in the order of their keys."""
    found: list[str] = []
    for prefix in sorted(f"{folder}/" for folder in set(folders)):
        if not found or not prefix.startswith(f"{found[-1]}/"):
            found.append(prefix[:-1])
    return found


class Misnamed(NamedTuple):
    """A dataset of which the lake has no file, although other files are in its folders: its keys may be wrong."""

    dataset: str
    keys: tuple[str, ...]  # its templates
    files: int  # those in its folders that belong to no dataset
    example: str  # the key of one of them

    def __str__(self) -> str:
        such_as = "such as " * (self.files > 1)
        return (
            f"{self.dataset}: found no file named {' or '.join(self.keys)}, but {plural(self.files, 'file')} "
            f"that no dataset has, {such_as}{self.example}; if these are its files, set datasets.{self.dataset}.keys "
            "to their names"
        )


def find_misnamed(config: Config, datasets: Iterable[str], keys: Iterable[str]) -> list[Misnamed]:
    """Those of the datasets to which none of the keys belongs, although keys of no dataset are in their folders."""
    patterns = KeyPatterns(config)
    folders = {name: tuple(f"{fixed_folder(key)}/" for key in config.datasets[name].keys) for name in datasets}
    strange: dict[str, list[str]] = {}
    near = tuple(folder for some in folders.values() for folder in some)
    for key in keys:
        if not near:
            break
        if not key.startswith(near):
            continue
        owner = patterns.dataset_of(key)
        if owner in folders:
            del folders[owner]
            near = tuple(folder for some in folders.values() for folder in some)
        elif owner is None:
            for name, some in folders.items():
                if key.startswith(some):
                    strange.setdefault(name, []).append(key)
    return [
        Misnamed(name, tuple(config.datasets[name].keys), len(strange[name]), min(strange[name]))
        for name in folders
        if name in strange
    ]
