"""One connection to the broker and its channels, from connecting to loss.

Touches only the broker; AmqpBus makes one after the other, and has one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiormq
import structlog
from aio_pika.abc import UnderlayConnection
from aiormq.abc import AbstractChannel, ConsumerCallback
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from kazoo_tasks.bus import block
from kazoo_tasks.bus.consumer import Consumer
from kazoo_tasks.bus.declaration import Declaration
from kazoo_tasks.bus.frame import OVERHEAD, publish
from kazoo_tasks.bus.outlet import Outlet
from kazoo_tasks.bus.refusal import answered, reason
from kazoo_tasks.bus.topology import RequestQueue
from kazoo_tasks.model.errors import BusUnavailable
from kazoo_tasks.ports import Delivery, Outgoing

log = structlog.get_logger(__name__)

#: How long the broker may take for one thing that it is asked for, how long a sender waits for room, and how
#: long a farewell may last.
ANSWER_S: Final = 5.0
ROOM_S: Final = 2.0
CLOSE_S: Final = 2.0

#: Frames that aiormq reads ahead for a channel; with its ten, reading stops for each handful of messages. They may have
#: 128 KiB each, so these are 16 MiB at most; a thousand of them were no faster.
READ_AHEAD: Final = 128


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, and how long it may take to say hello."""

    url: URL
    timeout_s: float

    @property
    def shown(self) -> str:
        """It without user and password, for people and logs."""
        port = self.url.port or (5671 if self.url.scheme == "amqps" else 5672)
        return str(self.url.with_user(None).with_query(None).with_port(port))


