"""The pool: what runs tasks. All that goes through it is plain values, since a pool may be a network away.

No implementation; pool.supervisor has one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from kazoo_tasks.model.limits import NO_LIMITS, Limits
from kazoo_tasks.model.outcome import Outcome
from kazoo_tasks.model.task_log import LogPart


class Assignment(NamedTuple):
    """One run of one function.

    Attributes:
        arguments: JSON text of an array.
        attempt: 1 for the first run.
        account_id: Whose task it is, for the function to know.
        checkpoint: JSON text of what an earlier attempt has kept.
    """

    task_id: str
    module: str
    function: str
    arguments: bytes
    attempt: int = 1
    account_id: str = ""
    limits: Limits = NO_LIMITS
    checkpoint: bytes | None = None


class SlotReport(NamedTuple):
    """A slot at one moment.

    Attributes:
        state: `starting`, `idle`, `busy`, `stopping` or `resting`.
        pid: Of its child, if it has one.
        task_id: What it runs.
        running_s: For how long.
        processes: The child and all below it.
        memory_bytes: Their resident memory.
        cpu_s: Their processor time since they began.
    """

    slot: int
    state: str
    pid: int | None
    task_id: str | None
    running_s: float | None
    processes: int
    memory_bytes: int
    cpu_s: float


class PoolWatcher(Protocol):
    """Who is told what happens in the pool; called on the event loop, must not block or raise."""

    def began(self, task_id: str) -> None:
        """A run is the next thing that a child does."""
        ...

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """A run is over: exactly once for each assignment that was not returned, whatever became of the child."""
        ...

    def returned(self, assignments: Sequence[Assignment]) -> None:
        """No child has begun these, and none will: theirs died, or is to be stopped for another run."""
        ...

    def progressed(self, task_id: str, progress: bytes) -> None:
        """A run reported progress: JSON text of `{"done": n, "total"?: n, "note"?: text}`."""
        ...

    def checkpointed(self, task_id: str, checkpoint: bytes) -> None:
        """A run has something to be kept for the next attempt: JSON text."""
        ...

    def said(self, task_id: str, part: LogPart) -> None:
        """A run printed or logged something: all of it before its end is told, and the rest by what it left behind."""
        ...

    def idle(self) -> None:
        """A slot became ready for an assignment."""
        ...


class Pool(Protocol):
    """A fixed number of slots, each a child process that runs one task at a time."""

    @property
    def size(self) -> int:
        """How many slots there are."""
        ...

    def room(self, ahead: int = 0) -> int:
        """How many assignments would be taken now, when up to `ahead` may be sent to a child behind another."""
        ...

    async def start(self, watcher: PoolWatcher) -> None:
        """Have every slot ready.

        Raises:
            CannotStart: A child does not come up; the message says why.
        """
        ...

    def assign(self, assignments: Iterable[Assignment], ahead: int = 0) -> int:
        """Give runs to slots, as many from the front as there is room for; gives how many."""
        ...

    def take_back(self, task_ids: Collection[str]) -> list[Assignment]:
        """Take back the runs of these tasks that no child has begun; nothing more is told of them."""
        ...

    def stop(self, task_id: str) -> None:
        """End a run as `stopped`: SIGTERM, grace, SIGKILL of its process group; unknown ids are ignored."""
        ...

    async def stack(self, task_id: str) -> str | None:
        """Where a run is: the stack of each of its threads and coroutines, as text.

        It is neither stopped nor slowed down. Empty if it does not answer within a second; `None` if it does not run.
        """
        ...

    def reports(self) -> list[SlotReport]:
        """Every slot, and what its child takes."""
        ...

    async def prepare_reload(self) -> None:
        """Have the task modules imported afresh, beside what runs; what was prepared before is let go of.

        Raises:
            CannotReload: They cannot be; the message says which and why.
        """
        ...

    def discard_reload(self) -> None:
        """Let go of what was prepared."""
        ...

    def reload(self) -> None:
        """Have every run from here on begin with what was prepared; those that are under way go on as they are.

        Raises:
            CannotReload: Nothing was prepared.
        """
        ...

    async def close(self) -> None:
        """End all children and whatever they started; runs under way end as `interrupted` without being reported."""
        ...
