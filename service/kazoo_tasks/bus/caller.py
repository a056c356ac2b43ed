"""Request and reply over a bus: sends to `tasks`, waits at a private queue bound to `targeted`.

Touches only the bus it is given; used by the gateway and by the operator's commands.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Final

import structlog

from kazoo_tasks.model.errors import BusUnavailable, Corrupt
from kazoo_tasks.ports import Bus, Incoming, Outgoing, Subscription
from kazoo_tasks.wire.codec import decode_reply, encode
from kazoo_tasks.wire.header import TASKS, Sender
from kazoo_tasks.wire.request import REQUESTS

#: Kazoo's crossbar waits as long.
DEFAULT_TIMEOUT_S: Final = 2.0
_log = structlog.get_logger(__name__)


class BusCaller:
    """Matches replies to requests by `Msg-ID`; no request outlives its time-out or its connection."""

    def __init__(self, bus: Bus, sender: Sender, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Take an open bus, the name to ask under, and how long to wait for each reply."""
        self._bus = bus
        self._sender = sender
        self.timeout_s = timeout_s
        self._waiting: dict[str, list[asyncio.Future[dict[str, object]]]] = {}
        self._inbox: Subscription | None = None

    async def open(self) -> None:
        """Have somewhere to be answered at."""
        self._inbox = await self._bus.subscribe("targeted", None, self._replied)
        self._bus.on_disconnect(self._disconnected)

    async def call(
        self, event: str, fields: Mapping[str, object], *, msg_id: str | None = None
    ) -> dict[str, object]:
        """See `ports.Caller`."""
        msg_id = msg_id or os.urandom(16).hex()
        address = self._inbox.address if self._inbox else None
        if address is None:
            raise BusUnavailable("expected a connection to the broker, got none")
        if self._bus.blocked is not None:
            # It would lie in the socket, and be carried out long after its caller was told that it was not.
            raise BusUnavailable(f"the broker blocks publishers: {self._bus.blocked}")
        headers = self._sender.headers(TASKS, event, msg_id)
        body = encode({**headers, "Server-ID": address, **fields})
        reply: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(msg_id, []).append(reply)
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._bus.send(Outgoing("tasks", REQUESTS[event].routing_key(), body))
                return await reply
        except TimeoutError as error:
            raise BusUnavailable(
                f"expected a reply to {event} within {self.timeout_s} s, got none"
            ) from error
        finally:
            self._forget(msg_id, reply)

    def _replied(self, incoming: Incoming) -> None:
        try:
            message = decode_reply(incoming.body, incoming.content_encoding)
        except Corrupt as error:
            _log.warning("caller.reply_corrupt", reason=str(error))
            return
        # A reply that nobody waits for any more came too late: its caller has been told so.
        for reply in self._waiting.get(str(message.get("Msg-ID")), ()):
            if not reply.done():
                reply.set_result(message)

    def _disconnected(self) -> None:
        for replies in self._waiting.values():
            for reply in replies:
                if not reply.done():
                    reply.set_exception(BusUnavailable("expected a reply, got a lost connection"))

    def _forget(self, msg_id: str, reply: asyncio.Future[dict[str, object]]) -> None:
        # The same idempotent request may wait more than once under one id.
        replies = self._waiting[msg_id]
        replies.remove(reply)
        if not replies:
            del self._waiting[msg_id]
        if reply.done() and not reply.cancelled():
            reply.exception()
