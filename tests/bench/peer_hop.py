"""The limit of P6: a bare aiohttp handler that makes one aio-pika call to the echo, and gives its reply back.

Touches a loopback port and the broker; run in the bench's own environment with the URL.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aio_pika
import orjson
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from aiohttp import web


class Hop:
    """Calls in flight, by the id that the echo repeats."""

    def __init__(self) -> None:
        """Nothing is in flight."""
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._requests: AbstractExchange
        self._inbox: str

    async def open(self, url: str) -> None:
        """Have somewhere to be answered at."""
        connection = await aio_pika.connect(url)
        channel = await connection.channel(publisher_confirms=False)
        self._requests = await channel.declare_exchange("tasks", aio_pika.ExchangeType.TOPIC)
        replies = await channel.declare_exchange("targeted", aio_pika.ExchangeType.DIRECT)
        queue = await channel.declare_queue(exclusive=True)
        self._inbox = queue.name
        await queue.bind(replies, queue.name)
        await queue.consume(self._replied, no_ack=True)

    async def handle(self, request: web.Request) -> web.Response:
        """Make one call, with a request as large as the gateway's."""
        msg_id = os.urandom(16).hex()
        reply = self._waiting[msg_id] = asyncio.get_running_loop().create_future()
        body = orjson.dumps(
            {
                "App-Name": "tasks",
                "App-Version": "0.1.0",
                "Event-Category": "tasks",
                "Event-Name": "read_req",
                "Msg-ID": msg_id,
                "Server-ID": self._inbox,
                "Account-ID": request.match_info["account"],
                "Task-ID": request.match_info["task"],
            }
        )
        message = aio_pika.Message(body, content_type="application/json", reply_to=self._inbox)
        await self._requests.publish(message, "tasks.read", mandatory=False)
        async with asyncio.timeout(2):
            return web.Response(body=await reply, content_type="application/json")

    async def _replied(self, message: AbstractIncomingMessage) -> None:
        self._waiting.pop(orjson.loads(message.body)["Msg-ID"]).set_result(message.body)


async def serve(url: str) -> None:
    """Answer until killed; the port is the line that is written."""
    hop = Hop()
    await hop.open(url)
    application = web.Application()
    application.router.add_get("/v2/accounts/{account}/tasks/{task}", hop.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
