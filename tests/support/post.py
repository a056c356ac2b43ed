"""A whole service on an in-process bus, seen by a crossbar that keeps its mail.

Touches the event loop only; used by the tests of the listener and of the caller.
"""

from __future__ import annotations

import itertools
from typing import Any

from kazoo_tasks.bus.memory import MemoryBroker, MemoryBus
from kazoo_tasks.listener.announcer import Announcer
from kazoo_tasks.listener.asked_snapshot import AskedSnapshots
from kazoo_tasks.listener.listener import Listener, Operations
from kazoo_tasks.model.errors import CannotReload
from kazoo_tasks.ports import Incoming, Outgoing, Subscription
from kazoo_tasks.wire.codec import decode_object, encode
from kazoo_tasks.wire.header import Sender
from kazoo_tasks.wire.reply import Replies
from kazoo_tasks.wire.request import REQUESTS
from support.build import a_message
from support.core import Office, turn

SENDER = Sender("kazoo-tasks@test.host", "0.0.0")


class Crossbar:
    """Sends requests and waits for their replies."""

    def __init__(self, broker: MemoryBroker, office: Office) -> None:
        """Talk through this broker to this office."""
        self.broker = broker
        self.office = office
        self.bus = MemoryBus(broker)
        self.service_bus = MemoryBus(broker)
        replies = Replies(SENDER)
        self.announcer = Announcer(self.service_bus, replies)
        asked = AskedSnapshots(office.journal, office.clock.monotonic, interval_s=60)
        operations = Operations(asked.take, self._reload, office.schedules)
        self.listener = Listener(self.service_bus, office.handlers, replies, office.background, operations)
        self.mail: list[dict[str, Any]] = []
        self._inbox: Subscription | None = None
        #: Why the task modules cannot be loaded, if they cannot.
        self.unloadable: str | None = None
        self._ids = itertools.count()

    async def _reload(self) -> dict[str, str]:
        if self.unloadable:
            raise CannotReload(self.unloadable)
        return {"timer": "0123456789ab"}

    async def open(self) -> Crossbar:
        """Connect both sides."""
        await self.bus.open()
        await self.service_bus.open()
        self._inbox = await self.bus.subscribe("targeted", None, self._take)
        await self.service_bus.consume_requests(self.listener.handle)
        return self

    @property
    def address(self) -> str:
        """Its `Server-ID`."""
        assert self._inbox
        assert self._inbox.address
        return self._inbox.address

    async def post(self, body: bytes, key: str = "tasks.x") -> None:
        """Publish bytes as they are."""
        await self.bus.send(Outgoing("tasks", key, body))

    async def ask(self, event: str, **fields: Any) -> dict[str, Any]:
        """Send a request and give back the reply."""
        fields = {"Server_ID": self.address, "Msg_ID": f"m{next(self._ids)}", **fields}
        seen = len(self.mail)
        await self.post(encode(a_message(event, **fields)), _key(event))
        await turn(lambda: len(self.mail) > seen)
        return self.mail[-1]

    def _take(self, incoming: Incoming) -> None:
        self.mail.append(decode_object(incoming.body))


def _key(event: str) -> str:
    request = REQUESTS.get(event)
    return request.routing_key() if request else "tasks.x"


async def a_crossbar() -> Crossbar:
    """One that is connected to a service with two slots."""
    return await Crossbar(MemoryBroker(), await Office().open()).open()
