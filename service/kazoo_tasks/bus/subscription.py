"""Private queues for replies and events, which are made anew with each connection.

Touches only the Link that it is given; made by AmqpBus.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiormq.abc import DeliveredMessage

from kazoo_tasks.bus.link import Link
from kazoo_tasks.ports import Incoming

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AmqpSubscription:
    """Its address is of the connection that there is now, or `None`.

    Attributes:
        name: What the queue's name starts with.
        routing_key: What it is bound by; `None` for its own name.
    """

    name: str
    exchange: str
    routing_key: str | None
    handle: Callable[[Incoming], None]
    address: str | None = None

    async def put_up(self, link: Link) -> None:
        """Have the queue on this connection.

        The name is a fresh one: the broker may hold on to the old queue until it notices that its connection
        is gone, and a late reply to what was asked before does not go to who asks now.
        """
        queue = unique(self.name)
        await link.listen(
            queue, self.exchange, queue if self.routing_key is None else self.routing_key, self._take
        )
        self.address = queue

    async def _take(self, message: DeliveredMessage) -> None:
        properties = message.header.properties
        try:
            self.handle(Incoming(message.body, message.routing_key or "", properties.content_encoding))
        except Exception:
            # aiormq would drop it silently; there is nothing to settle, and the next message may do better.
            log.exception("bus.handler_failed", routing_key=message.routing_key)


def unique(name: str) -> str:
    """Make a queue's name that nobody else has."""
    return f"{name}-{secrets.token_hex(4)}"
