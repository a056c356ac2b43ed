"""Which exchanges and queues there are, exactly as contract.md section 3 prints them.

Pure data; read by declaration, consumer and memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

SECONDS: Final = 1000
DAYS: Final = 24 * 60 * 60 * SECONDS
MIB: Final = 1024 * 1024

ExchangeType = Literal["topic", "direct", "fanout"]

#: Name and type of Kazoo's exchanges. All non-durable and not auto-delete: whoever declares them otherwise
#: than Kazoo does has his channel closed, or closes Kazoo's.
EXCHANGES: Final = MappingProxyType[str, ExchangeType](
    {"tasks": "topic", "targeted": "direct", "nodes": "fanout"}
)

#: Where requests are published, and the keys that make them requests. Task events have more words and do not
#: match.
REQUEST_EXCHANGE: Final = "tasks"
REQUEST_KEYS: Final = ("tasks.*", "tasks.operator.*")

DEAD_LETTER_QUEUE: Final = "tasks.dead"
DEAD_LETTER_MAX_LENGTH: Final = 1000
DEAD_LETTER_ARGUMENTS: Final = MappingProxyType[str, int | str](
    {
        "x-max-length": DEAD_LETTER_MAX_LENGTH,
        "x-max-length-bytes": 64 * MIB,
        "x-message-ttl": 7 * DAYS,
    }
)


@dataclass(frozen=True, slots=True)
class RequestQueue:
    """The durable queue that all requests go through.

    Attributes:
        max_length: How many may wait; one more pushes the oldest out to the dead letters.
        ttl_ms: How long one may wait before it goes there too: its caller gave up long ago.
        prefetch: How many may be handed over and not yet settled.
    """

    name: str = "tasks.requests"
    max_length: int = 10_000
    ttl_ms: int = 60 * SECONDS
    prefetch: int = 500

    @property
    def arguments(self) -> dict[str, int | str]:
        """Its arguments for the broker; a queue that exists with others has to be deleted first."""
        return {
            "x-max-length": self.max_length,
            "x-message-ttl": self.ttl_ms,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD_LETTER_QUEUE,
        }


def check_exchange(name: str) -> None:
    """Refuse an exchange that is none of Kazoo's: the broker would close the channel for each message."""
    if name not in EXCHANGES:
        raise ValueError(f"expected an exchange of {', '.join(EXCHANGES)}, got {name!r}")
