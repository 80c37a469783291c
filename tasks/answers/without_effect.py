"""Which settings of the configuration have no effect?"""

from __future__ import annotations

from blocks.store import Store
from config.models import Config


def events_without_effect(config: Config) -> str | None:
    """A line about settings of events that have no effect; None if there are none."""
    if config.events.queue and Store(config.lake).bucket is None:
        return f"events.queue has no effect: lake {config.lake} is a folder, which sends no events; set it to null"
    if config.events.fill and not config.events.queue:
        return "events.fill has no effect without a queue; name one in events.queue, or set it to false"
    return None
