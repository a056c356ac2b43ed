"""An AMQP client on another library than ours, as a crossbar that was written by somebody else.

Touches only the broker, through pika; it blocks, since what it waits for is all that its tests do.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import pika

#: How a real Kazoo stamps its messages: Gregorian microseconds.
KAZOO_TIMESTAMP: Final = 63963000000000000
EXCHANGES: Final = {"tasks": "topic", "targeted": "direct", "nodes": "fanout"}
_OPERATORS: Final = frozenset({"snapshot_req", "pool_req", "reload_req", "breaker_req"})
_LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Post:
    """A message as it came."""

    key: str
    body: bytes
    properties: pika.BasicProperties

    @property
    def json(self) -> dict[str, Any]:
        """The object that it holds."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Stranger:
    """Declares as contract.md says, asks, and is answered at a queue of its own."""

    def __init__(self, url: str, flags: Mapping[str, Any] | None = None) -> None:
        """Connect; `flags` are for the exchange `tasks` alone."""
        parameters = pika.URLParameters(url)
        # It answers none while its test does something else.
        parameters.heartbeat = 0
        self._connection = pika.BlockingConnection(parameters)
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()
        for name, kind in EXCHANGES.items():
            self.channel.exchange_declare(name, kind, **(flags or {} if name == "tasks" else {}))
        self._ids = itertools.count(1)
        self.address = self.bound("targeted", "stranger")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def bound(self, exchange: str, key: str = "") -> str:
        """A new queue of its own that gets what the exchange gives to this key."""
        queue: str = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(queue, exchange, key)
        return queue

    def post(self, body: bytes, key: str, **properties: Any) -> None:
        """Publish bytes to `tasks`, and wait until the broker has them."""
        self.channel.basic_publish("tasks", key, body, pika.BasicProperties(**properties))

    def posts(self, queue: str) -> Iterator[Post]:
        """What comes to a queue, for as long as something does within the limit."""
        deliveries = self.channel.consume(queue, auto_ack=True, inactivity_timeout=_LIMIT_S)
        for method, properties, body in deliveries:
            assert method, f"expected a message in {queue} within {_LIMIT_S} s, got none"
            yield Post(method.routing_key, body, properties)

    def take(self, queue: str, count: int = 1) -> list[Post]:
        """Wait for so many messages."""
        found = list(itertools.islice(self.posts(queue), count))
        self.channel.cancel()
        return found

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        count: int = self.channel.queue_declare(queue, passive=True).method.message_count
        return count

    def request(self, event: str, **fields: Any) -> dict[str, Any]:
        """A good request; `_` in the names of fields stands for `-`."""
        headers = {
            "App-Name": "crossbar",
            "App-Version": "4.0.0",
            "Event-Category": "tasks",
            "Event-Name": event,
            "Msg-ID": f"stranger-{next(self._ids)}",
            "Server-ID": "stranger",
        }
        return {**headers, **{name.replace("_", "-"): value for name, value in fields.items()}}

    def send(self, event: str, **fields: Any) -> None:
        """Send a request as a real Kazoo would."""
        body = json.dumps(self.request(event, **fields)).encode()
        key = "tasks.operator" if event in _OPERATORS else "tasks"
        self.post(body, f"{key}.{event.removesuffix('_req')}", timestamp=KAZOO_TIMESTAMP)

    def ask(self, event: str, **fields: Any) -> Post:
        """Send a request, and wait for its reply."""
        self.send(event, **fields)
        (reply,) = self.take(self.address)
        return reply
