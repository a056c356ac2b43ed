"""The bus: what carries messages, and who asks the service over it.

No implementation; the rooms of the bus have two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


class Delivery(Protocol):
    """A request that was taken from the request queue and must be settled, once."""

    @property
    def body(self) -> bytes:
        """The bytes as sent."""
        ...

    @property
    def routing_key(self) -> str:
        """The key it was published with."""
        ...

    @property
    def content_encoding(self) -> str | None:
        """The AMQP property; `gzip` means what it says."""
        ...

    @property
    def redelivered(self) -> bool:
        """It was handed over before, and not settled; perhaps by a service that ended with it."""
        ...

    async def ack(self) -> None:
        """Done with it. On a connection that is gone it does nothing: the message comes again."""
        ...

    async def reject(self) -> None:
        """Send it to the dead-letter queue. On a connection that is gone it does nothing: it comes again."""
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message of a subscription; there is nothing to settle."""

    body: bytes
    routing_key: str
    content_encoding: str | None = None


class Subscription(Protocol):
    """A private queue that lives as long as its connection and is made anew, under a new name, with the next."""

    @property
    def address(self) -> str | None:
        """Its queue's name now, `None` while there is no connection: what goes into `Server-ID`."""
        ...


_NO_HEADERS: Final[Mapping[str, str]] = {}


class Outgoing(NamedTuple):
    """A message to publish; always transient `application/json`, never with a timestamp."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS


class Bus(Protocol):
    """Kazoo's exchanges `tasks`, `targeted` and `nodes`, wherever they are."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        ...

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages, such as `low on memory`, while it does not; what is sent then waits.

        It tells only who has sent something, so a new connection is not blocked yet.
        """
        ...

    async def open(self, wait_s: float = 0) -> None:
        """Connect for the first time; afterwards the bus reconnects by itself until it is closed.

        A broker that is not there yet is waited for so many seconds. What is asked for meanwhile holds once there is a
        connection.

        Raises:
            CannotStart: The broker cannot be reached until then, or it refuses; the message says which and why.
        """
        ...

    async def consume_requests(self, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Have every request handed to `handle`, on this and every later connection."""
        ...

    async def stop_consuming(self) -> None:
        """Take no more requests; those already handed over can still be settled."""
        ...

    async def subscribe(
        self, exchange: str, routing_key: str | None, handle: Callable[[Incoming], None]
    ) -> Subscription:
        """Have messages handed to `handle`; without a routing key the queue is bound by its own name."""
        ...

    def on_disconnect(self, call: Callable[[], None]) -> None:
        """Call back whenever the connection is lost: what was asked over it will not be answered."""
        ...

    async def send(self, *messages: Outgoing) -> None:
        """Hand messages to the broker, all or none, without waiting for its confirmation.

        Raises:
            BusUnavailable: Nothing was sent: there is no connection, or no room while the broker takes nothing.
        """
        ...

    def reconnect(self, why: str) -> None:
        """Give the connection up and make a new one, for who knows that it is no good though it looks alive.

        While the broker blocks us, a new one would be blocked as well: it is made when that ends.
        """
        ...

    async def close(self) -> None:
        """Let what was sent go out, then disconnect."""
        ...


class Caller(Protocol):
    """Request and reply over the bus, as crossbar does it."""

    @property
    def timeout_s(self) -> float:
        """How long each reply is waited for."""
        ...

    async def call(
        self, event: str, fields: Mapping[str, object], *, msg_id: str | None = None
    ) -> dict[str, object]:
        """Send a request such as `read_req` and give back the whole reply message.

        Args:
            event: The request's `Event-Name`.
            fields: The request's own keys, in the wire's spelling; the default headers are added.
            msg_id: The `Msg-ID`, for a request that may be repeated; a new one if not given.

        Raises:
            BusUnavailable: No connection, connection lost while waiting, or no reply in time: the request may or may
                not have been carried out.
        """
        ...
