"""Run kazoo-tasks with one promise broken on purpose, to see that the fault lab notices.

Touches the product's classes, in its own process only; run as a program by the lab: `broken_build.py VARIANT service`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kazoo_tasks.cli.main import main
from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.listener.listener import Listener
from kazoo_tasks.model.audit import AuditEntry
from kazoo_tasks.model.change import Change, Remembered
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.ports import Delivery
from kazoo_tasks.store.sqlite import SqliteJournal

#: What these builds take for a disk: slow, so that a few kills are enough to hit the gap.
_SLOW_DISK_S = 0.05
_commit = SqliteJournal.commit


def ack_before_commit() -> None:
    """The message is acked first: whatever happens then, the broker will not bring it again."""
    answer = Listener._answer

    async def ack_and_answer(self: Listener, delivery: Delivery, request: Any, verb: Any) -> None:
        await delivery.ack()
        await asyncio.sleep(_SLOW_DISK_S)
        await answer(self, delivery, request, verb)

    Listener._answer = ack_and_answer  # type: ignore[method-assign]  # that is the fault


def reply_before_commit() -> None:
    """What is asked for counts as written at once, and is written later."""

    def commit_later(
        self: SqliteJournal,
        changes: Sequence[Change],
        remembered: Sequence[Remembered] = (),
        audited: Sequence[AuditEntry] = (),
        documents: Sequence[Document] = (),
    ) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        loop.call_later(_SLOW_DISK_S, _commit, self, changes, remembered, audited, documents)
        done: asyncio.Future[None] = loop.create_future()
        done.set_result(None)
        return done

    SqliteJournal.commit = commit_later  # type: ignore[method-assign]  # that is the fault


def no_dedupe() -> None:
    """Every request has its effect, however often it comes."""

    async def always(self: Ledger, requester: Requester, effect: Callable[[], Awaitable[bytes]]) -> bytes:
        return await effect()

    def never(self: Ledger, requester: Requester) -> bool:
        return False

    Ledger.once = always  # type: ignore[method-assign]  # that is the fault
    Ledger.was_asked = never  # type: ignore[method-assign]  # that is the fault


VARIANTS = {each.__name__: each for each in (ack_before_commit, reply_before_commit, no_dedupe)}

if __name__ == "__main__":
    VARIANTS[sys.argv.pop(1)]()
    main()
