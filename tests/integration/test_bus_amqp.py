"""What a real broker does to the AMQP bus, and that it gets over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiormq
import pika
import pytest
from structlog.testing import capture_logs

from kazoo_tasks.bus import AmqpBus, RequestQueue
from kazoo_tasks.model.errors import BusUnavailable, CannotStart
from kazoo_tasks.ports import Delivery, Incoming, Outgoing, Subscription
from rabbitmq import PrivateNode

LIMIT_S = 15
QUEUE = RequestQueue()


class Echo:
    """A bus that answers its own requests: whole if one comes back."""

    def __init__(self, url: str) -> None:
        self.bus = AmqpBus(url, QUEUE, name="echo", connect_timeout_s=2)
        self.requests: asyncio.Queue[bytes] = asyncio.Queue()
        self.replies: asyncio.Queue[bytes] = asyncio.Queue()
        self.losses = 0
        self.inbox: Subscription

    async def open(self) -> None:
        await self.bus.open()
        self.bus.on_disconnect(self._lost)
        self.inbox = await self.bus.subscribe("targeted", None, self._replied)
        await self.bus.consume_requests(self._answer)

    async def round_trip(self, body: bytes) -> bytes:
        """Send a request, and give the reply that its handler sent."""
        await self.bus.send(Outgoing("tasks", "tasks.read", body))
        async with asyncio.timeout(LIMIT_S):
            return await self.replies.get()

    async def is_back(self) -> None:
        await eventually(lambda: self.bus.connected and self.losses > 0)
        assert await self.round_trip(b"back") == b"back"

    def _lost(self) -> None:
        self.losses += 1

    def _replied(self, incoming: Incoming) -> None:
        self.replies.put_nowait(incoming.body)

    async def _answer(self, delivery: Delivery) -> None:
        self.requests.put_nowait(delivery.body)
        await self.bus.send(Outgoing("targeted", self.inbox.address or "", delivery.body))
        await delivery.ack()


async def eventually(fact: Callable[[], bool], within_s: float = LIMIT_S) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not fact():  # noqa: ASYNC110 - a fact has no event to wait for
            await asyncio.sleep(0.01)


@pytest.fixture
async def echo(amqp_url: str) -> AsyncIterator[Echo]:
    """Open one, with a virtual host of its own."""
    built = Echo(amqp_url)
    await built.open()
    yield built
    await built.bus.close()


@pytest.fixture
async def stranger(amqp_url: str) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """Open a channel of somebody else's in that virtual host."""
    async with aiormq.connect(amqp_url) as connection:
        yield await connection.channel()


async def send_without_end(bus: AmqpBus, message: Outgoing) -> None:
    """Fill every buffer on the way."""
    while True:
        await bus.send(message)


async def refused(url: str, queue: RequestQueue = QUEUE) -> str:
    """Say why a bus cannot be opened there."""
    with pytest.raises(CannotStart) as refusal:
        await AmqpBus(url, queue, name="refused", connect_timeout_s=1).open()
    return str(refusal.value)


async def test_an_unreachable_broker_is_named_with_the_reason() -> None:
    """In one sentence, without the password."""
    said = await refused("amqp://user:secret@127.0.0.1:1/")
    assert said == "cannot reach the broker at amqp://127.0.0.1:1/: connection refused"


async def test_a_wrong_password_is_said(amqp_url: str) -> None:
    """And not repeated."""
    said = await refused(amqp_url.replace("guest:guest", "guest:secret"))
    assert said.endswith(": it refuses the user or the password")
    assert "secret" not in said


async def test_a_missing_virtual_host_is_said(amqp_url: str) -> None:
    """It is in the URL that is shown."""
    said = await refused(f"{amqp_url}-not")
    assert said.endswith(
        "-not: it refuses the virtual host: there is none of that name, or not for this user"
    )


async def test_a_broker_that_says_nothing_is_given_up() -> None:
    """Within the time that was set."""
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    assert (await refused(f"amqp://127.0.0.1:{port}/")).endswith(": no answer within 1 s")
    writers[0].close()
    await writers[0].wait_closed()
    silent.close()


