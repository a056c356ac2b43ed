"""The bus without a broker: the same behaviour inside one process.

Touches nothing but the event loop; made by assembly for `--bus memory://`, and by tests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from kazoo_tasks.bus.routing import check_key, routes
from kazoo_tasks.bus.subscription import unique
from kazoo_tasks.bus.topology import (
    DEAD_LETTER_MAX_LENGTH,
    REQUEST_EXCHANGE,
    REQUEST_KEYS,
    RequestQueue,
    check_exchange,
)
from kazoo_tasks.model.errors import BusUnavailable
from kazoo_tasks.ports import Delivery, Incoming, Outgoing, Subscription

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker carries: a message as it was sent, how it is encoded, and whether it was handed over before."""

    sent: Outgoing
    content_encoding: str | None = None
    redelivered: bool = False


class MemoryBroker:
    """What RabbitMQ does for us, for the buses that share it; messages do not expire here.

    Attributes:
        dead_letters: What was rejected or pushed out, oldest first, no more than the last thousand.
    """

    def __init__(self, request_queue: RequestQueue | None = None) -> None:
        """Have the request queue there and empty."""
        self.dead_letters: deque[Message] = deque(maxlen=DEAD_LETTER_MAX_LENGTH)
        self._queue = request_queue or RequestQueue()
        self._ready: deque[Message] = deque()
        self._consumers: deque[MemoryConsumer] = deque()
        self._subscriptions: list[MemorySubscription] = []

    @property
    def waiting(self) -> int:
        """How many requests nobody has taken."""
        return len(self._ready)

    def publish(self, sent: Outgoing, content_encoding: str | None = None) -> None:
        """Give a message to every queue that is bound for it."""
        message, exchange, key = Message(sent, content_encoding), sent.exchange, sent.routing_key
        if exchange == REQUEST_EXCHANGE and any(routes(exchange, keys, key) for keys in REQUEST_KEYS):
            self._ready.append(message)
            self._schedule()
            self._push_out()
        for subscription in self._subscriptions:
            if routes(exchange, subscription.binding, key):
                asyncio.get_running_loop().call_soon(subscription.take, subscription.address, message)

    def bind(self, subscription: MemorySubscription) -> None:
        """Have messages given to it from now on."""
        self._subscriptions.append(subscription)

    def unbind(self, subscription: MemorySubscription) -> None:
        """Give it no more messages."""
        self._subscriptions.remove(subscription)

    def attach(self, consumer: MemoryConsumer) -> None:
        """Have it take its turn at the requests."""
        self._consumers.append(consumer)
        self._schedule()

    def detach(self, consumer: MemoryConsumer) -> None:
        """Give it no more requests."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def requeue(self, messages: list[Message]) -> None:
        """Put back to the front what was taken and not settled."""
        self._ready.extendleft(replace(message, redelivered=True) for message in reversed(messages))
        self._push_out()
        self._schedule()

    def settled(self) -> None:
        """Somebody has room for one more."""
        self._schedule()

    def _push_out(self) -> None:
        while len(self._ready) > self._queue.max_length:
            self.dead_letters.append(self._ready.popleft())

    def _schedule(self) -> None:
        # Never from here: a sender would run the receiver's code, and that one's replies the sender's again.
        asyncio.get_running_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        while self._ready and (consumer := self._next_consumer()):
            consumer.take(self._ready.popleft())

    def _next_consumer(self) -> MemoryConsumer | None:
        for _ in self._consumers:
            self._consumers.rotate(-1)
            if len(self._consumers[-1].unsettled) < self._queue.prefetch:
                return self._consumers[-1]
        return None


class MemoryConsumer:
    """One bus's share of the requests: what it took is unsettled until it is acked, rejected or put back."""

    def __init__(self, broker: MemoryBroker, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Take requests of this broker for `handle`."""
        self.unsettled: dict[MemoryDelivery, Message] = {}
        self._broker = broker
        self._handle = handle
        self._runs: set[asyncio.Task[None]] = set()

    def take(self, message: Message) -> None:
        """Hand a request over, in a task of its own."""
        delivery = MemoryDelivery(self, message)
        self.unsettled[delivery] = message
        run = asyncio.get_running_loop().create_task(self._run(delivery))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    def settle(self, delivery: MemoryDelivery, *, rejected: bool) -> None:
        """End a delivery, if it was not ended before and its connection is still there."""
        message = self.unsettled.pop(delivery, None)
        if message is None:
            return
        if rejected:
            self._broker.dead_letters.append(message)
        self._broker.settled()

    def drop(self) -> None:
        """End with the connection: what was not settled comes again."""
        self._broker.detach(self)
        for run in self._runs:
            run.cancel()
        messages = list(self.unsettled.values())
        self.unsettled.clear()
        self._broker.requeue(messages)

    async def _run(self, delivery: MemoryDelivery) -> None:
        try:
            await self._handle(delivery)
        except Exception:
            # As on RabbitMQ: one bad message may not cost the others.
            log.exception("bus.handler_failed", routing_key=delivery.routing_key)
            await delivery.reject()


class MemoryDelivery:
    """A request that was handed over."""

    __slots__ = ("_consumer", "body", "content_encoding", "redelivered", "routing_key")

    def __init__(self, consumer: MemoryConsumer, message: Message) -> None:
        """Belong to this consumer."""
        self.body = message.sent.body
        self.routing_key = message.sent.routing_key
        self.content_encoding = message.content_encoding
        self.redelivered = message.redelivered
        self._consumer = consumer

    async def ack(self) -> None:
        """Done with it."""
        self._consumer.settle(self, rejected=False)

    async def reject(self) -> None:
        """Send it to the dead letters."""
        self._consumer.settle(self, rejected=True)


@dataclass(slots=True, eq=False)
class MemorySubscription:
    """A private queue; its address is of the connection that there is now, or `None`."""

    name: str
    exchange: str
    routing_key: str | None
    handle: Callable[[Incoming], None]
    address: str | None = field(default=None)

    @property
    def binding(self) -> str:
        """The key that it is bound by."""
        return self.routing_key if self.routing_key is not None else self.address or ""

    def take(self, address: str | None, message: Message) -> None:
        """Hand a message over that was sent to this address, unless the address is gone meanwhile."""
        if address != self.address:
            return
        try:
            self.handle(Incoming(message.sent.body, message.sent.routing_key, message.content_encoding))
        except Exception:
            # As on RabbitMQ: the next message may do better.
            log.exception("bus.handler_failed", routing_key=message.sent.routing_key)


class MemoryBus:
    """One connection to a `MemoryBroker`, of its own if none is given.

    Attributes:
        blocked: See `ports.Bus`; nothing runs short in here, so only who tries what happens then sets it.
    """

    def __init__(self, broker: MemoryBroker | None = None, *, name: str = "memory") -> None:
        """Take the broker, and the name that private queues start with."""
        self.broker = broker or MemoryBroker()
        self._name = name
        self.blocked: str | None = None
        self._connected = False
        self._handle: Callable[[Delivery], Awaitable[None]] | None = None
        self._consumer: MemoryConsumer | None = None
        self._subscriptions: list[MemorySubscription] = []
        self._disconnect_calls: list[Callable[[], None]] = []
        self._return: asyncio.Handle | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connected

    async def open(self, wait_s: float = 0) -> None:  # noqa: ARG002 - the port's; there is nothing to wait for
        """Connect; never fails."""
        self._connect()

    async def consume_requests(self, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Have every request handed to `handle`; it is cancelled when the connection is lost."""
        self._handle = handle
        if self._connected:
            self._consume(handle)

    async def stop_consuming(self) -> None:
        """Take no more requests."""
        self._handle = None
        if self._consumer is not None:
            self.broker.detach(self._consumer)

    async def subscribe(
        self, exchange: str, routing_key: str | None, handle: Callable[[Incoming], None]
    ) -> Subscription:
        """Have messages handed to `handle`."""
        check_exchange(exchange)
        subscription = MemorySubscription(self._name, exchange, routing_key, handle)
        self._subscriptions.append(subscription)
        if self._connected:
            self._put_up(subscription)
        return subscription

    def on_disconnect(self, call: Callable[[], None]) -> None:
        """Call back whenever the connection is lost; not when it is closed."""
        self._disconnect_calls.append(call)

    async def send(self, *messages: Outgoing) -> None:
        """Hand messages to the broker.

        Raises:
            BusUnavailable: There is no connection.
            Corrupt: A routing key is too long.
        """
        for message in messages:
            check_exchange(message.exchange)
            check_key(message.routing_key)
        if not self._connected:
            raise BusUnavailable("there is no connection to the broker")
        for message in messages:
            self.broker.publish(message)

    def reconnect(self, why: str) -> None:
        """Lose the connection, and have a new one a moment later."""
        if not self._connected:
            return
        log.warning("bus.lost", reason=why)
        self._disconnect()
        self._return = asyncio.get_running_loop().call_soon(self._connect)
        for call in self._disconnect_calls:
            call()

    async def close(self) -> None:
        """Disconnect; what was sent is where it belongs already."""
        if self._return is not None:
            self._return.cancel()
        if self._connected:
            self._disconnect()

    def _connect(self) -> None:
        self._connected = True
        for subscription in self._subscriptions:
            self._put_up(subscription)
        if self._handle is not None:
            self._consume(self._handle)

    def _disconnect(self) -> None:
        self._connected = False
        for subscription in self._subscriptions:
            self.broker.unbind(subscription)
            subscription.address = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.drop()

    def _consume(self, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        self._consumer = MemoryConsumer(self.broker, handle)
        self.broker.attach(self._consumer)

    def _put_up(self, subscription: MemorySubscription) -> None:
        subscription.address = unique(subscription.name)
        self.broker.bind(subscription)
