"""The bus that the settings choose, and the name that is written under.

Touches the broker for as long as it is open; used by every program, and by the operator's commands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from kazoo_tasks.bus.amqp import AmqpBus
from kazoo_tasks.bus.memory import MemoryBroker, MemoryBus
from kazoo_tasks.bus.topology import RequestQueue
from kazoo_tasks.ports import Bus
from kazoo_tasks.settings import Settings
from kazoo_tasks.wire.header import Sender

_MEMORY: Final = "memory:"
_MILLISECONDS: Final = 1000


def sender_of(settings: Settings) -> Sender:
    """The name that everything is written under."""
    return Sender(settings.node, version("kazoo-tasks"))


def build_bus(settings: Settings) -> Bus:
    """The broker, or an in-process one.

    Raises:
        CannotStart: The URL is neither.
    """
    url = settings.amqp_url.get_secret_value()
    queue = RequestQueue(
        settings.queue, settings.queue_max_length, settings.queue_ttl_s * _MILLISECONDS, settings.prefetch
    )
    if url.startswith(_MEMORY):
        return MemoryBus(MemoryBroker(queue))
    return AmqpBus(url, queue, name=settings.node)


def is_shared(settings: Settings) -> bool:
    """Whether other processes can reach the bus."""
    return not settings.amqp_url.get_secret_value().startswith(_MEMORY)


@asynccontextmanager
async def opened_bus(bus: Bus, opening: Awaitable[None]) -> AsyncIterator[Bus]:
    """The bus, connected for as long as it is needed; `opening` is what connects it.

    Raises:
        CannotStart: The broker cannot be reached.
    """
    try:
        await opening
        yield bus
    finally:
        await bus.close()
