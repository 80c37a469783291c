"""What does a run reckon with, and what may its fills take?"""

import asyncio
from datetime import timedelta
from pathlib import Path

from blocks.store import Store
from config.models import Config, Rate
from tasks.domain.expected.cells import Selection
from tasks.domain.limits.rates import spacing
from tasks.ledger import Ledger
from tasks.observe.session import Session
from tasks.run.run import Run
from tests.builders import a_config, a_fill


def a_run(folder: Path, config: Config) -> Run:
    """Of a running loop, with an empty lake and ledger."""
    lake, ledger = Store(f"file:{folder / 'lake'}"), Ledger(f"sqlite:///{folder / 'ledger.db'}")
    return Run(Session(config, Selection(), lake, ledger))


def test_a_rate_for_all_sources_together_counts_for_what_each_gives_and_for_what_a_fill_may_take(
    tmp_path: Path,
) -> None:
    slow = Rate(requests=1, seconds=30)

    async def reckoned() -> tuple[list[float], timedelta]:
        run = a_run(tmp_path, a_config(rates=[slow]))
        return [run.capacity(name).spacing for name in run.config.sources], run.time_limit(a_fill(requests=20))

    apart, limit = asyncio.run(reckoned())
    assert apart == [spacing([slow])] * 3
    assert limit > timedelta(seconds=3 * 20 * 30), "the three take turns"
