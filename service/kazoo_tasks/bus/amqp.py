"""The bus on RabbitMQ: says what is wanted, and has it there again after each loss.

Touches only the broker, through Link; made by assembly, used by the listener, the gateway and the CLI.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

import structlog
from yarl import URL

from kazoo_tasks.bus import quirks
from kazoo_tasks.bus.link import Address, Link
from kazoo_tasks.bus.routing import check_key
from kazoo_tasks.bus.subscription import AmqpSubscription
from kazoo_tasks.bus.topology import RequestQueue, check_exchange
from kazoo_tasks.model.errors import BusRefused, BusUnavailable, CannotStart
from kazoo_tasks.ports import Delivery, Incoming, Outgoing, Subscription

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 1.0
#: How often it is said that the broker is still waited for.
SAY_EVERY_S: Final = 10.0


class AmqpBus:
    """What was asked of it holds on every connection: it is written down first and put up second.

    aio-pika's robust connection repairs what it once declared; this one has no memory of a connection, only of what
    is wanted, and puts that up from nothing each time. So it is built on aio-pika's underlay connection.
    """

    def __init__(
        self,
        url: str,
        request_queue: RequestQueue,
        *,
        name: str,
        heartbeat_s: int = 5,
        connect_timeout_s: float = 5,
    ) -> None:
        """Take where the broker is, and the name by which it shows this connection and its private queues.

        Raises:
            CannotStart: The URL is none.
        """
        self._address = Address(_parse(url).update_query(heartbeat=heartbeat_s, name=name), connect_timeout_s)
        self._request_queue = request_queue
        self._name = name
        self._link: Link | None = None
        self._supervision: asyncio.Task[None] | None = None
        # Held while a connection is put up, and while what is wanted changes: neither may miss the other.
        self._changing = asyncio.Lock()
        self._handle: Callable[[Delivery], Awaitable[None]] | None = None
        self._subscriptions: list[AmqpSubscription] = []
        self._disconnect_calls: list[Callable[[], None]] = []
        self._said: set[str] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._link is not None and not self._link.lost.done()

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages, in its own words, while it takes none."""
        return self._link.blocked if self._link is not None else None

    async def open(self, wait_s: float = 0) -> None:
        """Connect for the first time; a broker that is not there yet is waited for so many seconds.

        Raises:
            CannotStart: The broker cannot be reached until then, or it refuses.
        """
        quirks.install()
        await self._await_broker(wait_s)
        log.info("bus.connected", broker=self._address.shown)
        self._supervision = asyncio.create_task(self._supervise(), name="bus supervision")

    async def _await_broker(self, wait_s: float) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        due = began
        for pause_s in pauses():
            try:
                async with self._changing:
                    await self._take_up(await self._connect())
            except BusUnavailable as error:
                left_s = began + wait_s - now()
                if left_s <= 0 or isinstance(error, BusRefused):
                    within = f" within {wait_s:g} s" if left_s <= 0 < wait_s else ""
                    message = f"cannot reach the broker at {self._address.shown}{within}: {error}"
                    raise CannotStart(message) from error
                if now() >= due:
                    due += SAY_EVERY_S
                    broker = self._address.shown
                    log.warning("bus.waiting", broker=broker, reason=str(error), for_s=round(left_s))
                await asyncio.sleep(min(pause_s, left_s))
            else:
                return

    async def consume_requests(self, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Have every request handed to `handle`.

        It runs in a task that is cancelled when the connection is lost: it must only hand over.
        """
        async with self._changing:
            self._handle = handle
            if self._link is not None:
                await self._put_up(self._link, self._link.consume(self._request_queue, handle))

    async def stop_consuming(self) -> None:
        """Take no more requests; those that were not handed over go back to the queue."""
        async with self._changing:
            self._handle = None
            if self._link is not None:
                await self._put_up(self._link, self._link.stop_consuming())

    async def subscribe(
        self, exchange: str, routing_key: str | None, handle: Callable[[Incoming], None]
    ) -> Subscription:
        """Have messages handed to `handle`."""
        check_exchange(exchange)
        subscription = AmqpSubscription(self._name, exchange, routing_key, handle)
        async with self._changing:
            self._subscriptions.append(subscription)
            if self._link is not None:
                await self._put_up(self._link, subscription.put_up(self._link))
        return subscription

    def on_disconnect(self, call: Callable[[], None]) -> None:
        """Call back whenever the connection is lost; not when it is closed."""
        self._disconnect_calls.append(call)

    async def send(self, *messages: Outgoing) -> None:
        """Hand messages to the broker.

        Raises:
            BusUnavailable: None was sent: there is no connection, or the broker takes nothing now.
            Corrupt: A routing key is too long.
        """
        for message in messages:
            check_exchange(message.exchange)
            check_key(message.routing_key)
        if self._link is None:
            raise BusUnavailable("there is no connection to the broker")
        await self._link.send(messages)

    def reconnect(self, why: str) -> None:
        """Give the connection up for a new one; while the broker blocks us, when it no longer does."""
        if self._link is not None:
            self._link.replace(why)

    async def close(self) -> None:
        """Let what was sent go out, then disconnect; within a few seconds, whatever the broker does."""
        supervision, self._supervision = self._supervision, None
        if supervision is not None:
            supervision.cancel()
            await asyncio.wait([supervision])
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _supervise(self) -> None:
        while self._link is not None:
            # Not awaited itself: a stop would cancel the future and not only the wait for it.
            await asyncio.wait([self._link.lost])
            link, self._link = self._link, None
            try:
                self._disconnected(link.lost.result())
                await link.abandon()
            except Exception:
                # Whatever it was, it was about a connection that is gone: the next one has to come.
                log.exception("bus.farewell_failed")
            await self._return()

    def _disconnected(self, why: str) -> None:
        log.warning("bus.lost", broker=self._address.shown, reason=why)
        for subscription in self._subscriptions:
            subscription.address = None
        for call in self._disconnect_calls:
            try:
                call()
            except Exception:
                # The others have to be told as well, and the connection has to come back.
                log.exception("bus.disconnect_call_failed")

    async def _return(self) -> None:
        last = ""
        for pause_s in pauses():
            await asyncio.sleep(pause_s)
            try:
                async with self._changing:
                    await self._take_up(await self._connect())
            except Exception as error:
                # Nothing may end the attempts but a connection; each new reason is said once.
                if str(error) != last:
                    expected = isinstance(error, BusUnavailable | CannotStart)
                    log.warning("bus.unreachable", reason=str(error), exc_info=not expected)
                last = str(error)
            else:
                log.info("bus.connected", broker=self._address.shown)
                return

    async def _connect(self) -> Link:
        link = Link(self._address)
        try:
            await link.open()
            self._say_once(await link.declare(self._request_queue))
            for subscription in self._subscriptions:
                await subscription.put_up(link)
        except BaseException:
            await link.abandon()
            raise
        return link

    async def _take_up(self, link: Link) -> None:
        # Requests come last: the first may be here before consuming is confirmed, and its reply needs the link.
        self._link = link
        if self._handle is not None:
            await self._put_up(link, link.consume(self._request_queue, self._handle))

    async def _put_up(self, link: Link, change: Awaitable[None]) -> None:
        # It is written down already: what does not work on this connection will on the next.
        try:
            await change
        except BusUnavailable as error:
            link.lose(str(error))

    def _say_once(self, differing: list[str]) -> None:
        for exchange in set(differing) - self._said:
            log.warning("bus.exchange_differs", exchange=exchange, hint="used as it is")
        self._said.update(differing)


def pauses() -> Iterator[float]:
    """Yield how long to wait before each attempt: growing, and never in step with other instances."""
    longest_s = FIRST_PAUSE_S
    while True:
        yield random.uniform(longest_s / 2, longest_s)  # noqa: S311 - nothing secret about it
        longest_s = min(2 * longest_s, LONGEST_PAUSE_S)


def _parse(url: str) -> URL:
    with suppress(ValueError):
        parsed = URL(url)
        if parsed.scheme in ("amqp", "amqps") and parsed.host:
            return parsed
    # What was got instead is not repeated: it may hold a password.
    raise CannotStart("expected the broker's URL to be like amqp://user:password@host:5672/vhost")
