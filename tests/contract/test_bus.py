"""What every implementation of ports.Bus must do, as the listener and the gateway rely on it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

import aiormq
import pytest
from pamqp.commands import Basic

from kazoo_tasks.bus import AmqpBus, MemoryBroker, MemoryBus, RequestQueue
from kazoo_tasks.model.errors import BusUnavailable, Corrupt
from kazoo_tasks.ports import Delivery, Incoming, Outgoing

LIMIT_S = 10
QUEUE = RequestQueue()


@dataclass
class Inbox:
    """What was handed over, to be waited for."""

    messages: asyncio.Queue[Incoming | Delivery] = field(default_factory=asyncio.Queue)

    def put(self, incoming: Incoming) -> None:
        self.messages.put_nowait(incoming)

    async def take(self, delivery: Delivery) -> None:
        self.messages.put_nowait(delivery)

    async def message(self) -> Incoming | Delivery:
        async with asyncio.timeout(LIMIT_S):
            return await self.messages.get()

    async def request(self) -> Delivery:
        got = await self.message()
        assert not isinstance(got, Incoming)
        return got


async def eventually(fact: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(LIMIT_S):
        while not fact():  # noqa: ASYNC110 - a fact has no event to wait for
            await asyncio.sleep(0.01)


class House(Protocol):
    """A broker, the buses at it, and a stranger who sends and looks at dead letters."""

    async def bus(self, name: str) -> AmqpBus | MemoryBus: ...

    def closed_bus(self) -> AmqpBus | MemoryBus: ...

    async def publish(self, message: Outgoing, content_encoding: str) -> None: ...

    async def dead_letter(self) -> tuple[bytes, dict[str, object]]: ...

    async def close(self) -> None: ...


class MemoryHouse:
    """Everything in this process."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(QUEUE)

    async def bus(self, name: str) -> MemoryBus:
        bus = MemoryBus(self.broker, name=name)
        await bus.open()
        return bus

    def closed_bus(self) -> MemoryBus:
        return MemoryBus(self.broker)

    async def publish(self, message: Outgoing, content_encoding: str) -> None:
        self.broker.publish(message, content_encoding)

    async def dead_letter(self) -> tuple[bytes, dict[str, object]]:
        sent = self.broker.dead_letters.popleft().sent
        return sent.body, dict(sent.headers)

    async def close(self) -> None:
        pass


