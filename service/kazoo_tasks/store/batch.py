"""Several commits as one transaction: their sum, and who waits for it.

Pure; filled by the writer, written by the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kazoo_tasks.model.audit import AuditEntry
from kazoo_tasks.model.change import Change, Kind, Remembered
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.model.task import Task

#: Bounds of one transaction: beyond them the waiters' delay grows faster than the throughput.
MAX_COMMITS: Final = 512
MAX_BYTES: Final = 1_000_000
_BYTES_OF_A_ROW: Final = 200


@dataclass(frozen=True, slots=True)
class Commit:
    """What was asked for with one call, and the future that waits for it."""

    changes: Sequence[Change]
    remembered: Sequence[Remembered]
    audited: Sequence[AuditEntry]
    documents: Sequence[Document]
    future: asyncio.Future[None]


@dataclass(slots=True)
class Batch:
    """The sum of commits.

    All of it becomes durable at once, so of a task that changed several times only the last state is written.

    Attributes:
        tasks: By `seq`: the task as it is after the batch, `None` when it is gone.
        documents: By kind and id: the text that they have after it, `None` when they are gone.
        growth: How many more tasks there are after it.
    """

    tasks: dict[int, Task | None] = field(default_factory=dict)
    remembered: list[Remembered] = field(default_factory=list)
    audited: list[AuditEntry] = field(default_factory=list)
    documents: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    futures: list[asyncio.Future[None]] = field(default_factory=list)
    growth: int = 0
    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it should take no more."""
        return len(self.futures) >= MAX_COMMITS or self.size >= MAX_BYTES

    def add(self, commit: Commit) -> None:
        """Take one more, after those that are in it."""
        self.futures.append(commit.future)
        self.remembered.extend(commit.remembered)
        self.audited.extend(commit.audited)
        self.size += sum(_BYTES_OF_A_ROW + len(answer.reply) for answer in commit.remembered)
        self.size += _BYTES_OF_A_ROW * len(commit.audited)
        for document in commit.documents:
            self.documents[document.kind, document.id] = document.text
            self.size += _BYTES_OF_A_ROW + len(document.text or b"")
        for kind, task in commit.changes:
            if kind is Kind.REMOVED:
                self.tasks[task.seq] = None
                self.growth -= 1
            else:
                self.tasks[task.seq] = task
                self.growth += kind is Kind.ADDED
                self.size += (
                    _BYTES_OF_A_ROW + len(task.arguments) + len(task.result or b"") + len(task.error or "")
                )
