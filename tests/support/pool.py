"""A pool under test: one that remembers what it was told, with questions to ask the system about processes.

Used by the tests of the pool.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from kazoo_tasks.model.limits import NO_LIMITS
from kazoo_tasks.model.outcome import Failed, Outcome, Succeeded
from kazoo_tasks.model.task_log import LogPart, Stream
from kazoo_tasks.pool.settings import PoolSettings
from kazoo_tasks.pool.supervisor import ProcessPool
from kazoo_tasks.ports import Assignment

MODULE = "support.tasks_for_pool"
SETTINGS = PoolSettings(size=2, modules=(MODULE,), stop_grace_s=0.3, close_grace_s=0.3)


class Bench:
    """A started pool and all that it said; the watcher of its own pool."""

    def __init__(self, settings: PoolSettings) -> None:
        self.pool = ProcessPool(settings)
        self._module = settings.modules[0].rpartition(".")[2]
        self.outcomes: dict[str, list[Outcome]] = {}
        self.progress: list[dict[str, object]] = []
        self.checkpoints: list[object] = []
        self.logs: dict[str, list[LogPart]] = {}
        #: What is done with what runs say.
        self.hear: Callable[[str, LogPart], None] = self._keep
        self.idle_when_ended: list[int] = []
        self.idle_calls = 0
        self.begun: list[str] = []
        self.given_back: list[str] = []
        self._again: deque[Assignment] = deque()
        #: Of the runs from here on.
        self.limits = NO_LIMITS
        #: How many runs are sent ahead to a child.
        self.ahead = 0
        #: Whether what comes back is given to the pool again, as the core does.
        self.gives_again = True
        self.changed = asyncio.Condition()
        self._ids = count(1)

    def began(self, task_id: str) -> None:
        self.begun.append(task_id)
        self._tell()

    def returned(self, assignments: Sequence[Assignment]) -> None:
        self.given_back += [assignment.task_id for assignment in assignments]
        if self.gives_again:
            self._again.extendleft(reversed(assignments))
        self._give_again()
        self._tell()

    def ended(self, task_id: str, outcome: Outcome) -> None:
        self.outcomes.setdefault(task_id, []).append(outcome)
        self.idle_when_ended.append(self.pool.room())
        self._tell()

    def checkpointed(self, _task_id: str, checkpoint: bytes) -> None:
        self.checkpoints.append(json.loads(checkpoint))

    def said(self, task_id: str, part: LogPart) -> None:
        self.hear(task_id, part)
        self._tell()

    def _keep(self, task_id: str, part: LogPart) -> None:
        self.logs.setdefault(task_id, []).append(part)

    def progressed(self, _task_id: str, progress: bytes) -> None:
        self.progress.append(json.loads(progress))
        self._tell()

    def idle(self) -> None:
        self.idle_calls += 1
        self._give_again()
        self._tell()

    def _give_again(self) -> None:
        for _ in range(self.pool.assign(self._again, self.ahead)):
            self._again.popleft()

    def _tell(self) -> None:
        self._waker = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def begin(self, function: str, *arguments: object) -> str:
        """Assign a run as soon as a slot is idle."""
        run = self.a_run(function, *arguments)
        async with asyncio.timeout(20), self.changed:
            # Room behind a run that has just begun may be gone in the moment after it was seen.
            await self.changed.wait_for(lambda: self.pool.assign([run], self.ahead))
        return run.task_id

    def a_run(self, function: str, *arguments: object) -> Assignment:
        """One run of a function, not yet assigned."""
        text = json.dumps(arguments).encode()
        names = (f"task-{next(self._ids)}", self._module, function)
        return Assignment(*names, text, account_id="account", limits=self.limits)

    async def outcome(self, task_id: str, within_s: float = 30) -> Outcome:
        """Wait for the end of a run; there must be just one."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(lambda: task_id in self.outcomes)
        (outcome,) = self.outcomes[task_id]
        return outcome

    async def run(self, function: str, *arguments: object) -> Outcome:
        return await self.outcome(await self.begin(function, *arguments))

    async def result(self, function: str, *arguments: object) -> object:
        outcome = await self.run(function, *arguments)
        assert isinstance(outcome, Succeeded), outcome
        return None if outcome.result is None else json.loads(outcome.result)

    async def failure(self, function: str, *arguments: object) -> Failed:
        return failed(await self.run(function, *arguments))

    def printed(self, task_id: str, stream: Stream = Stream.STDOUT) -> bytes:
        """What a run has printed until now."""
        return b"".join(part.data for part in self.logs.get(task_id, []) if part.stream is stream)

    async def whole(self) -> None:
        """Wait until every slot is idle."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.pool.room() == self.pool.size)


def failed(outcome: Outcome) -> Failed:
    """Expect a failure."""
    assert isinstance(outcome, Failed), outcome
    return outcome


@asynccontextmanager
async def a_pool(**changes: object) -> AsyncIterator[Bench]:
    """Start a pool with the tests' settings, changed as said, and close it."""
    bench = Bench(replace(SETTINGS, **changes))  # type: ignore[arg-type]  # any setting may be changed
    await bench.pool.start(bench)
    try:
        yield bench
    finally:
        await bench.pool.close()


async def until(fact: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells of."""
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 - processes and files set no asyncio.Event
            await asyncio.sleep(0)


async def written(path: Path) -> int:
    """Wait until a task has written a process id into a file."""
    (pid,) = await all_written(path)
    return pid


async def all_written(path: Path) -> list[int]:
    """Wait until a task has written process ids into a file."""
    await until(lambda: bool(_content(path)))
    return [int(pid) for pid in _content(path).split()]


def _content(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.exists() else ""


def open_descriptors() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


def descendants(pid: int) -> dict[int, str]:
    """Give every process below one, with its command line."""
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {each: _command(each) for each in found - {pid}}


def await_death(pids: list[int], within_s: float) -> list[int]:
    """Give those that are still alive after a time; zombies are dead."""
    return [pid for pid in pids if not _dies(pid, within_s)]


def _dies(pid: int, within_s: float) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], within_s)[0])
    finally:
        os.close(pidfd)


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
