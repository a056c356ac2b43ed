"""Turns and errands: order for one task, none for others, and nothing forgotten."""

import asyncio

from kazoo_tasks.core.errand import Errands
from kazoo_tasks.core.turn import Turns
from support.core import turn


async def test_one_key_is_held_by_one_at_a_time() -> None:
    """In the order of asking."""
    turns, seen = Turns(), []

    async def visit(name: str) -> None:
        async with turns.take("a"):
            seen.append(f"{name} in")
            await asyncio.sleep(0)
            seen.append(f"{name} out")

    await asyncio.gather(visit("1"), visit("2"))

    assert seen == ["1 in", "1 out", "2 in", "2 out"]


async def test_different_keys_do_not_wait_for_each_other() -> None:
    """Two tasks, two turns."""
    turns = Turns()
    async with turns.take("a"), turns.take("b"):
        pass

    assert not turns._held


async def test_a_turn_that_is_given_up_leaves_nothing_behind() -> None:
    """Neither for the one who holds it nor for those after."""
    turns = Turns()
    async with turns.take("a"):
        waiter = asyncio.ensure_future(turns.take("a").__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
    async with asyncio.timeout(1), turns.take("a"):
        pass

    assert not turns._held


async def test_an_errand_that_crashes_is_reported() -> None:
    """It has nobody else to tell."""
    crashes: list[BaseException] = []
    errands = Errands(crashes.append)

    async def crash() -> None:
        raise ZeroDivisionError

    errands.send(crash(), "crash")
    assert await errands.settle(1)

    assert [type(error) for error in crashes] == [ZeroDivisionError]


async def test_errands_that_do_not_end_are_not_waited_for_for_ever() -> None:
    """Nor are they cut off."""
    errands, gate = Errands(lambda _: None), asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    errands.send(wait(), "wait")
    assert not await errands.settle(0.01)
    assert len(errands) == 1
    gate.set()
    await turn(lambda: not len(errands))
