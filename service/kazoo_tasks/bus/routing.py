"""Which routing keys may be sent, and which bindings they match.

Pure; called by amqp before a message is sent, and by memory to route it.
"""

from __future__ import annotations

from typing import Final

from kazoo_tasks.bus.topology import EXCHANGES
from kazoo_tasks.model.errors import Corrupt

MAX_KEY_BYTES: Final = 255


def check_key(key: str) -> None:
    """Refuse a key that does not fit into a frame.

    Raises:
        Corrupt: It is too long; since replies go where a request says, that request is no message.
    """
    if (size := len(key.encode())) > MAX_KEY_BYTES:
        raise Corrupt(f"expected a routing key of at most {MAX_KEY_BYTES} bytes, got {size}")


def routes(exchange: str, binding: str, key: str) -> bool:
    """Tell whether the exchange gives a message with this key to a queue bound like this."""
    match EXCHANGES[exchange]:
        case "topic":
            return topic_matches(binding, key)
        case "direct":
            return binding == key
        case "fanout":
            return True


def topic_matches(pattern: str, key: str) -> bool:
    """Match words between dots: `*` stands for one word, `#` for any number of words, none included."""
    words = key.split(".")
    # reached[i]: the pattern so far can match the first i words.
    reached = [True] + [False] * len(words)
    for part in pattern.split("."):
        reached = _after_any(reached) if part == "#" else _after_one(reached, words, part)
    return reached[-1]


def _after_any(reached: list[bool]) -> list[bool]:
    first = reached.index(True) if True in reached else len(reached)
    return [i >= first for i in range(len(reached))]


def _after_one(reached: list[bool], words: list[str], part: str) -> list[bool]:
    return [False, *(was and part in ("*", word) for was, word in zip(reached, words, strict=False))]
