"""What waits while the lake cannot be written, and may anything be asked for meanwhile?"""

import asyncio
from collections.abc import Callable

import pytest

from tasks.domain.errors import LakeError, LedgerError, Reach
from tasks.upstream import outage as module
from tasks.upstream.outage import Outage


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)


class Lake:
    """It takes bodies unless it is `down`, and refuses some keys."""

    def __init__(self) -> None:
        self.down = self.denies_all = False
        self.stored: list[str] = []
        self.tries = 0

    async def put(self, key: str) -> str:
        self.tries += 1
        await asyncio.sleep(0)
        if self.down:
            raise LakeError("away")
        if key.startswith("denied") or self.denies_all:
            raise LakeError(f"{key}: denied", Reach.FOLDER)
        if key.startswith("bad"):
            raise LakeError(f"{key}: too long", Reach.KEY)
        self.stored.append(key)
        return key

    async def check(self) -> None:
        if self.down or self.denies_all:
            raise LakeError("nothing can be written")


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


def test_what_the_lake_cannot_take_waits_and_nothing_is_asked_for_until_it_is_stored() -> None:
    async def story() -> None:
        lake = Lake()
        outage = Outage(lake.check)
        changes: list[bool] = []
        outage.on_change = lambda: changes.append(outage.reason is not None)
        lake.down = True
        bodies = [asyncio.create_task(outage.retry(lambda key=key: lake.put(key))) for key in "abc"]  # type: ignore[misc]
        await _until(lambda: lake.tries > 5)
        asking = asyncio.create_task(outage.wait_until_over())
        await asyncio.sleep(0.05)
        assert (str(outage.reason), asking.done()) == ("away", False)
        lake.down = False
        assert await asyncio.gather(*bodies) == ["a", "b", "c"]
        await asking
        assert sorted(lake.stored) == ["a", "b", "c"]
        assert (outage.reason, outage.given_up, changes) == (None, 0, [True, False])

    asyncio.run(story())


def test_what_is_wrong_with_a_key_or_a_folder_stops_nothing_unless_nothing_can_be_written() -> None:
    async def story() -> None:
        lake = Lake()
        outage = Outage(lake.check)
        for key in ("bad", "denied"):
            with pytest.raises(LakeError, match=key):
                await outage.retry(lambda key=key: lake.put(key))  # type: ignore[misc]
            assert outage.reason is None
        lake.denies_all = True
        waiting = asyncio.create_task(outage.retry(lambda: lake.put("a")))
        await _until(lambda: outage.reason is not None)
        assert str(outage.reason) == "nothing can be written"
        lake.denies_all = False
        assert await waiting == "a"

    asyncio.run(story())


def test_a_body_that_waits_to_the_end_is_counted_as_lost() -> None:
    async def story() -> int:
        lake = Lake()
        lake.down = True
        outage = Outage(lake.check)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.gather(*(outage.retry(lambda: lake.put("a")) for _ in range(3)))
        return outage.given_up

    assert asyncio.run(story()) == 3


def test_a_ledger_that_cannot_be_written_ends_the_waiting() -> None:
    async def story() -> None:
        lake = Lake()
        lake.down = True
        outage = Outage(lake.check)
        body = asyncio.create_task(outage.retry(lambda: lake.put("a")))
        await _until(lambda: outage.reason is not None)
        asking = asyncio.create_task(outage.wait_until_over())
        outage.stop_requests(LedgerError("full"))
        with pytest.raises(LedgerError, match="full"):
            await asking
        with pytest.raises(LakeError, match="away"):
            await body
        assert (str(outage.final), outage.given_up) == ("full", 1)

    asyncio.run(story())
