"""The seams: what the core and the doors need from the outside, as protocols.

No implementation; assembly joins each to one of its adapters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from kazoo_tasks.model.change import Change, Remembered
from kazoo_tasks.model.limits import NO_LIMITS, Limits
from kazoo_tasks.model.outcome import Outcome
from kazoo_tasks.model.task import Task


class Clock(Protocol):
    """The time of day, which may be set, and a time that only goes on."""

    def now(self) -> int:
        """Gregorian seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment in this process's life, whatever the time of day is set to."""
        ...


# --- the journal: what makes changes durable ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the journal held at the start.

    Attributes:
        epoch: The number of this start, higher than of any before; already on disk.
        tasks: Every task, ascending by `seq`; consumed once.
        remembered: Every remembered answer, oldest first; consumed once. A later one for the same request replaces
            an earlier one.
        next_seq: The lowest `seq` that was never given to a task.
    """

    epoch: int
    tasks: Iterable[Task]
    remembered: Iterable[Remembered]
    next_seq: int


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A finished, verified snapshot."""

    path: str
    tasks: int
    size_bytes: int


class Journal(Protocol):
    """Durable changes. One commit is all or nothing, and commits keep the order in which they were asked for."""

    async def load(self) -> Loaded:
        """Open it and read what is there.

        Raises:
            CannotStart: It is in use, unwritable or damaged; the message says what to do.
        """
        ...

    def commit(
        self, changes: Sequence[Change], remembered: Sequence[Remembered] = ()
    ) -> asyncio.Future[None]:
        """Make changes and remembered answers durable together; takes effect whether it is awaited or not.

        The futures are resolved in the order of the calls.

        Raises (when awaited):
            StoreUnavailable: Nothing was written (disk full); the same may succeed later.
            StoreBroken: Nothing is certain any more; the process must end.
        """
        ...

    def forget(self, before: int, max_bytes: int) -> None:
        """Drop remembered answers older than these Gregorian seconds, and the oldest of more than about so many bytes.

        With some later commit.
        """
        ...

    async def snapshot(self, *, asked: bool = False) -> SnapshotInfo:
        """Write and verify a point-in-time copy while commits go on.

        What was asked for is kept apart from what is due, so that it takes the place of no other.

        Raises:
            StoreUnavailable: It could not be written; older snapshots are untouched.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for, mark the stop as clean and let go of the file."""
        ...


# --- the pool: what runs tasks --------------------------------------------------------------------------------------


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

    async def close(self) -> None:
        """End all children and whatever they started; runs under way end as `interrupted` without being reported."""
        ...


# --- the bus: what carries messages ---------------------------------------------------------------------------------


class Delivery(Protocol):
    """A request that was taken from the request queue and must be settled, once."""

    @property
    def body(self) -> bytes:
        """The bytes as sent."""
        ...

    @property
    def routing_key(self) -> str:
        """The key it was published with."""
        ...

    @property
    def content_encoding(self) -> str | None:
        """The AMQP property; `gzip` means what it says."""
        ...

    @property
    def redelivered(self) -> bool:
        """It was handed over before, and not settled; perhaps by a service that ended with it."""
        ...

    async def ack(self) -> None:
        """Done with it. On a connection that is gone it does nothing: the message comes again."""
        ...

    async def reject(self) -> None:
        """Send it to the dead-letter queue. On a connection that is gone it does nothing: it comes again."""
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message of a subscription; there is nothing to settle."""

    body: bytes
    routing_key: str
    content_encoding: str | None = None


class Subscription(Protocol):
    """A private queue that lives as long as its connection and is made anew, under a new name, with the next."""

    @property
    def address(self) -> str | None:
        """Its queue's name now, `None` while there is no connection: what goes into `Server-ID`."""
        ...


_NO_HEADERS: Final[Mapping[str, str]] = {}


class Outgoing(NamedTuple):
    """A message to publish; always transient `application/json`, never with a timestamp."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS


class Bus(Protocol):
    """Kazoo's exchanges `tasks`, `targeted` and `nodes`, wherever they are."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        ...

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages, such as `low on memory`, while it does not; what is sent then waits.

        It tells only who has sent something, so a new connection is not blocked yet.
        """
        ...

    async def open(self, wait_s: float = 0) -> None:
        """Connect for the first time; afterwards the bus reconnects by itself until it is closed.

        A broker that is not there yet is waited for so many seconds. What is asked for meanwhile holds once there is a
        connection.

        Raises:
            CannotStart: The broker cannot be reached until then, or it refuses; the message says which and why.
        """
        ...

    async def consume_requests(self, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        """Have every request handed to `handle`, on this and every later connection."""
        ...

    async def stop_consuming(self) -> None:
        """Take no more requests; those already handed over can still be settled."""
        ...

    async def subscribe(
        self, exchange: str, routing_key: str | None, handle: Callable[[Incoming], None]
    ) -> Subscription:
        """Have messages handed to `handle`; without a routing key the queue is bound by its own name."""
        ...

    def on_disconnect(self, call: Callable[[], None]) -> None:
        """Call back whenever the connection is lost: what was asked over it will not be answered."""
        ...

    async def send(self, *messages: Outgoing) -> None:
        """Hand messages to the broker, all or none, without waiting for its confirmation.

        Raises:
            BusUnavailable: Nothing was sent: there is no connection, or no room while the broker takes nothing.
        """
        ...

    def reconnect(self, why: str) -> None:
        """Give the connection up and make a new one, for who knows that it is no good though it looks alive.

        While the broker blocks us, a new one would be blocked as well: it is made when that ends.
        """
        ...

    async def close(self) -> None:
        """Let what was sent go out, then disconnect."""
        ...


# --- the caller: what asks the service over the bus -----------------------------------------------------------------


class Caller(Protocol):
    """Request and reply over the bus, as crossbar does it."""

    async def call(
        self, event: str, fields: Mapping[str, object], *, msg_id: str | None = None
    ) -> dict[str, object]:
        """Send a request such as `read_req` and give back the whole reply message.

        Args:
            event: The request's `Event-Name`.
            fields: The request's own keys, in the wire's spelling; the default headers are added.
            msg_id: The `Msg-ID`, for a request that may be repeated; a new one if not given.

        Raises:
            BusUnavailable: No connection, connection lost while waiting, or no reply in time: the request may or may
                not have been carried out.
        """
        ...


# --- health: whether the process can do its work --------------------------------------------------------------------


class Health(Protocol):
    """What a supervisor's probe asks."""

    async def unwell(self) -> dict[str, str]:
        """The parts that are unwell, and why; empty while all is well."""
        ...
