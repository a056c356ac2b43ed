"""What children say of their runs, gathered and written down together: how far they are, what they keep, their ends.

Touches the ledger; filled and written by the runner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.retries import Retries
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import Refused, StoreUnavailable
from kazoo_tasks.model.outcome import Outcome, Succeeded
from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.attempt import history_with

#: How long an outcome that the store refuses (full disk) waits before it is offered again.
_RETRY_S: Final = 1.0


class _Heard(NamedTuple):
    """What was said, by task."""

    reports: Mapping[str, bytes]
    kept: Mapping[str, bytes]
    over: Mapping[str, Outcome]


class Words:
    """What was said since it was written last.

    Attributes:
        reports: The last progress of each task that told of some.
        kept: The last checkpoint of each that kept one.
        over: How those ended that did.
    """

    def __init__(self, ledger: Ledger, logs: TaskLogs, retries: Retries) -> None:
        """Nothing was said."""
        self._ledger = ledger
        self._logs = logs
        self._retries = retries
        self.reports: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.over: dict[str, Outcome] = {}

    def __bool__(self) -> bool:
        """Whether there is something to be written."""
        return bool(self.reports or self.kept or self.over)

    async def write(self) -> Collection[str]:
        """Write it down: reports before ends, since a task that has ended takes no more of them. Gives what is over."""
        heard = _Heard(self.reports, self.kept, self.over)
        self.reports, self.kept, self.over = {}, {}, {}
        async with self._ledger.locks.hold(*{**heard.reports, **heard.kept, **heard.over}):
            await self._commit(heard)
        for task_id in heard.over:
            with suppress(Refused):  # removed by whoever waited for its end
                self._logs.ended(self._ledger.registry.get(task_id))
        return heard.over

    async def _commit(self, heard: _Heard) -> None:
        try:
            await self._ledger.commit(list(self._changes(heard)))
        except StoreUnavailable:
            if heard.kept or heard.over:  # reports alone may get lost: the next one tells more anyway
                await asyncio.sleep(_RETRY_S)
                await self._commit(heard)

    def _changes(self, heard: _Heard) -> Iterator[Change]:
        tasks: dict[str, Task] = {}
        steps: tuple[tuple[Mapping[str, Any], Callable[[Task, Any], Change]], ...] = (
            (heard.reports, lambda task, progress: Change(Kind.PROGRESSED, task.report(progress))),
            (heard.kept, lambda task, checkpoint: Change(Kind.CHECKPOINTED, task.keep(checkpoint))),
            (heard.over, self._end),
        )
        for said, step in steps:
            for task_id, word in said.items():
                # A word about what is over or gone must not cost those that it came with.
                with suppress(Refused):
                    change = step(tasks.get(task_id) or self._ledger.registry.get(task_id), word)
                    tasks[task_id] = change.task
                    yield change

    def _end(self, task: Task, outcome: Outcome) -> Change:
        ended_at = self._ledger.end_time(task)
        if isinstance(outcome, Succeeded):
            return Change(Kind.ENDED, task.succeed(ended_at, outcome.result))
        retry_at = self._retries.retry_at(task, outcome, self._ledger.now())
        if retry_at is None:
            return Change(Kind.ENDED, task.fail(ended_at, outcome.text()))
        history = history_with(task, ended_at, outcome.text())
        return Change(Kind.RETRYING, task.try_again(retry_at, history))
