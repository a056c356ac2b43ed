"""Take requests off their queue and hand them over, to be settled later.

Touches only its channel; started and stopped by Link.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage

from kazoo_tasks.bus.frame import ack, reject
from kazoo_tasks.bus.outlet import Outlet
from kazoo_tasks.bus.topology import RequestQueue
from kazoo_tasks.ports import Delivery

log = structlog.get_logger(__name__)


class Consumer:
    """Every request that the channel delivers is handed over once, or given back."""

    def __init__(self, channel: AbstractChannel, outlet: Outlet) -> None:
        """Consume on this channel, which is for nothing else, and settle through the outlet."""
        self._channel = channel
        self._outlet = outlet
        self._tag: str | None = None
        self._stopping = False
        self._withheld: list[int] = []

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
        for tag in self._withheld:
            self.reject(tag, requeue=True)

    def ack(self, tag: int) -> None:
        """Tell the broker that a message is done with; on a dead channel do nothing: it comes again."""
        if not self._channel.is_closed:
            self._outlet.write(ack(self._channel.number, tag))

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Give a message back, or to the dead letters; on a dead channel do nothing: it comes again."""
        if not self._channel.is_closed:
            self._outlet.write(reject(self._channel.number, tag, requeue=requeue))

    async def _take(self, message: DeliveredMessage, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        tag = message.delivery_tag or 0
        if self._stopping:
            self._withheld.append(tag)
            return
        delivery = AmqpDelivery(self, message, tag)
        try:
            await handle(delivery)
        except Exception:
            # Not one step further: aiormq would drop it silently, and the message would count as unsettled
            # for ever.
            log.exception("bus.handler_failed", routing_key=delivery.routing_key)
            await delivery.reject()


class AmqpDelivery:
    """A request and its place on the channel that it came by."""

    __slots__ = ("_consumer", "_tag", "body", "content_encoding", "routing_key")

    def __init__(self, consumer: Consumer, message: DeliveredMessage, tag: int) -> None:
        """Keep what is needed of the message; aiormq's own object is several times as large."""
        self.body = message.body
        self.routing_key = message.routing_key or ""
        self.content_encoding = message.header.properties.content_encoding
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
        return consumer
