"""Which names of the configuration does a shell suggest, such as sources after --source?"""

from __future__ import annotations

from datetime import UTC, datetime

from config.load import ConfigError, load_config


def sources(incomplete: str) -> list[str]:
    """The sources of the configuration whose names begin so; none if there is a mistake in it."""
    return _named("sources", incomplete)


def datasets(incomplete: str) -> list[str]:
    """The datasets of the configuration whose names begin so; none if there is a mistake in it."""
    return _named("datasets", incomplete)


def names(incomplete: str) -> list[str]:
    """The sources and datasets of the configuration whose names begin so; none if there is a mistake in it."""
    return [*sources(incomplete), *datasets(incomplete)]


def kinds(incomplete: str) -> list[str]:
    """The kinds of incidents that begin so."""
    from tasks.domain.incidents import Kind

    return [kind for kind in Kind if kind.startswith(incomplete)]


def scopes(incomplete: str) -> list[str]:
    """The sources of the configuration, and its datasets after their sources, that begin so."""
    try:
        datasets = load_config().datasets
    except ConfigError:
        return []
    found = [*_named("sources", ""), *(f"{dataset.source}/{name}" for name, dataset in datasets.items())]
    return [scope for scope in found if scope.startswith(incomplete)]


def targets(incomplete: str) -> list[str]:
    """The names of those that are told of incidents that begin so."""
    try:
        return [name for name in load_config().alerts.targets if name.startswith(incomplete)]
    except ConfigError:
        return []


def seasons(incomplete: str) -> list[str]:
    """The seasons up to the current one that begin so, the newest first."""
    from tasks.domain.expected import seasons

    try:
        first = min(dataset.first_season for dataset in load_config().datasets.values())
    except ConfigError:
        return []
    known = seasons.seasons_between(first, seasons.current_season(datetime.now(UTC)))
    return [season for season in reversed(known) if season.startswith(incomplete)]


def _named(section: str, incomplete: str) -> list[str]:
    try:
        return [name for name in getattr(load_config(), section) if name.startswith(incomplete)]
    except ConfigError:
        return []