async def test_a_peer_that_hangs_up_is_no_broker() -> None:
    """Whatever it is."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert (await refused(f"amqp://127.0.0.1:{port}/")).startswith("cannot reach the broker at amqp://127.0")
    server.close()


async def test_a_request_queue_with_other_arguments_is_named(
    amqp_url: str, stranger: aiormq.abc.AbstractChannel
) -> None:
    """The sentence says what to do."""
    await stranger.queue_declare(QUEUE.name, durable=True)
    said = await refused(amqp_url)
    assert f"the queue {QUEUE.name} exists with other arguments: delete it" in said


async def test_exchanges_of_other_flags_are_used_as_they_are(
    amqp_url: str, stranger: aiormq.abc.AbstractChannel
) -> None:
    """It is said once for each, not again after a loss."""
    for name, kind in (("tasks", "topic"), ("targeted", "direct")):
        await stranger.exchange_declare(name, exchange_type=kind, durable=True)
    echo = Echo(amqp_url)
    with capture_logs() as logs:
        await echo.open()
        assert await echo.round_trip(b"x") == b"x"
        echo.bus.reconnect("to see what is said again")
        await echo.is_back()
    await echo.bus.close()
    differing = [entry["exchange"] for entry in logs if entry["event"] == "bus.exchange_differs"]
    assert sorted(differing) == ["targeted", "tasks"]


@pytest.mark.parametrize("micros", [0, 63963000000000000, 2**64 - 1])
async def test_a_strangers_timestamp_is_harmless(amqp_url: str, echo: Echo, micros: int) -> None:
    """It is answered, and so is the next message, over the same connection."""
    await asyncio.to_thread(_publish_with_pika, amqp_url, micros)
    async with asyncio.timeout(LIMIT_S):
        assert await echo.replies.get() == b"stamped"
    assert await echo.round_trip(b"next") == b"next"
    assert echo.losses == 0


def _publish_with_pika(url: str, micros: int) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    properties = pika.BasicProperties(timestamp=micros)
    connection.channel().basic_publish("tasks", "tasks.read", b"stamped", properties)
    connection.close()


async def test_the_request_queue_may_be_deleted_under_us(
    echo: Echo, stranger: aiormq.abc.AbstractChannel
) -> None:
    """It is there again, and consumed."""
    await stranger.queue_delete(QUEUE.name)
    await echo.is_back()


async def test_an_exchange_may_be_deleted_under_us(echo: Echo, stranger: aiormq.abc.AbstractChannel) -> None:
    """The first message that finds none has the connection made anew."""
    await stranger.exchange_delete("tasks")
    await echo.bus.send(Outgoing("tasks", "tasks.read", b"into the void"))
    await echo.is_back()


async def test_a_channel_that_the_broker_closes_costs_the_connection_only(echo: Echo) -> None:
    """Here for an ack of what never was delivered."""
    assert echo.bus._link
    await echo.bus._link._consumer._channel.basic_ack(4711)
    await echo.is_back()


async def test_what_is_prefetched_and_unseen_goes_back(amqp_url: str, echo: Echo) -> None:
    """Every request that is sent around a stop is answered by somebody, once."""
    other = AmqpBus(amqp_url, QUEUE, name="other")
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(delivery: Delivery) -> None:
        await delivery.ack()
        seen.put_nowait(delivery.body)

    await other.open()
    for i in range(1000):
        await other.send(Outgoing("tasks", "tasks.read", b"%d" % i))
    await asyncio.gather(echo.bus.stop_consuming(), other.consume_requests(take))
    await eventually(lambda: seen.qsize() + echo.requests.qsize() >= 1000)
    queues = (seen, echo.requests)
    assert sorted(q.get_nowait() for q in queues for _ in range(q.qsize())) == sorted(
        b"%d" % i for i in range(1000)
    )
    await other.close()


async def test_a_broker_that_is_killed_and_comes_back(private_broker: PrivateNode) -> None:
    """Requests and replies flow again within 5 s of its return; meanwhile nothing can be sent."""
    echo = Echo(private_broker.url)
    await echo.open()
    with capture_logs() as logs:
        await asyncio.to_thread(private_broker.kill)
        await eventually(lambda: echo.losses == 1)
        assert echo.inbox.address is None
        with pytest.raises(BusUnavailable):
            await echo.bus.send(Outgoing("nodes", "", b""))
        await asyncio.to_thread(private_broker.start)
        returned = time.monotonic()
        await echo.is_back()
    assert time.monotonic() - returned < 5
    assert [entry["event"] for entry in logs] == ["bus.lost", "bus.unreachable", "bus.connected"]
    await echo.bus.close()


async def test_connections_closed_by_the_operator(private_broker: PrivateNode) -> None:
    """As `rabbitmqctl close_all_connections` does."""
    echo = Echo(private_broker.url)
    await echo.open()
    await asyncio.to_thread(private_broker.ctl, "close_all_connections", "maintenance")
    await echo.is_back()
    await echo.bus.close()


async def test_a_frozen_broker_holds_nobody_up(private_broker: PrivateNode) -> None:
    """Sending is refused in the end, and so is closing not waited for."""
    echo = Echo(private_broker.url)
    await echo.open()
    private_broker.pause()
    message = Outgoing("nodes", "", bytes(1024 * 1024))
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(BusUnavailable, match="takes no messages now"):
            await send_without_end(echo.bus, message)
    async with asyncio.timeout(LIMIT_S):
        await echo.bus.close()
    private_broker.resume()
