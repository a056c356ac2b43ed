"""What a real broker does to the AMQP bus, and that it gets over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import aiormq
import pika
import pytest
from structlog.testing import capture_logs

from kazoo_tasks.bus import AmqpBus, RequestQueue
from kazoo_tasks.bus.caller import BusCaller
from kazoo_tasks.bus.link import ROOM_S
from kazoo_tasks.listener.watchdog import Watch, Watchdog
from kazoo_tasks.model.errors import BusUnavailable, CannotStart
from kazoo_tasks.ports import Delivery, Incoming, Outgoing, Subscription
from kazoo_tasks.wire.reply import Replies
from rabbitmq import PrivateNode
from support.broker import short_of
from support.post import SENDER

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


async def test_large_requests_in_hand_have_a_budget(amqp_url: str) -> None:
    """What does not fit waits at the broker; a small one passes by, and one that is larger than all fits alone."""
    bus, taken = AmqpBus(amqp_url, QUEUE, name="bus"), asyncio.Queue[Delivery]()
    await bus.open()
    assert bus._link
    bus._link._consumer._budget_bytes = 250_000
    await bus.consume_requests(taken.put)
    sizes = [100_000, 100_000, 100_000, 300_000, 100_000, 10]
    for size in sizes:
        await bus.send(Outgoing("tasks", "tasks.add", bytes(size)))
    async with asyncio.timeout(LIMIT_S):
        in_hand = [await taken.get() for _ in range(3)]
        assert sorted(len(delivery.body) for delivery in in_hand) == [10, 100_000, 100_000]
        assert taken.empty()
        seen = 0
        while in_hand:
            delivery = in_hand.pop(0)
            seen += 1
            await delivery.ack()
            if seen + len(in_hand) < len(sizes) and not in_hand:
                in_hand.append(await taken.get())
            large = sum(len(one.body) for one in in_hand if len(one.body) > 10)
            assert large <= 250_000 or len(in_hand) == 1
            while not taken.empty():
                in_hand.append(taken.get_nowait())
    assert seen == len(sizes)
    await bus.close()


async def test_what_was_given_back_and_never_comes_holds_up_nobody(amqp_url: str) -> None:
    """It became too old, or somebody deleted it: what was withheld behind it is asked for all the same."""
    bus, taken = AmqpBus(amqp_url, QUEUE, name="bus"), asyncio.Queue[Delivery]()
    await bus.open()
    assert bus._link
    consumer = bus._link._consumer
    consumer._budget_bytes = 150_000
    await bus.consume_requests(taken.put)
    for _ in range(3):
        await bus.send(Outgoing("tasks", "tasks.add", bytes(100_000)))
    async with asyncio.timeout(LIMIT_S):
        first = await taken.get()
        await eventually(lambda: len(consumer._withheld) == 2)
        # The next in line goes to the dead letters as if it had become too old.
        consumer.reject(consumer._withheld.popleft()[0], requeue=False)
        consumer._large_bytes = 0  # as if its end had been told before anything was withheld
        assert (await taken.get()).redelivered
    await first.ack()
    await bus.close()


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


@pytest.fixture(scope="module")
def short_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A node that runs short of something in one test after the other; each leaves it with enough."""
    with PrivateNode(tmp_path_factory.mktemp("short")) as node:
        yield node


async def blocked(bus: AmqpBus) -> str | None:
    """Send something, since only who sends is told, and wait until the broker says that it takes no more."""
    await bus.send(Outgoing("nodes", "", b""))
    await eventually(lambda: bus.blocked is not None)
    return bus.blocked


@pytest.mark.parametrize("resource", ["memory", "disk"])
async def test_a_broker_that_runs_short_says_of_what(short_broker: PrivateNode, resource: str) -> None:
    """It is logged when it begins and when it ends; what was sent meanwhile waits, and goes out over the same link."""
    echo = Echo(short_broker.url)
    await echo.open()
    with capture_logs() as logs:
        async with short_of(short_broker, resource):
            assert await blocked(echo.bus) == f"low on {resource}"
            await echo.bus.send(Outgoing("tasks", "tasks.read", b"waits"))
        async with asyncio.timeout(LIMIT_S):
            assert await echo.replies.get() == b"waits"
    assert echo.bus.blocked is None
    assert echo.losses == 0
    assert [entry["event"] for entry in logs] == ["bus.blocked", "bus.unblocked"]
    assert logs[0]["reason"] == f"low on {resource}"
    await echo.bus.close()


