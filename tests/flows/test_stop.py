"""How long do fills have to end when a run is told to stop?"""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from blocks.store import Store
from flows.run import Run
from tasks.domain.expected import Selection
from tasks.ledger import Ledger
from tests.builders import a_config

GRACE = a_config().reconcile.grace.total_seconds()
CANCEL = ("cancelled in Prefect", None)
TERM = ("SIGTERM", signal.SIGTERM)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        pytest.param([TERM], GRACE, id="one signal"),
        pytest.param([TERM, TERM], 0.0, id="two signals"),
        pytest.param([CANCEL], GRACE, id="a cancel, without a worker"),
        pytest.param([CANCEL, TERM], GRACE, id="a cancel, and the worker's signal for it"),
        pytest.param([TERM, CANCEL], GRACE, id="the same, and the signal comes first"),
        pytest.param([CANCEL, TERM, TERM], 0.0, id="a cancel, and then a signal of somebody's own"),
    ],
)
def test_fills_have_the_grace_unless_a_second_signal_comes(
    told: list[tuple[str, int | None]], seconds: float, tmp_path: Path
) -> None:
    async def stopping() -> Run:
        run = Run(a_config(), Selection(), Store("file:lake"), Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
        for why in told:
            run.stop(*why)
        return run

    run = asyncio.run(stopping())
    assert run.stopped == told[0][0]
    assert run.cut_short_at - time.monotonic() == pytest.approx(seconds, abs=1)
