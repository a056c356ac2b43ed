"""One place in the pool: the process that fills it now, and the run that this process has.

Touches its child's descriptors through the event loop; made and told what to do by pool.supervisor.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from kazoo_tasks.model.outcome import NOBODY, Failed, Failure, Outcome
from kazoo_tasks.pool import verdict
from kazoo_tasks.pool.frame import BadFrame, Frame, Kind, Request, untag
from kazoo_tasks.pool.link import Link
from kazoo_tasks.pool.nursery import Child
from kazoo_tasks.pool.progress import is_report
from kazoo_tasks.pool.verdict import Handling
from kazoo_tasks.ports import Assignment

#: How long a child that closed its connection has to die of its own before it is killed for it.
_DEAF_GRACE_S = 0.5
#: How often an assignment is given to the next child because the one before died without having read it.
_MAX_REDELIVERIES = 3
#: Room for a FAILED frame: 32 KiB of trace, each byte six as JSON at the worst, and its reason.
_MIN_FRAME_CAP = 256 * 1024


class State(StrEnum):
    """What a slot is doing."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    RESTING = "resting"


class Keeper(Protocol):
    """Who keeps the slots; called on the event loop."""

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """A run of this slot is over; the slot is not idle yet."""
        ...

    def progressed(self, task_id: str, progress: bytes) -> None:
        """A run reported progress."""
        ...

    def freed(self, slot: Slot) -> None:
        """The slot is idle now."""
        ...

    def taken(self, slot: Slot) -> None:
        """The slot is idle no more."""
        ...

    def ready(self, slot: Slot) -> None:
        """The slot's child came up; `freed` follows, or the run goes on that waited for it."""
        ...

    def broken(self, slot: Slot, reason: str) -> None:
        """The slot's child says that it cannot come up; `lost` follows."""
        ...

    def lost(self, slot: Slot, loss: Loss) -> None:
        """The slot's child is dead and the slot needs another."""
        ...