async def test_a_connection_is_not_made_anew_while_it_would_be_blocked(short_broker: PrivateNode) -> None:
    """But once when that ends, however often it was asked for; then comes again what could not be answered."""
    bus, taken = AmqpBus(short_broker.url, QUEUE, name="bus"), asyncio.Queue[Delivery]()
    losses: list[str | None] = []
    await bus.open()
    bus.on_disconnect(lambda: losses.append(bus.blocked))
    await bus.consume_requests(taken.put)
    await bus.send(Outgoing("tasks", "tasks.read", b"x"))
    async with asyncio.timeout(LIMIT_S):
        assert (await taken.get()).body == b"x"
    async with short_of(short_broker, "memory"):
        await blocked(bus)
        for _ in range(3):
            bus.reconnect("a reply could not be sent")
        with pytest.raises(TimeoutError):
            await eventually(lambda: bool(losses), within_s=0.3)
    async with asyncio.timeout(LIMIT_S):
        again = await taken.get()
    assert again.body == b"x"
    assert losses == [None]
    await again.ack()
    await bus.close()


async def test_no_room_is_waited_for_while_the_broker_blocks(short_broker: PrivateNode) -> None:
    """None can come. What did fit goes out when it takes messages again."""
    echo = Echo(short_broker.url)
    await echo.open()
    async with short_of(short_broker, "memory"):
        await blocked(echo.bus)
        async with asyncio.timeout(ROOM_S):
            with pytest.raises(BusUnavailable, match="the broker blocks publishers: low on memory"):
                await send_without_end(echo.bus, Outgoing("nodes", "", bytes(64 * 1024)))
    assert await echo.round_trip(b"next") == b"next"
    assert echo.losses == 0
    await echo.bus.close()


async def test_a_new_connection_is_not_blocked_until_the_broker_says_so(short_broker: PrivateNode) -> None:
    """Though the broker is as short as before."""
    echo = Echo(short_broker.url)
    await echo.open()
    async with short_of(short_broker, "memory"):
        await blocked(echo.bus)
        await asyncio.to_thread(short_broker.ctl, "close_all_connections", "maintenance")
        await eventually(lambda: echo.bus.connected and echo.losses > 0)
        assert echo.bus.blocked is None
        await blocked(echo.bus)
    await echo.is_back()
    await echo.bus.close()


async def test_nothing_is_asked_while_the_broker_blocks(short_broker: PrivateNode) -> None:
    """The caller is told at once, and the request is not carried out later."""
    echo = Echo(short_broker.url)
    await echo.open()
    caller = BusCaller(echo.bus, SENDER)
    await caller.open()
    async with short_of(short_broker, "memory"):
        await blocked(echo.bus)
        with pytest.raises(BusUnavailable, match="the broker blocks publishers: low on memory"):
            await caller.call("list_req", {})
    assert await echo.round_trip(b"next") == b"next"
    assert echo.requests.get_nowait() == b"next"
    await echo.bus.close()


async def test_the_watchdog_waits_while_the_broker_blocks(short_broker: PrivateNode) -> None:
    """No strike and no new connection in many times the patience that ends the process otherwise."""
    echo = Echo(short_broker.url)
    await echo.open()
    watch = Watch(interval_s=0.1, patience_s=1.0, strikes=2)
    watchdog = Watchdog(echo.bus, Replies(SENDER), echo.requests.qsize, watch)
    async with short_of(short_broker, "memory"):
        await blocked(echo.bus)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watchdog.run(), 2 * watch.strikes * watch.patience_s)
        assert echo.bus.blocked == "low on memory"
    assert (watchdog.strikes, echo.losses) == (0, 0)
    await echo.bus.close()
