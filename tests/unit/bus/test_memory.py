"""What the in-process broker does beyond the contract of every bus."""

from __future__ import annotations

import asyncio

from kazoo_tasks.bus import MemoryBroker, MemoryBus, RequestQueue
from kazoo_tasks.ports import Delivery, Outgoing


async def test_too_many_requests_push_the_oldest_out() -> None:
    """They are dead letters then."""
    bus = MemoryBus(MemoryBroker(RequestQueue(max_length=2)))
    await bus.open()
    for body in (b"1", b"2", b"3"):
        await bus.send(Outgoing("tasks", "tasks.add", body))
    assert [letter.sent.body for letter in bus.broker.dead_letters] == [b"1"]
    assert bus.broker.waiting == 2


async def test_no_more_than_the_prefetch_is_handed_over() -> None:
    """One more for each that is settled."""
    bus = MemoryBus(MemoryBroker(RequestQueue(prefetch=1)))
    await bus.open()
    taken: asyncio.Queue[Delivery] = asyncio.Queue()
    await bus.consume_requests(taken.put)
    for body in (b"1", b"2"):
        await bus.send(Outgoing("tasks", "tasks.add", body))
    first = await taken.get()
    assert (taken.empty(), bus.broker.waiting) == (True, 1)
    await first.ack()
    assert (await taken.get()).body == b"2"


async def test_two_consumers_take_turns() -> None:
    """As on RabbitMQ."""
    broker, taken = MemoryBroker(), asyncio.Queue[str]()
    buses = {name: MemoryBus(broker, name=name) for name in ("a", "b")}
    for name, bus in buses.items():
        await bus.open()

        async def take(_: Delivery, name: str = name) -> None:
            await taken.put(name)

        await bus.consume_requests(take)
    for _ in range(4):
        await buses["a"].send(Outgoing("tasks", "tasks.add", b""))
    assert sorted([await taken.get() for _ in range(4)]) == ["a", "a", "b", "b"]


async def test_a_sender_never_runs_a_receiver() -> None:
    """A subscriber is called after send has returned."""
    bus, seen = MemoryBus(), asyncio.Queue[bytes]()
    await bus.open()
    await bus.subscribe("nodes", "", lambda incoming: seen.put_nowait(incoming.body))
    await bus.send(Outgoing("nodes", "", b"x"))
    assert seen.empty()
    assert await seen.get() == b"x"


async def test_a_bus_that_is_closed_while_it_returns_stays_closed() -> None:
    """Its way back is cancelled."""
    bus = MemoryBus()
    await bus.open()
    bus.reconnect("lost")
    bus.reconnect("again, which changes nothing")
    await bus.close()
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()
    assert not bus.connected
