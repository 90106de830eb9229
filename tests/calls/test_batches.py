"""Work that is handed to a thread in batches: all of it is done, once, for whoever waits."""

from __future__ import annotations

import asyncio

import pytest

from mmcrime.calls.batches import Batches
from spending import in_loop


class Worker:
    """Doubles numbers, and remembers which it was given together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def do(self, numbers: list[int]) -> list[int | Exception]:
        self.batches.append(numbers)
        await self.free.wait()
        if 99 in numbers:
            raise OSError("broken")
        return [ValueError(n) if n < 0 else 2 * n for n in numbers]


@in_loop
async def test_what_comes_while_a_batch_is_under_way_goes_together() -> None:
    worker = Worker()
    worker.free.clear()
    batches = Batches(worker.do)
    first = batches.enter(1)
    await asyncio.sleep(0)
    rest = [batches.enter(n) for n in (2, 3, 4)]
    worker.free.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert worker.batches == [[1], [2, 3, 4]]
    assert await batches.enter(5) == 10


@in_loop
async def test_a_failure_is_for_one_and_a_broken_batch_for_all_of_it() -> None:
    batches = Batches(Worker().do)
    outcomes = await asyncio.gather(*map(batches.enter, (1, -2, 3)), return_exceptions=True)
    assert [type(o) for o in outcomes] == [int, ValueError, int]
    broken = await asyncio.gather(*map(batches.enter, (4, 99)), return_exceptions=True)
    assert [type(o) for o in broken] == [OSError, OSError]
    assert await batches.enter(5) == 10


@in_loop
async def test_one_who_leaves_takes_nobody_along() -> None:
    worker = Worker()
    worker.free.clear()
    batches = Batches(worker.do)
    first, second = batches.enter(1), batches.enter(2)
    await asyncio.sleep(0)
    first.cancel()
    worker.free.set()
    assert await second == 4
    assert worker.batches == [[1, 2]]  # what was handed over is done


@in_loop
async def test_batches_keep_their_distance_and_the_first_does_not_wait() -> None:
    worker, loop = Worker(), asyncio.get_running_loop()
    batches = Batches(worker.do, apart=0.2)
    began = loop.time()
    await batches.enter(1)
    assert loop.time() - began < 0.2
    await asyncio.gather(*map(batches.enter, range(2, 12)))
    assert loop.time() - began >= 0.2
    assert list(map(len, worker.batches)) == [1, 10]


def test_another_loop_finds_nothing_of_one_that_ended() -> None:
    worker: list[Worker] = []

    async def leave() -> None:
        worker.append(Worker())
        worker[0].free.clear()
        waiting = [batches.enter(n) for n in (1, 2)]
        await asyncio.sleep(0)
        batches.enter(3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waiting), 0.01)

    async def come() -> None:
        worker[0] = Worker()
        assert await batches.enter(4) == 8
        assert worker[0].batches == [[4]]

    async def do(numbers: list[int]) -> list[int | Exception]:
        return await worker[0].do(numbers)

    batches = Batches(do)
    asyncio.run(leave())
    asyncio.run(come())
