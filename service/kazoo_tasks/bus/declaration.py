"""Have the exchanges and queues there, on a connection that may be the first one after the broker lost them.

Touches only the broker; called by AmqpBus for each new connection, before anything is consumed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiormq import ChannelAccessRefused, ChannelPreconditionFailed
from aiormq.abc import AbstractChannel, AbstractConnection

from kazoo_tasks.bus import topology
from kazoo_tasks.model.errors import CannotStart


class Declaration:
    """What a declaration that the broker refuses closes is a channel that was opened only for it."""

    def __init__(self, connection: AbstractConnection) -> None:
        """Declare over this connection."""
        self._connection = connection

    async def declare(self, requests: topology.RequestQueue) -> list[str]:
        """Have everything there; the names of exchanges that are not as we would make them.

        Raises:
            CannotStart: One of our own queues exists with other arguments.
        """
        # Exchanges, queues, binding: after a restart of the broker only the queues are still there.
        kinds = topology.EXCHANGES.items()
        differing = [name for name, kind in kinds if not await self._exchange(name, kind)]
        await self._queue(topology.DEAD_LETTER_QUEUE, topology.DEAD_LETTER_ARGUMENTS)
        await self._queue(requests.name, requests.arguments)
        async with self._channel() as channel:
            for keys in topology.REQUEST_KEYS:
                await channel.queue_bind(requests.name, topology.REQUEST_EXCHANGE, keys)
        return differing

    async def _exchange(self, name: str, kind: topology.ExchangeType) -> bool:
        try:
            async with self._channel() as channel:
                await channel.exchange_declare(name, exchange_type=kind)
        except (ChannelPreconditionFailed, ChannelAccessRefused):
            # Whoever made it otherwise, or forbids us to make it, uses it like that: so do we.
            async with self._channel() as channel:
                await channel.exchange_declare(name, passive=True)
            return False
        return True

    async def _queue(self, name: str, arguments: Mapping[str, int | str]) -> None:
        try:
            async with self._channel() as channel:
                await channel.queue_declare(name, durable=True, arguments=dict(arguments))
        except ChannelPreconditionFailed as error:
            raise CannotStart(
                f"the queue {name} exists with other arguments: delete it (rabbitmqctl delete_queue {name}),"
                f" or set them as they are; the broker says {error}"
            ) from error

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        channel = await self._connection.channel(publisher_confirms=False)
        try:
            yield channel
        finally:
            await channel.close()
