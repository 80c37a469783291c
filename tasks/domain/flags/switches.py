"""Which switches of the configuration differ from normal operation?"""

from __future__ import annotations

from datetime import datetime

from config.models import Config
from tasks.domain.flags.maintenance import window_at
from tasks.domain.wording import plural


def switches(config: Config, now: datetime) -> list[str]:
    """A few words for each switch that is set, such as "dry run", "espn off", "rollout of br_totals 10 %"."""
    found = {
        "everything off": not config.enabled,
        "dry run": config.dry_run,
        f"test mode, {plural(config.test_fills, 'fill')}": config.test_mode,
        "weighting off": not config.scoring.weighting,
        "success factor off": config.scoring.weighting and not config.scoring.success.enabled,
    }
    found |= {f"{name} off": not source.enabled for name, source in config.sources.items()}
    found |= {f"{name} off": not dataset.enabled for name, dataset in config.datasets.items()}
    found |= {f"rollout of {name} {d.rollout:g} %": d.rollout < 100 for name, d in config.datasets.items()}
    found |= {f"rollout {name} {rollout.percent:g} %": True for name, rollout in config.rollout.items()}
    everything = window_at(config.maintenance, [], now)
    for of in dict.fromkeys(window.of for window in config.maintenance):
        window = window_at(config.maintenance, [of], now)
        if window and (of == "all" or everything is None or window.until != everything.until):
            found[f"maintenance of {of} {window.ends_in_words}"] = True
    return [words for words, is_on in found.items() if is_on]
