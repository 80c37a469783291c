"""Which files does a rollout reach, and with which settings is a file fetched?"""

from __future__ import annotations

import hashlib

from config.models import Config, Dataset, Source


def reached(rollout: str, percent: float, partition: str) -> bool:
    """Is a partition of a dataset (all files of one response) among the given percentage of the partitions?

    A hash decides, so that the answer is always the same and a higher percentage keeps the partitions of a lower one.
    """
    if percent >= 100:
        return True
    digest = hashlib.sha256(f"{rollout} {partition}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < percent / 100 * 2**64


def scraper_of(dataset: str, variant: str) -> str:
    """The name of the scraper of a dataset, or of the part that a rollout has reached: "br_totals@new_parser".

    Each scraper has its own circuit breaker.
    """
    return f"{dataset}@{variant}" if variant else dataset


def rollout_of(config: Config, name: str) -> str | None:
    """The name of the rollout that covers a dataset, if any."""
    return next((r for r, settings in config.rollout.items() if settings.covers(name, config.datasets[name])), None)


def variant_of(config: Config, name: str, partition: str) -> str:
    """The variant of a partition of a dataset: the name of the rollout that has reached it, or ""."""
    rollout = rollout_of(config, name)
    return rollout if rollout and reached(rollout, config.rollout[rollout].percent, partition) else ""


def own_address_of(config: Config, source: str, variant: str) -> str:
    """The name of a source at a rollout's own base URL, such as "espn@new_host"; "" if the rollout has none.

    Another host answers there, so that its refusals pause only this address. Meanwhile the files are fetched from the
    usual address.
    """
    address = config.rollout[variant].changes.base_url if variant else None
    return f"{source}@{variant}" if address and address != config.sources[source].base_url else ""


def changes_request(config: Config, variant: str) -> bool:
    """Does a variant change the request, and not only the body check?

    If so, a file that its request does not find may still exist, and the usual request is tried as well.
    """
    return bool(variant and config.rollout[variant].changes.model_fields_set - {"check", "min_bytes"})


def own_addresses(config: Config) -> dict[str, str]:
    """All names that own_address_of can give, each with its source."""
    sources = {(d.source, rollout_of(config, name)) for name, d in config.datasets.items()}
    named = {own_address_of(config, source, variant or ""): source for source, variant in sources}
    return {name: source for name, source in named.items() if name}


def covered(config: Config, rollout: str) -> list[str]:
    """The datasets that a rollout covers."""
    return [name for name, dataset in config.datasets.items() if config.rollout[rollout].covers(name, dataset)]


def scrapers(config: Config) -> dict[str, Dataset]:
    """The dataset settings of each scraper, by its name: as configured, and as a rollout changes them."""
    found = dict(config.datasets)
    for name, dataset in config.datasets.items():
        if variant := rollout_of(config, name):
            found[scraper_of(name, variant)] = config.rollout[variant].changes.of_dataset(dataset)
    return found


def source_for(config: Config, source: str, variant: str) -> Source:
    """The settings of a source, with the changes of a variant if there is one."""
    settings = config.sources[source]
    return config.rollout[variant].changes.of_source(settings) if variant else settings
