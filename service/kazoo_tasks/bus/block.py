"""Hear when the broker blocks publishers, for want of memory or disk, and when it no longer does.

Touches two handlers of one aiormq connection, by their mangled names; called by Link when it connects.

aiormq asks to be told (capability `connection.blocked`) and then only writes it to its log, without a hook
(aio-pika#506).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiormq.abc import AbstractConnection
from pamqp.commands import Connection

BLOCKED: Final = "_Connection__handle_connection_blocked"
UNBLOCKED: Final = "_Connection__handle_connection_unblocked"


def hear(
    connection: AbstractConnection, blocked: Callable[[str], None], unblocked: Callable[[], None]
) -> None:
    """Have `blocked` called with the broker's reason, and `unblocked` when that is over."""

    async def take_blocked(frame: Connection.Blocked) -> None:
        blocked(frame.reason)

    async def take_unblocked(_: Connection.Unblocked) -> None:
        unblocked()

    for name, take in ((BLOCKED, take_blocked), (UNBLOCKED, take_unblocked)):
        _replace(connection, name, take)


def _replace(connection: AbstractConnection, name: str, handler: Any) -> None:
    # Under another name it would never be called, and nobody would miss it: fails instead, when aiormq changes.
    if not hasattr(connection, name):
        raise AttributeError(f"expected aiormq's connection to have {name}, got none")
    setattr(connection, name, handler)
