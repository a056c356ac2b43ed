"""How waiting for the broker ends."""

from __future__ import annotations

import asyncio

import pytest

from kazoo_tasks.bus.refusal import answered
from kazoo_tasks.model.errors import BusUnavailable


async def test_a_cancellation_that_is_not_ours_is_a_loss() -> None:
    """As aiormq raises it out of calls on a connection that breaks."""
    with pytest.raises(BusUnavailable, match="the connection broke"):
        async with answered(1):
            raise asyncio.CancelledError


async def test_a_cancellation_of_ours_stays_one() -> None:
    """Or a stop would hang."""

    async def wait() -> None:
        async with answered(10):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.wait([waiting], timeout=0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_waiting_ends_in_time() -> None:
    """And says how long it was."""
    with pytest.raises(BusUnavailable, match=r"no answer within 0\.01 s"):
        async with answered(0.01):
            await asyncio.Event().wait()


async def test_end_of_file_is_a_refusal() -> None:
    """It comes as an exception that contextlib treats in its own way."""
    with pytest.raises(BusUnavailable):
        async with answered(1):
            raise StopAsyncIteration
