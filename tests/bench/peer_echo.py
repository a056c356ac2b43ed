"""The limit of P1 and P6: a bare aio-pika consumer that sends each request back, no larger or smaller than our reply.

Touches the broker; run in the bench's own environment with the URL and the size of the reply.
"""

from __future__ import annotations

import asyncio
import sys

import aio_pika
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

PREFETCH = 256


async def serve(url: str, size: int) -> None:
    """Echo until killed."""
    connection = await aio_pika.connect(url)
    # Without confirms, as ours: with them each reply would wait for the broker.
    channel = await connection.channel(publisher_confirms=False)
    await channel.set_qos(prefetch_count=PREFETCH)
    requests = await channel.declare_exchange("tasks", aio_pika.ExchangeType.TOPIC)
    replies = await channel.declare_exchange("targeted", aio_pika.ExchangeType.DIRECT)
    queue = await channel.declare_queue("echo", durable=True)
    await queue.bind(requests, "tasks.*")
    await queue.consume(lambda message: echo(message, replies, size))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def echo(message: AbstractIncomingMessage, replies: AbstractExchange, size: int) -> None:
    """Send one back, then ack it."""
    reply = aio_pika.Message(message.body.ljust(size), content_type="application/json", delivery_mode=1)
    await replies.publish(reply, message.reply_to or "", mandatory=False)
    await message.ack()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], int(sys.argv[2])))
