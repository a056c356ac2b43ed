"""A connection to the running service, as the operator's commands need it.

Touches the bus for as long as a command takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from kazoo_tasks.assembly.door import build_bus, is_shared, opened_bus, sender_of
from kazoo_tasks.bus.caller import DEFAULT_TIMEOUT_S, BusCaller
from kazoo_tasks.model.errors import REFUSALS, CannotStart, KazooTasksError
from kazoo_tasks.settings import Settings
from kazoo_tasks.wire.codec import encode

Ask = Callable[[str, Mapping[str, object]], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def connected(settings: Settings, timeout_s: float = DEFAULT_TIMEOUT_S) -> AsyncIterator[Ask]:
    """Give something to ask the service with: an event's name and fields in, the reply message out.

    Raises:
        CannotStart: The broker cannot be reached.
        BusUnavailable: From asking: the service does not answer.
        KazooTasksError: From asking: it refuses; the message is its word for why, and the details.
    """
    if not is_shared(settings):
        raise CannotStart("expected an amqp:// URL; nobody can be reached over memory://")
    bus = build_bus(settings)
    async with opened_bus(bus, bus.open()):
        caller = BusCaller(bus, sender_of(settings), timeout_s)
        await caller.open()

        async def ask(event: str, fields: Mapping[str, object]) -> dict[str, Any]:
            return _granted(await caller.call(event, fields))

        yield ask


def _granted(reply: dict[str, Any]) -> dict[str, Any]:
    if reply.get("Event-Category") == "error":
        raise KazooTasksError(str(reply.get("Error-Message")))
    if isinstance(word := reply.get("Reply"), str):
        raise KazooTasksError(_refusal(word, reply.get("Error")))
    return reply


def _refusal(word: str, detail: object) -> str:
    """The word of a refusal, what it means, and what is said of this one."""
    meaning = f"{word}: {REFUSALS[word]()}" if word in REFUSALS else word
    return f"{meaning} {encode(detail).decode()}" if detail else meaning
