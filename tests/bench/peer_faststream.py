"""FastStream's RPC: a handler whose return value is the reply, for the same requests as P1's.

Touches the broker; run in the bench's own environment with the URL and the size of the reply.
"""

import asyncio
import sys

import uvloop
from faststream.rabbit import (  # type: ignore[import-not-found]  # only in the bench's environment
    Channel,
    ExchangeType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)

PREFETCH = 256


async def serve(url: str, size: int) -> None:
    """Answer until killed."""
    channel = Channel(prefetch_count=PREFETCH, publisher_confirms=False)
    broker = RabbitBroker(url, default_channel=channel, logger=None)
    queue = RabbitQueue("faststream", durable=True, routing_key="tasks.*")
    exchange = RabbitExchange("tasks", type=ExchangeType.TOPIC, durable=False)

    @broker.subscriber(queue, exchange, persistent=False)  # type: ignore[untyped-decorator]  # as above
    async def answer(message: RabbitMessage) -> bytes:
        body: bytes = message.body
        return body.ljust(size)

    await broker.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], int(sys.argv[2])))
