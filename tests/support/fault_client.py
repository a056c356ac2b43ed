"""A client that forgets nothing: every request with its `Msg-ID`, and every reply that ever comes to it.

Touches the broker through the product's own bus, which reconnects by itself; used by the load and by the lab.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

from kazoo_tasks.bus.amqp import AmqpBus
from kazoo_tasks.bus.topology import RequestQueue
from kazoo_tasks.model.errors import BusUnavailable
from kazoo_tasks.ports import Incoming, Outgoing, Subscription
from kazoo_tasks.wire.codec import decode_reply, encode
from kazoo_tasks.wire.header import TASKS, Sender
from support.fault_history import NOT_NOW, History, Reply, Request

#: As long as a crossbar waits; then the same request is sent again, under the same id.
ATTEMPT_S: Final = 2.0
#: From an attempt that could not even be sent, or was refused for now, to the next.
PAUSE_S: Final = 0.1
#: The late copy of a message that is delivered twice comes after at most so long.
LATEST_COPY_S: Final = 0.3

Fields = Mapping[str, object]


class Client:
    """Asks until it is answered, or for as many attempts as it is told; an answer may also come later.

    Attributes:
        history: What was asked and answered.
        copies: How often each request is sent in one attempt: once as it should be, more often to be dealt with.
        patience_s: How long a request without a limit of attempts is tried.
    """

    def __init__(self, url: str, account: str, chance: Random) -> None:
        """Ask for this account, at the broker of this URL."""
        self.account = account
        self.history = History()
        self.copies = 1
        self.patience_s = 90.0
        self._chance = chance
        self._bus = AmqpBus(url, RequestQueue(), name="fault-lab@localhost")
        self._sender = Sender("fault-lab@localhost", "1", "crossbar")
        self._inbox: Subscription | None = None
        self._news: dict[str, asyncio.Event] = {}
        self._copying: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str | None:
        """Where it is answered now, if it is connected."""
        return self._inbox.address if self._inbox else None

    async def open(self) -> None:
        """Connect, and have somewhere to be answered at."""
        await self._bus.open()
        self._inbox = await self._bus.subscribe("targeted", None, self._take)

    async def close(self) -> None:
        """Disconnect, once the late copies are sent."""
        if self._copying:
            await asyncio.wait(self._copying)
        await self._bus.close()

    async def ask(
        self, event: str, fields: Fields, *, tags: list[str] | None = None, attempts: int | None = None
    ) -> Request:
        """Send a request and wait for what decides it; after so many attempts it is left unknown."""
        request = self._begin(event, fields, tags or [])
        deadline = request.sent_at + self.patience_s
        attempt = 0
        while attempt != attempts and time.monotonic() < deadline:
            attempt += 1
            await self._attempt(request)
            if request.answer is not None:
                break
        return request

    async def again(self, request: Request) -> None:
        """Send a request once more that was answered long ago."""
        await self._attempt(request)

    async def first_answer_s(self, since: float, *, within_s: float) -> float:
        """How long after an instant a new request is answered; for whoever wants to know when service is back."""
        async with asyncio.timeout(since + within_s - time.monotonic()):
            while True:
                request = self._begin("list_req", {"Page-Size": 1}, [])
                await self._attempt(request, patience_s=PAUSE_S * 5)
                if request.answer is not None:
                    return request.answer.at - since

    def new_id(self) -> str:
        """A `Msg-ID` of this seed."""
        return f"{self._chance.getrandbits(96):024x}"

    def _begin(self, event: str, fields: Fields, tags: list[str]) -> Request:
        msg_id = tags[0].partition("/")[0] if tags else self.new_id()
        request = Request(msg_id, event, {"Account-ID": self.account, **fields}, time.monotonic(), tags=tags)
        self.history.requests[msg_id] = request
        self._news[msg_id] = asyncio.Event()
        return request

    async def _attempt(self, request: Request, patience_s: float = ATTEMPT_S) -> None:
        news = self._news[request.msg_id]
        news.clear()
        if not await self._send(request):
            await asyncio.sleep(PAUSE_S)
            return
        for _ in range(self.copies - 1):
            self._copy(request)
        try:
            async with asyncio.timeout(patience_s):
                await news.wait()
        except TimeoutError:
            return
        if request.replies[-1].value == NOT_NOW:
            await asyncio.sleep(PAUSE_S)

    async def _send(self, request: Request) -> bool:
        address = self.address
        if address is None:
            return False
        headers = self._sender.headers(TASKS, request.event, request.msg_id)
        body = encode({**headers, "Server-ID": address, **request.fields})
        try:
            await self._bus.send(Outgoing("tasks", f"tasks.{request.event.removesuffix('_req')}", body))
        except BusUnavailable:
            return False
        request.sends += 1
        return True

    def _copy(self, request: Request) -> None:
        async def send() -> None:
            await asyncio.sleep(self._chance.uniform(0, LATEST_COPY_S))
            await self._send(request)

        task = asyncio.create_task(send())
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    def _take(self, incoming: Incoming) -> None:
        message: dict[str, Any] = decode_reply(incoming.body, incoming.content_encoding)
        request = self.history.requests.get(str(message.get("Msg-ID")))
        if request is None:
            return
        # A copy of its own: whoever looks at it later must see what came.
        value = json.loads(json.dumps(message.get("Reply", message.get("Error-Message"))))
        request.replies.append(Reply(time.monotonic(), value, message.get("Next-Start-Key")))
        self._news[request.msg_id].set()


@asynccontextmanager
async def a_client(url: str, account: str, chance: Random) -> AsyncIterator[Client]:
    """A client that is connected."""
    client = Client(url, account, chance)
    await client.open()
    try:
        yield client
    finally:
        await client.close()
