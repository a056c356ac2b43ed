"""What is written goes out in order, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiormq.abc import ChannelFrame

from kazoo_tasks.bus.outlet import MAX_WAITING_BYTES, Outlet
from kazoo_tasks.model.errors import BusUnavailable

FULL = bytes(MAX_WAITING_BYTES)


@pytest.fixture
def frames() -> asyncio.Queue[ChannelFrame]:
    """Stand for aiormq's write queue; whoever drains a frame is the socket."""
    return asyncio.Queue()


@pytest.fixture
async def outlet(frames: asyncio.Queue[ChannelFrame]) -> AsyncIterator[Outlet]:
    """Have one that carries."""
    built = Outlet(frames, patience_s=0.05)
    carrier = asyncio.create_task(built.run())
    yield built
    carrier.cancel()


async def test_what_comes_up_meanwhile_is_one_batch(
    outlet: Outlet, frames: asyncio.Queue[ChannelFrame]
) -> None:
    """A slow socket gets fewer, larger writes, in the order in which they were asked for."""
    outlet.write(b"1")
    first = await frames.get()
    outlet.write(b"2")
    await outlet.send(b"3")
    first.drain()
    assert (first.payload, (await frames.get()).payload) == (b"1", b"23")


async def test_a_full_outlet_refuses_and_forgets(outlet: Outlet, frames: asyncio.Queue[ChannelFrame]) -> None:
    """What was refused is not sent later; acks are never refused."""
    outlet.write(b"1")
    first = await frames.get()
    outlet.write(FULL)
    with pytest.raises(BusUnavailable, match="takes no messages now"):
        await outlet.send(b"refused")
    outlet.write(b"ack")
    first.drain()
    assert (await frames.get()).payload == FULL + b"ack"


async def test_a_waiting_sender_goes_on_in_its_turn(
    outlet: Outlet, frames: asyncio.Queue[ChannelFrame]
) -> None:
    """Room does not let a later one pass."""
    outlet.write(b"1")
    first = await frames.get()
    outlet.write(FULL)
    waiting = asyncio.create_task(outlet.send(b"2"))
    await asyncio.wait([waiting], timeout=0)
    outlet.write(b"3")
    first.drain()
    await waiting
    assert (await frames.get()).payload == FULL + b"23"


async def test_flush_waits_for_the_socket(outlet: Outlet, frames: asyncio.Queue[ChannelFrame]) -> None:
    """Not only for the queue before it."""
    outlet.write(b"1")
    flushed = asyncio.create_task(outlet.flush())
    first = await frames.get()
    assert not flushed.done()
    first.drain()
    await flushed