class AmqpHouse:
    """A virtual host of a real broker."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.buses: list[AmqpBus] = []

    async def bus(self, name: str) -> AmqpBus:
        bus = AmqpBus(self.url, QUEUE, name=name)
        await bus.open()
        self.buses.append(bus)
        return bus

    def closed_bus(self) -> AmqpBus:
        return AmqpBus(self.url, QUEUE, name="closed")

    async def publish(self, message: Outgoing, content_encoding: str) -> None:
        async with aiormq.connect(self.url) as stranger:
            channel = await stranger.channel()
            await channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=Basic.Properties(content_encoding=content_encoding),
            )

    async def dead_letter(self) -> tuple[bytes, dict[str, object]]:
        dead: asyncio.Queue[aiormq.abc.DeliveredMessage] = asyncio.Queue()
        async with aiormq.connect(self.url) as stranger:
            channel = await stranger.channel()
            await channel.basic_consume("tasks.dead", dead.put, no_ack=True)
            async with asyncio.timeout(LIMIT_S):
                message = await dead.get()
        return message.body, dict(message.header.properties.headers or {})

    async def close(self) -> None:
        for bus in self.buses:
            await bus.close()


@pytest.fixture(params=["memory", "amqp"])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """Build one of each kind."""
    memory = request.param == "memory"
    built: House = MemoryHouse() if memory else AmqpHouse(request.getfixturevalue("amqp_url"))
    yield built
    await built.close()


async def test_a_request_is_handed_over_as_it_was_sent(house: House) -> None:
    """Body and routing key arrive, and an acked request does not come again."""
    bus, inbox = await house.bus("a"), Inbox()
    await bus.consume_requests(inbox.take)
    await bus.send(Outgoing("tasks", "tasks.read", b"{}"))
    delivery = await inbox.request()
    assert (delivery.body, delivery.routing_key, delivery.content_encoding) == (b"{}", "tasks.read", None)
    await delivery.ack()
    bus.reconnect("to see what comes again")
    other = await house.bus("b")
    await other.send(Outgoing("tasks", "tasks.read", b"next"))
    assert (await inbox.request()).body == b"next"


async def test_a_rejected_request_is_a_dead_letter(house: House) -> None:
    """It keeps its body and its headers."""
    bus, inbox = await house.bus("a"), Inbox()
    await bus.consume_requests(inbox.take)
    await bus.send(Outgoing("tasks", "tasks.add", b"bad", {"Deliver-To-PID": "<0.1.0>"}))
    await (await inbox.request()).reject()
    body, headers = await house.dead_letter()
    assert body == b"bad"
    assert headers["Deliver-To-PID"] == "<0.1.0>"


async def test_a_request_whose_handler_fails_is_a_dead_letter(house: House) -> None:
    """And the next request is handed over."""
    bus, inbox = await house.bus("a"), Inbox()

    async def handle(delivery: Delivery) -> None:
        await inbox.take(delivery)
        raise LookupError

    await bus.consume_requests(handle)
    await bus.send(Outgoing("tasks", "tasks.add", b"1"))
    await inbox.request()
    assert (await house.dead_letter())[0] == b"1"
    await bus.send(Outgoing("tasks", "tasks.add", b"2"))
    assert (await inbox.request()).body == b"2"


async def test_an_unsettled_request_comes_again_after_a_loss(house: House) -> None:
    """Settling it by way of the old connection does nothing, and harms nothing."""
    bus, inbox = await house.bus("a"), Inbox()
    await bus.consume_requests(inbox.take)
    await bus.send(Outgoing("tasks", "tasks.add", b"x"))
    first = await inbox.request()
    bus.reconnect("lost")
    again = await inbox.request()
    await first.ack()
    await first.reject()
    assert (first.redelivered, again.redelivered) == (False, True)
    assert again.body == b"x"
    await again.ack()
    await bus.send(Outgoing("tasks", "tasks.add", b"y"))
    assert (await inbox.request()).body == b"y"


async def test_an_unsettled_request_goes_to_another_after_close(house: House) -> None:
    """Nothing is lost with a bus that is closed."""
    bus, other, inbox = await house.bus("a"), await house.bus("b"), Inbox()
    await bus.consume_requests(inbox.take)
    await bus.send(Outgoing("tasks", "tasks.add", b"x"))
    await inbox.request()
    await bus.close()
    await other.consume_requests(inbox.take)
    assert (await inbox.request()).body == b"x"


async def test_settling_twice_counts_once(house: House) -> None:
    """The second word is not said, so the connection survives it."""
    bus, inbox = await house.bus("a"), Inbox()
    lost: list[bool] = []
    bus.on_disconnect(lambda: lost.append(True))
    await bus.consume_requests(inbox.take)
    await bus.send(Outgoing("tasks", "tasks.add", b"1"))
    delivery = await inbox.request()
    await delivery.ack()
    await delivery.reject()
    await bus.send(Outgoing("tasks", "tasks.add", b"2"))
    await inbox.request()
    assert not lost


async def test_a_reply_goes_to_its_address_only(house: House) -> None:
    """Queues without a routing key are bound by their own name."""
    bus, other, mine, theirs = await house.bus("a"), await house.bus("b"), Inbox(), Inbox()
    here = await bus.subscribe("targeted", None, mine.put)
    there = await other.subscribe("targeted", None, theirs.put)
    assert here.address
    assert there.address
    await other.send(Outgoing("targeted", here.address, b"for a"))
    await other.send(Outgoing("targeted", there.address, b"for b"))
    assert (await mine.message()).body == b"for a"
    assert (await theirs.message()).body == b"for b"


async def test_a_fanout_reaches_everybody(house: House) -> None:
    """The sender included."""
    bus, other, inbox = await house.bus("a"), await house.bus("b"), Inbox()
    await bus.subscribe("nodes", "", inbox.put)
    await other.subscribe("nodes", "", inbox.put)
    await bus.send(Outgoing("nodes", "", b"here"))
    assert [(await inbox.message()).body for _ in range(2)] == [b"here", b"here"]


async def test_events_are_chosen_by_pattern_and_are_no_requests(house: House) -> None:
    """`tasks.event.<account>.#` gets that account's events; the request queue gets none."""
    bus, events, requests = await house.bus("a"), Inbox(), Inbox()
    await bus.consume_requests(requests.take)
    await bus.subscribe("tasks", "tasks.event.acc1.#", events.put)
    for key in ("tasks.event.acc2.t.added", "tasks.event.acc1.t.added", "tasks.read"):
        await bus.send(Outgoing("tasks", key, key.encode()))
    assert (await events.message()).routing_key == "tasks.event.acc1.t.added"
    assert (await requests.request()).routing_key == "tasks.read"


async def test_messages_of_one_sender_keep_their_order(house: House) -> None:
    """Whatever their size."""
    bus, inbox = await house.bus("a"), Inbox()
    await bus.subscribe("tasks", "tasks.event.#", inbox.put)
    bodies = [str(i).encode() * (200_000 if i % 10 == 0 else 1) for i in range(50)]
    for body in bodies:
        await bus.send(Outgoing("tasks", "tasks.event.a.t.progress", body))
    assert [(await inbox.message()).body for _ in bodies] == bodies


async def test_gzip_passes_through(house: House) -> None:
    """The bus says so and leaves the body as it is."""
    bus, requests, events = await house.bus("a"), Inbox(), Inbox()
    await bus.consume_requests(requests.take)
    await bus.subscribe("tasks", "tasks.add", events.put)
    body = gzip.compress(b"{}")
    await house.publish(Outgoing("tasks", "tasks.add", body), "gzip")
    for message in (await requests.request(), await events.message()):
        assert (message.body, message.content_encoding) == (body, "gzip")


