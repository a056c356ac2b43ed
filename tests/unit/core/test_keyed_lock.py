"""Keyed locks and background tasks: order for one task, none for others, and nothing forgotten."""

import asyncio

from kazoo_tasks.core.background import BackgroundTasks
from kazoo_tasks.core.keyed_lock import KeyedLocks
from support.core import turn


async def test_one_key_is_held_by_one_at_a_time() -> None:
    """In the order of asking."""
    locks, seen = KeyedLocks(), []

    async def visit(name: str) -> None:
        async with locks.hold("a"):
            seen.append(f"{name} in")
            await asyncio.sleep(0)
            seen.append(f"{name} out")

    await asyncio.gather(visit("1"), visit("2"))

    assert seen == ["1 in", "1 out", "2 in", "2 out"]


async def test_different_keys_do_not_wait_for_each_other() -> None:
    """Two tasks, two locks."""
    locks = KeyedLocks()
    async with locks.hold("a"), locks.hold("b"):
        pass

    assert not locks._held


async def test_a_turn_that_is_given_up_leaves_nothing_behind() -> None:
    """Neither for the one who holds it nor for those after."""
    locks = KeyedLocks()
    async with locks.hold("a"):
        waiter = asyncio.ensure_future(locks.hold("a").__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
    async with asyncio.timeout(1), locks.hold("a"):
        pass

    assert not locks._held


async def test_an_errand_that_crashes_is_reported() -> None:
    """It has nobody else to tell."""
    crashes: list[BaseException] = []
    background = BackgroundTasks(crashes.append)

    async def crash() -> None:
        raise ZeroDivisionError

    background.start(crash(), "crash")
    assert await background.settle(1)

    assert [type(error) for error in crashes] == [ZeroDivisionError]


async def test_background_that_do_not_end_are_not_waited_for_for_ever() -> None:
    """Nor are they cut off."""
    background, gate = BackgroundTasks(lambda _: None), asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    background.start(wait(), "wait")
    assert not await background.settle(0.01)
    assert len(background) == 1
    gate.set()
    await turn(lambda: not len(background))
