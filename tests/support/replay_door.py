"""The two doors as strangers use them: HTTP by the standard library, AMQP by pika.

Touches sockets, and blocks; used by the replayer, in a thread of its own.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final, Self

import pika

from support.replay import Line, unique

LIMIT_S: Final = 10.0
DEAD_LETTERS: Final = "tasks.dead"
REQUEST_QUEUE: Final = "tasks.requests"
#: Gregorian microseconds, with which a real Kazoo stamps each message.
KAZOO_TIMESTAMP: Final = 63963000000000000
#: How Kazoo declares its exchanges; whoever declares them otherwise loses his channel.
_EXCHANGES: Final = {"tasks": "topic", "targeted": "direct", "nodes": "fanout"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it came."""

    key: str
    properties: pika.BasicProperties
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The object that it is."""
        found = json.loads(self.body, object_pairs_hook=unique)
        assert isinstance(found, dict), f"expected an object, got {found!r}"
        return found

    @property
    def headers(self) -> dict[str, Any]:
        """Its AMQP headers."""
        return dict(self.properties.headers or {})


class AmqpDoor:
    """A connection with one channel, and what came to its queues."""

    def __init__(self, url: str) -> None:
        """Connect, and declare what Kazoo declares."""
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._came: dict[str, deque[Letter]] = defaultdict(deque)
        for name, kind in _EXCHANGES.items():
            self._channel.exchange_declare(name, kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def listen(self, exchange: str, *keys: str) -> str:
        """A queue of its own that gets what is sent there with these keys."""
        queue: str = self._channel.queue_declare("", exclusive=True).method.queue
        for key in keys:
            self._channel.queue_bind(queue, exchange, key)
        self._consume(queue)
        return queue

    def also(self, queue: str, exchange: str, key: str) -> None:
        """Have a queue get still more."""
        self._channel.queue_bind(queue, exchange, key)

    def listen_to_the_dead(self) -> str:
        """The dead letters from now on."""
        self._channel.queue_purge(DEAD_LETTERS)
        self._consume(DEAD_LETTERS)
        return DEAD_LETTERS

    def send(self, key: str, body: bytes, **properties: Any) -> None:
        """Publish a request, and wait until the broker has it in a queue."""
        known = {"content_type": "application/json", "timestamp": KAZOO_TIMESTAMP, **properties}
        self._channel.basic_publish("tasks", key, body, pika.BasicProperties(**known), mandatory=True)

    def take(self, queue: str, wanted: Callable[[Letter], bool] = bool) -> Letter:
        """The next wanted letter of a queue; those before it are let go."""
        until = time.monotonic() + LIMIT_S
        while True:
            while self._came[queue]:
                letter = self._came[queue].popleft()
                if wanted(letter):
                    return letter
            left = until - time.monotonic()
            assert left > 0, f"expected a message within {LIMIT_S} s, got none"
            self._connection.process_data_events(left)

    def rest_of(self, queue: str) -> list[Letter]:
        """What came to a queue and was not taken."""
        return list(self._came[queue])

    def _consume(self, queue: str) -> None:
        def keep(_: object, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
            self._came[queue].append(Letter(method.routing_key, properties, body))

        self._channel.basic_consume(queue, keep, auto_ack=True)


def letter_body(do: Line) -> bytes:
    """The bytes that an AMQP line says to send."""
    if "base64" in do:
        return base64.b64decode(do["base64"])
    text = do["text"].encode() if "text" in do else json.dumps(do["message"]).encode()
    return gzip.compress(text) if do.get("properties", {}).get("content_encoding") == "gzip" else text


def ask(port: int, do: Line) -> Line:
    """Send an HTTP request with the headers that the line says and no others, and give what came back."""
    body = do["body"].encode() if "body" in do else b""
    with closing(HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as connection:
        connection.putrequest(do["method"], do["path"], skip_accept_encoding=True)
        for name, value in {"Accept": "*/*", **do.get("headers", {})}.items():
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
    if response.headers["Content-Encoding"] == "gzip":
        content = gzip.decompress(content)
    seen: Line = {"status": response.status, "headers": {k.lower(): v for k, v in response.headers.items()}}
    return {**seen, "body": json.loads(content, object_pairs_hook=unique)} if content else seen
