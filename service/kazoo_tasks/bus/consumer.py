"""Take requests off their queue and hand them over, to be settled later.

Touches only its channel; started and stopped by Link.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage

from kazoo_tasks.bus.frame import ack, reject
from kazoo_tasks.bus.outlet import Outlet
from kazoo_tasks.bus.topology import MIB, RequestQueue
from kazoo_tasks.ports import Delivery

log = structlog.get_logger(__name__)

#: How much of large requests may be in hand together; one alone may always be.
BUDGET_BYTES: Final = 64 * MIB
#: Up to here a request is small: as many as the broker hands over at once have room beside the large ones.
SMALL_BYTES: Final = 64 * 1024
_RETRY_S: Final = 1.0


class Consumer:
    """Every request that the channel delivers is handed over once, or given back."""

    def __init__(self, channel: AbstractChannel, outlet: Outlet, budget_bytes: int = BUDGET_BYTES) -> None:
        """Consume on this channel, which is for nothing else, and settle through the outlet."""
        self._channel = channel
        self._outlet = outlet
        self._budget_bytes = budget_bytes
        self._tag: str | None = None
        self._stopping = False
        # Tag and size, without the body: so many bytes are what there is no room for.
        self._withheld: deque[tuple[int, int]] = deque()
        self._large_bytes = 0
        self._retry: asyncio.TimerHandle | None = None

    async def start(self, queue: RequestQueue, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Have requests handed to `handle`, each in a task that is cancelled with the channel."""

        async def take(message: DeliveredMessage) -> None:
            await self._take(message, handle)

        await self._channel.basic_qos(prefetch_count=queue.prefetch)
        self._tag = (await self._channel.basic_consume(queue.name, take)).consumer_tag

    async def stop(self) -> None:
        """Take no more requests, and give back those that nobody has seen."""
        self._stopping = True
        if self._tag is not None:
            await self._channel.basic_cancel(self._tag)
        # Only now: given back while still consuming, they would come straight back to us.
        while self._withheld:
            self.reject(self._withheld.popleft()[0], requeue=True)

    def ack(self, tag: int) -> None:
        """Tell the broker that a message is done with; on a dead channel do nothing: it comes again."""
        if not self._channel.is_closed:
            self._outlet.write(ack(self._channel.number, tag))

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Give a message back, or to the dead letters; on a dead channel do nothing: it comes again."""
        if not self._channel.is_closed:
            self._outlet.write(reject(self._channel.number, tag, requeue=requeue))

    def free(self, size: int) -> None:
        """Have room again for large requests."""
        self._large_bytes -= size
        if self._withheld:
            self._give_back()

    async def _take(self, message: DeliveredMessage, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        tag, size = message.delivery_tag or 0, len(message.body)
        if self._stopping or (size > SMALL_BYTES and not self._claim(size)):
            self._withhold(tag, size)
            return
        delivery = AmqpDelivery(self, message, tag)
        try:
            await handle(delivery)
        except Exception:
            # Not one step further: aiormq would drop it silently, and the message would count as unsettled
            # for ever.
            log.exception("bus.handler_failed", routing_key=delivery.routing_key)
            await delivery.reject()

    def _claim(self, size: int) -> bool:
        if self._large_bytes and self._large_bytes + size > self._budget_bytes:
            return False
        self._large_bytes += size
        return True

    def _withhold(self, tag: int, size: int) -> None:
        """Keep it from the broker, which would send it again at once, and not its body."""
        self._withheld.append((tag, size))
        self._look_again()

    def _give_back(self) -> None:
        """Let the broker send again what there is room for."""
        room = self._budget_bytes - self._large_bytes
        fits_alone = not self._large_bytes
        while self._withheld and not self._stopping and (fits_alone or self._withheld[0][1] <= room):
            tag, size = self._withheld.popleft()
            room -= size
            fits_alone = False
            self.reject(tag, requeue=True)

    def _look_again(self) -> None:
        # What was given back may never come, since it became too old: then no end of it tells that there is room.
        if self._retry is None and not self._stopping:
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._retried)

    def _retried(self) -> None:
        self._retry = None
        if self._withheld and not self._channel.is_closed:
            self._give_back()
            self._look_again()


class AmqpDelivery:
    """A request and its place on the channel that it came by."""

    __slots__ = ("_consumer", "_tag", "body", "content_encoding", "redelivered", "routing_key")

    def __init__(self, consumer: Consumer, message: DeliveredMessage, tag: int) -> None:
        """Keep what is needed of the message; aiormq's own object is several times as large."""
        self.body = message.body
        self.routing_key = message.routing_key or ""
        self.content_encoding = message.header.properties.content_encoding
        self.redelivered = bool(message.redelivered)
        self._tag = tag
        self._consumer: Consumer | None = consumer

    async def ack(self) -> None:
        """Done with it."""
        if consumer := self._settle():
            consumer.ack(self._tag)

    async def reject(self) -> None:
        """Send it to the dead letters."""
        if consumer := self._settle():
            consumer.reject(self._tag, requeue=False)

    def _settle(self) -> Consumer | None:
        # A second word about the same message would make the broker close the channel.
        consumer, self._consumer = self._consumer, None
        if consumer is not None and len(self.body) > SMALL_BYTES:
            consumer.free(len(self.body))
        return consumer
