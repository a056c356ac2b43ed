"""The logs of tasks: what runs print and log, in memory while they go on, and on disk.

Touches the disk through ports.LogStore; told by the runner, asked by the handlers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.task import Task
from kazoo_tasks.model.task_log import KeptLog, LogPage, LogPart, TaskLog
from kazoo_tasks.ports import LogStore

#: How much of a log that goes on is written a second, as each time it is all of it.
_BYTES_PER_S: Final = 256 * 1024
#: Logs that could not be written are kept in memory, and offered again; but not more of them than this.
_MAX_UNWRITTEN: Final = 64 * 2**20
#: Who waits for more has a place among the requests that are worked on; beyond these they are answered at once.
_MAX_WAITING: Final = 32
_PAGE_BYTES: Final = 256 * 1024

_Key = tuple[str, int]


@dataclass(slots=True)
class _Live:
    """A log that is not all on disk yet."""

    log: TaskLog
    is_over: bool = False
    written: int = 0
    due: float = 0.0


class TaskLogs:
    """A log for each attempt of each task. Losing some of one in a crash is no loss of the task."""

    def __init__(self, store: LogStore, monotonic: Callable[[], float]) -> None:
        """Keep them in the store; `monotonic` gives seconds."""
        self._store = store
        self._monotonic = monotonic
        self._live: dict[_Key, _Live] = {}
        self._waiting: dict[_Key, set[asyncio.Future[None]]] = {}
        #: Why logs cannot be written, while they cannot.
        self.refused: str | None = None
        #: Bytes that were said too late, by what a run had left behind, or that could not be written.
        self.lost_bytes = 0

    # --- told by the runner ---

    def said(self, task: Task, part: LogPart, max_bytes: int) -> None:
        """Take what a run has said, or what it left behind."""
        key = task.id, task.attempt
        live = self._live.get(key)
        if live is None:
            if not task.is_active:
                self.lost_bytes += len(part.data)
                return
            live = self._live[key] = _Live(TaskLog(max_bytes))
        live.log.add(part)
        self._wake(key)

    def ended(self, task: Task) -> None:
        """Take it that the run is over."""
        key = task.id, task.attempt
        live = self._live.get(key)
        if live is not None:
            live.is_over, live.due = True, 0.0
            live.log.finish()
        self._wake(key)

    def removed(self, *tasks: Task) -> None:
        """Drop what tasks had said."""
        for task in tasks:
            for attempt in range(task.attempt + 1):
                self._live.pop((task.id, attempt), None)
                self._wake((task.id, attempt))
        if said := {task.id: task.attempt for task in tasks if task.attempt}:
            self._store.remove(said)

    # --- asked by the handlers ---

    def size(self, task: Task) -> int:
        """How many bytes the run that is under way has said."""
        live = self._live.get((task.id, task.attempt))
        return live.log.size if live is not None else 0

    async def read(self, key: _Key, place: int, wait_s: float) -> LogPage:
        """What an attempt said from a place on; if nothing, wait for more, but no longer than `wait_s`."""
        log = await self._log(key)
        if place >= log.size and wait_s:
            await self._more(key, wait_s)
            log = await self._log(key)
        return log.read(place, _PAGE_BYTES)

    # --- asked by the service, each second ---

    async def write(self, *, last: bool = False) -> None:
        """Write what has come up, and forget what is all on disk; the last time all that there is."""
        now = self._monotonic()
        for key, live in list(self._live.items()):
            if self._live.get(key) is not live:
                continue  # removed while another was written: nothing would remove the file any more
            if live.written < live.log.size and (last or now >= live.due):
                await self._write(key, live)
            if live.is_over and live.written == live.log.size and self._live.get(key) is live:
                del self._live[key]
        self._keep_few()

    async def _write(self, key: _Key, live: _Live) -> None:
        kept = live.log.kept
        try:
            await self._store.write(*key, kept)
        except StoreUnavailable as error:
            self.refused = str(error)
        else:
            self.refused = None
            live.written = kept.size
            live.due = self._monotonic() + _weight(kept) / _BYTES_PER_S

    def _keep_few(self) -> None:
        unwritten = [(key, live) for key, live in self._live.items() if live.is_over]
        sizes = [_weight(live.log.kept) for _, live in unwritten]
        excess = sum(sizes) - _MAX_UNWRITTEN
        for (key, _), size in zip(unwritten, sizes, strict=True):
            if excess <= 0:
                break
            excess -= size
            self.lost_bytes += size
            del self._live[key]

    async def _log(self, key: _Key) -> TaskLog:
        if key not in self._live:
            kept = await self._store.read(*key)
            # It may have begun meanwhile.
            if key not in self._live:
                return TaskLog.restored(kept)
        return self._live[key].log

    async def _more(self, key: _Key, wait_s: float) -> None:
        if sum(map(len, self._waiting.values())) >= _MAX_WAITING:
            return
        more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(more)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await more
        finally:
            waiting.discard(more)
            if not waiting:
                self._waiting.pop(key, None)

    def _wake(self, key: _Key) -> None:
        for more in self._waiting.get(key, ()):
            if not more.done():
                more.set_result(None)


def _weight(kept: KeptLog) -> int:
    return sum(len(part.data) for _, part in kept.parts)