async def test_an_address_is_new_after_a_loss(house: House) -> None:
    """It is none while there is no connection, and what is sent to the new one arrives."""
    bus, inbox = await house.bus("a"), Inbox()
    mine = await bus.subscribe("targeted", None, inbox.put)
    tasks = await bus.subscribe("tasks", "tasks.event.#", inbox.put)
    first, second = mine.address, tasks.address
    during: list[str | None] = []
    bus.on_disconnect(lambda: during.append(mine.address))
    assert first
    assert second
    assert first != second
    bus.reconnect("lost")
    await eventually(lambda: bus.connected and mine.address not in (first, None))
    assert during == [None]
    assert mine.address
    await bus.send(Outgoing("targeted", mine.address, b"x"))
    assert (await inbox.message()).body == b"x"


async def test_without_a_connection_nothing_is_sent(house: House) -> None:
    """Neither before it is opened nor after it was closed."""
    bus = house.closed_bus()
    assert not bus.connected
    with pytest.raises(BusUnavailable):
        await bus.send(Outgoing("nodes", "", b""))
    await bus.open()
    await bus.send(Outgoing("nodes", "", b""))
    await bus.close()
    assert not bus.connected
    with pytest.raises(BusUnavailable):
        await bus.send(Outgoing("nodes", "", b""))


async def test_what_cannot_be_sent_is_refused(house: House) -> None:
    """An unknown exchange is our mistake, a long key that of who asked for a reply there."""
    bus = await house.bus("a")
    with pytest.raises(ValueError, match="expected an exchange of tasks, targeted, nodes"):
        await bus.send(Outgoing("elsewhere", "", b""))
    with pytest.raises(ValueError, match="expected an exchange"):
        await bus.subscribe("elsewhere", "#", Inbox().put)
    with pytest.raises(Corrupt, match="at most 255 bytes, got 256"):
        await bus.send(Outgoing("targeted", "ü" * 128, b""))


async def test_after_stop_consuming_requests_are_left_to_others(house: House) -> None:
    """Also after a reconnect; what was handed over before can still be settled."""
    bus, other, stopped, running = await house.bus("a"), await house.bus("b"), Inbox(), Inbox()
    await bus.consume_requests(stopped.take)
    await bus.send(Outgoing("tasks", "tasks.add", b"1"))
    delivery = await stopped.request()
    await bus.stop_consuming()
    await delivery.ack()
    await bus.send(Outgoing("tasks", "tasks.add", b"2"))
    await other.consume_requests(running.take)
    assert (await running.request()).body == b"2"
    mine = await bus.subscribe("nodes", "", Inbox().put)
    before = mine.address
    bus.reconnect("to see whether it consumes again")
    await eventually(lambda: bus.connected and mine.address not in (before, None))
    for body in (b"3", b"4"):
        await other.send(Outgoing("tasks", "tasks.add", body))
        assert (await running.request()).body == body
    assert stopped.messages.empty()


async def test_wishes_before_open_hold(house: House) -> None:
    """Consuming and subscribing may be asked for first."""
    bus, inbox = house.closed_bus(), Inbox()
    await bus.consume_requests(inbox.take)
    mine = await bus.subscribe("tasks", "tasks.event.#", inbox.put)
    assert mine.address is None
    await bus.open()
    await bus.send(Outgoing("tasks", "tasks.read", b"request"))
    assert (await inbox.message()).body == b"request"
    await bus.send(Outgoing("tasks", "tasks.event.a.b.c", b"event"))
    assert (await inbox.message()).body == b"event"
    await bus.close()


async def test_what_was_sent_before_close_arrives(house: House) -> None:
    """Also what stands in line behind a socket that is busy with more than it can take at once."""
    bus, other, inbox = await house.bus("a"), await house.bus("b"), Inbox()
    await other.subscribe("tasks", "tasks.event.#", inbox.put)
    bodies = [b"%d " % i + bytes(100_000) for i in range(100)]
    for body in bodies:
        await bus.send(Outgoing("tasks", "tasks.event.a.b.c", body))
    await bus.close()
    assert [(await inbox.message()).body for _ in bodies] == bodies


async def test_closing_twice_is_safe(house: House) -> None:
    """And closing what never was opened."""
    bus = house.closed_bus()
    await bus.close()
    await bus.open()
    await bus.close()
    await bus.close()
    assert not bus.connected


async def test_a_failing_subscriber_does_not_cost_the_next_message(house: House) -> None:
    """It is logged; there is nothing to settle."""
    bus, inbox = await house.bus("a"), Inbox()

    def handle(incoming: Incoming) -> None:
        inbox.put(incoming)
        raise LookupError

    await bus.subscribe("nodes", "", handle)
    for body in (b"1", b"2"):
        await bus.send(Outgoing("nodes", "", body))
        assert (await inbox.message()).body == body