class Socket(aiormq.TransportFactory):
    """Keep hold of the socket that aiormq opens: a frozen broker can only be left by hanging up."""

    def __init__(self) -> None:
        """Nothing is open yet."""
        self._writer: asyncio.StreamWriter | None = None

    async def create(  # type: ignore[explicit-override]  # typing.override comes with Python 3.12
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open it, as aiormq would."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self._writer = await factory.create(url, **kwargs)
        return reader, self._writer

    def hang_up(self) -> None:
        """Close it without asking, and drop what was not sent."""
        if self._writer is not None:
            self._writer.transport.abort()


class Link:
    """Lost as a whole: with its connection, with any of its channels, or with any of its consumers.

    A channel for each role, since the broker closes one for each mistake on it. What happened then is the
    same in every case, though, and putting everything up anew is the one way back that is always right.

    Attributes:
        lost: Why, once it is.
        blocked: Why the broker takes nothing that we say, while it does not; known from the first message on that
            is sent while it is short of something.
    """

    def __init__(self, address: Address) -> None:
        """Take what is needed to connect."""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.blocked: str | None = None
        self._replaced: str | None = None
        self._address = address
        self._socket = Socket()
        self._carrier: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and open the channels.

        Raises:
            BusUnavailable: The broker cannot be reached or refuses.
        """
        async with answered(self._address.timeout_s):
            self._connection = await UnderlayConnection.make_connection(
                self._address.url, transport_factory=self._socket
            )
            block.hear(self._connection, self._block, self._unblock)
            self._outlet = Outlet(self._connection.write_queue, ROOM_S)
            self._connection.closing.add_done_callback(self._closed)
            self._carrier = asyncio.create_task(self._outlet.run(), name="bus outlet")
            self._listening = await self._channel()
            self._sending = await self._channel()
            self._consumer = Consumer(await self._channel(), self._outlet)

    async def declare(self, requests: RequestQueue) -> list[str]:
        """Have the topology there; the names of exchanges that differ from ours.

        Raises:
            BusUnavailable: The broker does not answer.
            CannotStart: One of our own queues exists with other arguments.
        """
        async with answered(ANSWER_S):
            return await Declaration(self._connection).declare(requests)

    async def consume(self, queue: RequestQueue, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Have requests handed to `handle`."""
        async with answered(ANSWER_S):
            await self._consumer.start(queue, handle)

    async def stop_consuming(self) -> None:
        """Take no more requests."""
        async with answered(ANSWER_S):
            await self._consumer.stop()

    async def listen(self, queue: str, exchange: str, routing_key: str, take: ConsumerCallback) -> None:
        """Have a queue of this name, which ends with the connection, and what it gets given to `take`."""
        async with answered(ANSWER_S):
            await self._listening.queue_declare(queue, exclusive=True, auto_delete=True)
            await self._listening.queue_bind(queue, exchange, routing_key)
            await self._listening.basic_consume(queue, take, no_ack=True)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages over, together.

        Raises:
            BusUnavailable: None was sent.
        """
        if self.lost.done():
            raise BusUnavailable("the connection to the broker is lost")
        frames = b"".join(map(self._marshal, messages))
        if self.blocked is not None and not self._outlet.fits(frames):
            # No room will come: to wait for it would hold up whoever has more to send.
            raise BusUnavailable(f"the broker blocks publishers: {self.blocked}")
        await self._outlet.send(frames)

    def replace(self, why: str) -> None:
        """Count as lost as soon as the broker takes what we say: before, the next connection would be blocked too."""
        if self.blocked is None:
            self.lose(why)
        else:
            self._replaced = why

    def lose(self, why: str) -> None:
        """Count as lost from now on."""
        if not self.lost.done():
            self.lost.set_result(why)

    async def close(self) -> None:
        """Let what was sent go out, then disconnect, politely if the broker lets us."""
        self.lose("closed by us")
        with suppress(BusUnavailable):
            async with answered(CLOSE_S):
                await self._outlet.flush()
                # The answer to this proves that the broker read all that was sent.
                await self._sending.close()
        await self.abandon()

    async def abandon(self) -> None:
        """Disconnect, so that the broker gives away again what was not settled."""
        self.lose("given up by us")
        if self._carrier is None:
            self._socket.hang_up()
            return
        # aiormq's farewell waits for a frozen broker to read it, and cannot be cancelled: only a dead socket ends it.
        hang_up = asyncio.get_running_loop().call_later(CLOSE_S, self._socket.hang_up)
        try:
            with suppress(BusUnavailable):
                async with answered(2 * CLOSE_S):
                    await self._connection.close()
        finally:
            hang_up.cancel()
            self._socket.hang_up()
            self._carrier.cancel()

    async def _channel(self) -> AbstractChannel:
        channel = await self._connection.channel(publisher_confirms=False, frame_buffer_size=READ_AHEAD)
        channel.closing.add_done_callback(self._closed)
        channel.on_consumer_cancel_callbacks.add(self._consumer_cancelled)
        return channel

    def _block(self, reason: str) -> None:
        if self.blocked is None:
            log.warning("bus.blocked", broker=self._address.shown, reason=reason)
        self.blocked = reason

    def _unblock(self) -> None:
        log.info("bus.unblocked", broker=self._address.shown)
        self.blocked = None
        if self._replaced is not None:
            self.lose(self._replaced)

    def _closed(self, closing: asyncio.Future[Any]) -> None:
        self.lose(reason(None if closing.cancelled() else closing.exception()))

    def _consumer_cancelled(self, cancel: Basic.Cancel) -> None:
        self.lose(f"the queue of consumer {cancel.consumer_tag} was deleted")

    def _marshal(self, message: Outgoing) -> bytes:
        number, limit = self._sending.number, self._connection.connection_tune.frame_max
        if not message.headers:
            return publish(number, (message.exchange, message.routing_key), message.body, limit)
        size = limit - OVERHEAD
        properties = Basic.Properties(
            content_type="application/json", headers=dict(message.headers), delivery_mode=1
        )
        frames: tuple[frame.FrameTypes, ...] = (
            Basic.Publish(exchange=message.exchange, routing_key=message.routing_key),
            ContentHeader(body_size=len(message.body), properties=properties),
            *(ContentBody(message.body[at : at + size]) for at in range(0, len(message.body), size)),
        )
        return b"".join(frame.marshal(each, number) for each in frames)