@dataclass(frozen=True, slots=True)
class Loss:
    """How a slot lost its child.

    Attributes:
        status: In words.
        was_ready: It had come up.
        deliberate: The pool wanted it to end.
    """

    status: str
    was_ready: bool
    deliberate: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every slot of a pool."""

    stop_grace_s: float
    start_timeout_s: float
    max_result_bytes: int


class Slot:
    """At most one child and at most one run; each run ends exactly once, each child is lost exactly once."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop, keeper: Keeper, rules: Rules) -> None:
        """Begin empty."""
        self.number = number
        self.state = State.STARTING
        self._loop = loop
        self._keeper = keeper
        self._rules = rules
        self._child: Child | None = None
        self._link: Link | None = None
        self._run: Assignment | None = None
        self._redeliveries = 0
        self._delivered = False
        self._handling = Handling()
        self._pid = 0
        self._was_ready = self._orphaned = self._deliberate = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def occupied(self) -> bool:
        """Whether there is a process."""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """The process id of the child."""
        return self._child.pid if self._child else None

    # --- what the supervisor asks for ---

    def adopt(self, child: Child) -> None:
        """Take in a new process and wait for it to say that it is ready."""
        cap = max(self._rules.max_result_bytes + 1024, _MIN_FRAME_CAP)
        self.state = State.STARTING
        self._child, self._pid, self._handling = child, child.pid, Handling()
        self._was_ready = self._orphaned = self._deliberate = self._delivered = False
        self._link = Link(self._loop, child.connection, self, cap)
        self._loop.add_reader(child.status_fd, self._status_known)
        why = f"it was not ready within {self._rules.start_timeout_s:g} s"
        self._set_timer(self._rules.start_timeout_s, lambda: self.distrusted(why))

    def assign(self, assignment: Assignment) -> None:
        """Give the idle child a run."""
        self._run = assignment
        self._redeliveries = 0
        self._deliver()

    def stop(self) -> None:
        """End the run as stopped: SIGTERM now, SIGKILL after the grace; asking again changes nothing."""
        if self._run is None or self._handling.stop_asked:
            return
        if self.state is State.BUSY:
            self._handling.stop_asked = True
            self.retire(self._rules.stop_grace_s)
        elif self.state is State.STARTING:
            # It waits for a child to come up, so there is nothing to be signalled.
            self._end_run(Failed(NOBODY, Failure.STOPPED, "stopped on request, before it began"))

    def retire(self, grace_s: float) -> None:
        """End the child, and not because it failed."""
        self._turn(State.STOPPING)
        self._deliberate = True
        if self._child is not None:
            self._child.signal_group(signal.SIGTERM)
            self._set_timer(grace_s, lambda: self._kill_after(grace_s))

    def rest(self) -> None:
        """Say that there will be no child for a while; a run that waited for one has waited long enough."""
        self.state = State.RESTING
        if self._run is not None:
            self._end_run(
                Failed(NOBODY, Failure.KILLED, "no child of its slot lived long enough to begin it")
            )

    # --- what the link hears ---

    def heard(self, frame: Frame) -> None:
        """Act on what the child said."""
        if frame.kind is Kind.READY:
            self._heard_ready()
        elif frame.kind is Kind.BROKEN:
            self._keeper.broken(self, frame.payload.decode(errors="replace"))
        else:
            self._heard_of_run(frame)

    def distrusted(self, why: str) -> None:
        """Kill a child whose word is worth nothing."""
        self._handling.distrust = self._handling.distrust or why
        self._turn(State.STOPPING)
        self._kill()

    def hung_up(self) -> None:
        """Wait a little for the status, which tells more than the end of the connection does."""
        if self._child is not None and self.state is not State.STOPPING:
            self._turn(State.STOPPING)
            self._set_timer(
                _DEAF_GRACE_S, lambda: self.distrusted("it had closed its connection to the service")
            )

    def _heard_ready(self) -> None:
        if self._was_ready:
            message = "expected to hear of being ready once, got it again"
            raise BadFrame(message)
        self._was_ready = True
        if self.state is not State.STARTING:
            return
        self._cancel_timer()
        self._keeper.ready(self)
        if self._run is not None:
            self._deliver()
        else:
            self._become_idle()

    def _heard_of_run(self, frame: Frame) -> None:
        task_id, payload = untag(frame.payload)
        if self._run is None or task_id != self._run.task_id:
            # A late word about a run that is over, such as of a thread it left behind: nobody is to suffer for it.
            return
        if frame.kind is Kind.PROGRESS:
            self._heard_progress(task_id, payload)
        else:
            self._heard_end(frame.kind, payload)

    def _heard_progress(self, task_id: str, payload: bytes) -> None:
        if not is_report(payload):
            message = "expected a report of progress, got something else"
            raise BadFrame(message)
        self._keeper.progressed(task_id, payload)

    def _heard_end(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.RESULT:
            outcome: Outcome | None = verdict.of_result(self._worker(), payload, self._rules.max_result_bytes)
        else:
            outcome = verdict.of_failure(self._worker(), payload)
        if outcome is None:
            message = "expected a failure in words, got something else"
            raise BadFrame(message)
        if isinstance(outcome, Failed) and self._handling.stop_asked:
            # What the function raised because of SIGTERM is how it stopped, not why it failed.
            outcome = Failed(
                outcome.worker, Failure.STOPPED, f"stopped on request, {outcome.reason}", outcome.trace
            )
        self._end_run(outcome)

    # --- what becomes of runs and children ---

    def _deliver(self) -> None:
        run, link = self._run, self._link
        if run is None or link is None:
            return
        self._turn(State.BUSY)
        self._delivered = True
        link.send(Request(run.task_id, run.module, run.function, run.attempt, run.arguments).encode())

    def _end_run(self, outcome: Outcome) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        try:
            # First told, then idle: whoever hears of an end never finds the slot taken by the next run already.
            self._keeper.ended(run.task_id, outcome)
        finally:
            if self.state is State.BUSY:
                self._become_idle()
            elif self._handling.stop_asked:
                # The answer came after SIGTERM was sent: the child may die of it any time, so it gets no other run.
                self._kill()

    def _become_idle(self) -> None:
        if self._orphaned:
            # Nobody could tell how this child ends, so it has had its last run.
            self.retire(self._rules.stop_grace_s)
        elif self._link is not None and not self._link.between_frames:
            # Whatever it is, it would be taken for the answer of the next run.
            self.distrusted("it went on writing after its answer")
        else:
            self.state = State.IDLE
            self._keeper.freed(self)

    def _status_known(self) -> None:
        child = self._child
        if child is None:
            return
        self._loop.remove_reader(child.status_fd)
        status = child.read_status()
        if status is None and not child.is_dead():
            self._fork_server_died(child)
        else:
            self._buried(status)

    def _fork_server_died(self, child: Child) -> None:
        """Let the run go on, which does not need the fork server, but have the kernel tell of the death."""
        self._orphaned = True
        self._loop.add_reader(child.pidfd, lambda: self._buried(None))
        if self.state is not State.BUSY:
            self.retire(self._rules.stop_grace_s)

    def _buried(self, status: int | None) -> None:
        child, link = self._child, self._link
        if child is None or link is None:
            return
        # From here on no answer that is still read can make the slot idle, and nothing can be sent to the dead.
        self._turn(State.STOPPING)
        self._child = None
        link.drain()
        self._release(child, link)
        self._settle_run(status, link)
        self.state = State.STARTING
        self._keeper.lost(self, Loss(self._last_words(status), self._was_ready, self._deliberate))

    def _release(self, child: Child, link: Link) -> None:
        self._cancel_timer()
        link.close()
        if self._orphaned:
            self._loop.remove_reader(child.pidfd)
        # Whatever the child had started goes with it, however it ended itself.
        child.signal_group(signal.SIGKILL)
        child.let_go()

    def _settle_run(self, status: int | None, link: Link) -> None:
        if self._run is None:
            return
        began = self._delivered and not link.undelivered
        if not began and not self._handling.stop_asked and self._redeliveries < _MAX_REDELIVERIES:
            # The child died before it had read the assignment, so the function never began: the next child gets it.
            self._redeliveries += self._delivered
            return
        self._end_run(verdict.of_death(self._worker(), status, self._handling))

    def _worker(self) -> str:
        return f"0.{self._pid}.{self.number}"

    def _last_words(self, status: int | None) -> str:
        why = self._handling.distrust
        return f"{verdict.in_words(status)}, by the pool: {why}" if why else verdict.in_words(status)

    def _kill_after(self, grace_s: float) -> None:
        self._handling.grace_s = grace_s
        self._kill()

    def _kill(self) -> None:
        if self._child is not None:
            self._child.signal_group(signal.SIGKILL)

    def _turn(self, state: State) -> None:
        was, self.state = self.state, state
        if was is State.IDLE:
            self._keeper.taken(self)

    def _set_timer(self, delay_s: float, call: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(delay_s, call)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
