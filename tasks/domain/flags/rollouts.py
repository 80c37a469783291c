"""Which part of the files goes first, and by which settings? The same part always; a larger one holds the smaller."""

from __future__ import annotations

import hashlib

from config.models import Config, Dataset, Source


def reached(rollout: str, percent: float, partition: str) -> bool:
    """Is a partition of a dataset (all that one response brings) among the first so many per cent?"""
    if percent >= 100:
        return True
    digest = hashlib.sha256(f"{rollout} {partition}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < percent / 100 * 2**64


def scraper_of(dataset: str, variant: str) -> str:
    """What fetches a dataset, or the part of it that a rollout has reached: each has a breaker of its own."""
    return f"{dataset}@{variant}" if variant else dataset


def rollout_of(config: Config, name: str) -> str | None:
    """The rollout that a dataset is in."""
    return next((r for r, settings in config.rollout.items() if settings.covers(name, config.datasets[name])), None)


def variant_of(config: Config, name: str, partition: str) -> str:
    """The rollout that has reached a partition of a dataset; empty when none has."""
    rollout = rollout_of(config, name)
    return rollout if rollout and reached(rollout, config.rollout[rollout].percent, partition) else ""


def own_address_of(config: Config, source: str, variant: str) -> str:
    """The name of a source under a rollout's own address, "espn@new_host"; empty where the address is the usual one.

    A refusal there is another host's: it pauses that address alone, and the files go the usual way.
    """
    address = config.rollout[variant].changes.base_url if variant else None
    return f"{source}@{variant}" if address and address != config.sources[source].base_url else ""


def asks_its_own_way(config: Config, variant: str) -> bool:
    """Does a rollout ask otherwise, and not only check otherwise? Then its way may be a wrong one.

    That it finds no file proves nothing: the usual way is asked, too.
    """
    return bool(variant and config.rollout[variant].changes.model_fields_set - {"check", "min_bytes"})


def own_addresses(config: Config) -> dict[str, str]:
    """All such names, and the source of each."""
    sources = {(d.source, rollout_of(config, name)) for name, d in config.datasets.items()}
    named = {own_address_of(config, source, variant or ""): source for source, variant in sources}
    return {name: source for name, source in named.items() if name}


def covered(config: Config, rollout: str) -> list[str]:
    """The datasets that a rollout is about."""
    return [name for name, dataset in config.datasets.items() if config.rollout[rollout].covers(name, dataset)]


def scrapers(config: Config) -> dict[str, Dataset]:
    """What each scraper fetches: the datasets as they are, and as a rollout changes them."""
    found = dict(config.datasets)
    for name, dataset in config.datasets.items():
        if variant := rollout_of(config, name):
            found[scraper_of(name, variant)] = config.rollout[variant].changes.of_dataset(dataset)
    return found


def source_for(config: Config, source: str, variant: str) -> Source:
    """The settings of a source, as a rollout changes them."""
    settings = config.sources[source]
    return config.rollout[variant].changes.of_source(settings) if variant else settings
