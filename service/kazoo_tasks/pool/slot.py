"""One place in the pool: the process that fills it now, and the runs that this process was given.

Touches its child's descriptors through the event loop; made and told what to do by pool.supervisor.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Sequence
from typing import Final

from kazoo_tasks.model.outcome import NOBODY, Failed, Failure, Outcome
from kazoo_tasks.pool import outcomes
from kazoo_tasks.pool.capture import Capture
from kazoo_tasks.pool.fork_client import Child
from kazoo_tasks.pool.frame import BadFrame, Frame, Kind, untag
from kazoo_tasks.pool.in_flight import InFlight, frame_of
from kazoo_tasks.pool.link import Link
from kazoo_tasks.pool.observer import Loss, SlotObserver, State
from kazoo_tasks.pool.outcomes import Handling
from kazoo_tasks.pool.stack_reader import ask_for_stack
from kazoo_tasks.pool.usage import LOOK_S, LimitWatch, Usage, usage_of
from kazoo_tasks.pool.wear import Rules, Wear
from kazoo_tasks.ports import Assignment, SlotReport

#: How long a child that closed its connection has to die of its own before it is killed for it.
_DEAF_GRACE_S = 0.5
#: For how long after a run has begun others are sent after it: one that goes on is likely to be a long one.
_FRESH_S = 0.010
#: A child names a few things that cannot be put back.
_MAX_CHANGED: Final = 500
#: Room for a FAILED frame: 32 KiB of trace, each byte six as JSON at the worst, and its reason.
_MIN_FRAME_CAP = 256 * 1024


class Slot:
    """At most one child, and its runs, of which it does one after the other.

    Each run ends or is returned, exactly once; each child is lost exactly once. A child that dies takes the run with it
    that it was at. Those that were sent after it had not begun, since a child answers before it begins the next.
    """

    def __init__(
        self, number: int, loop: asyncio.AbstractEventLoop, observer: SlotObserver, rules: Rules
    ) -> None:
        """Begin empty."""
        self.number = number
        self.state = State.STARTING
        self._loop = loop
        self._observer = observer
        self._rules = rules
        self._child: Child | None = None
        self._link: Link | None = None
        self._capture: Capture | None = None
        self._in_flight: InFlight | None = None
        self._began_at = 0.0
        self._watch: LimitWatch | None = None
        self._handling = Handling()
        self._wear = Wear(rules, loop.time)
        self._worker = NOBODY
        self._was_ready = self._orphaned = self._deliberate = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the child."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> str | None:
        """The task whose run is under way."""
        run = self._in_flight.first if self._in_flight is not None else None
        return run.task_id if run is not None else None

    # --- what the supervisor asks for ---

    def adopt(self, child: Child) -> None:
        """Take in a new process and wait for it to say that it is ready."""
        cap = max(self._rules.max_result_bytes + 1024, _MIN_FRAME_CAP)
        self.state = State.STARTING
        self._child, self._handling = child, Handling()
        self._worker = f"0.{child.pid}.{self.number}"
        self._was_ready = self._orphaned = self._deliberate = False
        self._link = Link(self._loop, child.connection, self, cap)
        self._in_flight = InFlight(child.tickets)
        self._wear = Wear(self._rules, self._loop.time)
        self._capture = Capture(self._loop, child, self._in_flight, self._observer.said, self.number)
        self._loop.add_reader(child.status_fd, self._status_known)
        why = f"it was not ready within {self._rules.start_timeout_s:g} s"
        self._set_timer(self._rules.start_timeout_s, lambda: self.distrusted(why))

    def room(self, ahead: int) -> int:
        """How many runs it would take now, when up to `ahead` may be sent after one that has just begun."""
        if self.state is State.IDLE:
            return 1 + ahead
        fresh = self.state is State.BUSY and self._loop.time() - self._began_at < _FRESH_S
        if not ahead or not fresh or self._orphaned or self._wear.is_outdated:
            return 0
        if self._in_flight is None or self._link is None or self._link.is_full:
            return 0
        return max(0, 1 + ahead - len(self._in_flight))

    def assign(self, assignments: Sequence[Assignment]) -> None:
        """Give the child runs, as many as there is room for."""
        in_flight, link = self._in_flight, self._link
        if in_flight is None or link is None:
            message = "expected a slot with a child, got one without"
            raise LookupError(message)
        in_flight.add(assignments)
        if self.state is State.IDLE:
            self._turn(State.BUSY)
            self._begin(assignments[0])
        link.send(b"".join(map(frame_of, assignments)))

    def take_back(self, task_ids: Collection[str]) -> list[Assignment]:
        """Take out the runs of these tasks that the child has not begun."""
        taken = self._in_flight.take_back(task_ids) if self._in_flight else []
        self._idle_if_done()
        return taken

    def stop(self, task_id: str) -> None:
        """End the run as stopped: SIGTERM now, SIGKILL after the grace; asking again changes nothing."""
        in_flight, link = self._in_flight, self._link
        if in_flight is None or link is None or self.state is not State.BUSY:
            return
        # What is over is over, and nothing may begin any more that the signal is not meant for.
        link.drain()
        others = in_flight.take_back()
        if in_flight.first is not None and in_flight.first.task_id == task_id:
            self._handling.stop_asked = True
            self._ask_to_end(in_flight.first)
        unbegun = next((run for run in others if run.task_id == task_id), None)
        if unbegun is not None:
            others.remove(unbegun)
            outcome = Failed(NOBODY, Failure.STOPPED, "stopped on request, before it began")
            self._observer.ended(task_id, outcome)
        self._idle_if_done()
        self._return(others)

    def retire(self, grace_s: float) -> None:
        """End the child, and not because it failed."""
        self._turn(State.STOPPING)
        self._deliberate = True
        if self._child is not None:
            self._child.signal_group(signal.SIGTERM)
            self._set_timer(grace_s, lambda: self._kill_after(grace_s))

    def outdate(self) -> None:
        """Have this child begin nothing more, and be replaced as soon as it is at nothing."""
        self._wear.is_outdated = True
        if self.state is State.IDLE:
            self.retire(self._rules.stop_grace_s)
        elif self.state is State.BUSY and self._in_flight is not None:
            unbegun = self._in_flight.take_back()
            self._idle_if_done()
            self._return(unbegun)

    def enforce(self, now: float) -> float:
        """Hold the run that is under way to its limits; gives when to look at it again."""
        run = self._in_flight.first if self._in_flight is not None else None
        if run is None or self._child is None or self.state is not State.BUSY:
            return now + LOOK_S
        # Made only now: most runs are over before they are looked at.
        watch = self._watch = (
            self._watch if self._watch and self._watch.run is run else LimitWatch(run, self._began_at)
        )
        if watch.is_too_long(now):
            self._handling.timeout_s = run.limits.timeout_s
            self._ask_to_end(run)
        elif exceeded := watch.excess(self._child.pid, now):
            self._handling.limit, self._deliberate = exceeded, True
            self._turn(State.STOPPING)
            self._kill()
        return watch.again(now)

    async def stack(self) -> str:
        """The stack of the run that is under way; empty if the child does not answer."""
        return await ask_for_stack(self._loop, self._child) if self._child is not None else ""

    def report(self) -> SlotReport:
        """What it is doing, and what that takes."""
        usage = usage_of(self._child.pid) if self._child is not None else Usage(0, 0, 0.0)
        running_s = None if self.running is None else round(self._loop.time() - self._began_at, 3)
        return SlotReport(self.number, str(self.state), self.pid, self.running, running_s, *usage)

    # --- what the link hears ---

    def heard(self, frame: Frame) -> None:
        """Act on what the child said."""
        if frame.kind is Kind.READY:
            self._heard_ready()
        elif frame.kind is Kind.BROKEN:
            self._observer.broken(self, frame.payload.decode(errors="replace"))
        elif frame.kind is Kind.LEAVING:
            self._heard_leaving(frame.payload[:_MAX_CHANGED].decode(errors="replace"))
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
        self._observer.ready(self)
        self._become_idle()

    def _heard_leaving(self, changed: str) -> None:
        ran = self._in_flight.last if self._in_flight is not None else None
        if self._in_flight is None or ran is None:
            return
        # Its end may be known before its last words are read, and is no failure all the same.
        self._deliberate = True
        self._observer.leaves(f"{ran.module}.{ran.function}", changed)
        if self.state in (State.IDLE, State.BUSY):
            # It begins nothing more, so all that it was given goes to another.
            unbegun = self._in_flight.take_back()
            self.retire(self._rules.stop_grace_s)
            self._return(unbegun)

    def _heard_of_run(self, frame: Frame) -> None:
        task_id, payload = untag(frame.payload)
        run = self._in_flight.first if self._in_flight else None
        if run is None or task_id != run.task_id:
            # A late word about a run that is over, such as of a thread it left behind: nobody is to suffer for it.
            return
        if frame.kind in (Kind.PROGRESS, Kind.CHECKPOINT):
            self._heard_meanwhile(frame.kind, task_id, payload)
        else:
            self._heard_end(frame.kind, payload)

    def _heard_meanwhile(self, kind: Kind, task_id: str, payload: bytes) -> None:
        is_progress = kind is Kind.PROGRESS
        limit = self._rules.max_result_bytes
        text = outcomes.of_progress(payload) if is_progress else outcomes.of_checkpoint(payload, limit)
        if text is None:
            message = "expected a report of progress or a checkpoint, got something else"
            raise BadFrame(message)
        (self._observer.progressed if is_progress else self._observer.checkpointed)(task_id, text)

    def _heard_end(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.RESULT:
            outcome: Outcome | None = outcomes.of_result(self._worker, payload, self._rules.max_result_bytes)
        else:
            outcome = outcomes.of_failure(self._worker, payload)
        if outcome is None:
            message = "expected a failure in words, got something else"
            raise BadFrame(message)
        if isinstance(outcome, Failed):
            outcome = outcomes.of_asked(outcome, self._handling)
            if outcome.failure is Failure.KILLED:
                # Somebody else wants this process to end.
                self.distrusted("it was sent SIGTERM by another")
        self._end_run(outcome)

    # --- what becomes of runs and children ---
    def _end_run(self, outcome: Outcome) -> None:
        if self._in_flight is None:
            return
        run = self._in_flight.pop()
        try:
            # First told, then idle: whoever hears of an end never finds the slot taken by the next run already.
            self._observer.ended(run.task_id, outcome)
        finally:
            if self.state is State.BUSY:
                self._go_on(self._in_flight)
            elif self._handling.stop_asked or self._handling.timeout_s is not None:
                # The answer came after SIGTERM was sent: the child may die of it any time, so it gets no other run.
                self._kill()

    def _go_on(self, in_flight: InFlight) -> None:
        if self._child is not None and self._wear.ran(self._child.pid):
            unbegun = in_flight.take_back()
            if not in_flight:
                self.retire(self._rules.stop_grace_s)
            self._return(unbegun)
        if self.state is not State.BUSY:
            return
        if in_flight.first is not None:
            self._begin(in_flight.first)
        else:
            self._become_idle()

    def _ask_to_end(self, run: Assignment) -> None:
        self.retire(self._rules.stop_grace_s if run.limits.grace_s is None else run.limits.grace_s)

    def _begin(self, run: Assignment) -> None:
        self._began_at = self._loop.time()
        self._observer.began(run.task_id)

    def _idle_if_done(self) -> None:
        if self.state is State.BUSY and not self._in_flight:
            self._become_idle()

    def _return(self, unbegun: Sequence[Assignment], *, first: bool = False) -> None:
        if unbegun:
            self._observer.returned(unbegun, first=first)

    def _become_idle(self) -> None:
        if self._orphaned or self._wear.is_outdated:
            # Nobody could tell how this child ends, or there is newer code: it has had its last run.
            self.retire(self._rules.stop_grace_s)
        elif self._link is not None and not self._link.between_frames:
            # Whatever it is, it would be taken for the answer of the next run.
            self.distrusted("it went on writing after its answer")
        else:
            self.state = State.IDLE
            self._observer.freed(self)

    def _status_known(self) -> None:
        child = self._child
        if child is None:
            return
        self._loop.remove_reader(child.status_fd)
        status = child.read_status()
        if status is None and not child.is_dead():
            self._fork_server_died(child)
        else:
            self._died(status)

    def _fork_server_died(self, child: Child) -> None:
        """Let the run go on, which does not need the fork server, but have the kernel tell of the death."""
        self._orphaned = True
        self._loop.add_reader(child.pidfd, lambda: self._died(None))
        if self.state is not State.BUSY:
            self.retire(self._rules.stop_grace_s)

    def _died(self, status: int | None) -> None:
        child, link, in_flight = self._child, self._link, self._in_flight
        if child is None or link is None or in_flight is None:
            return
        # From here on no answer that is still read can make the slot idle, and nothing can be sent to the dead.
        self._turn(State.STOPPING)
        self._child = None
        link.drain()
        unbegun = in_flight.take_back()
        self._release(child, link)
        died_idle = not in_flight
        while in_flight:
            self._observer.ended(
                in_flight.pop().task_id, outcomes.of_death(self._worker, status, self._handling)
            )
        self._return(unbegun, first=died_idle)
        self.state = State.STARTING
        deliberate = self._deliberate or status == -signal.SIGXCPU
        self._observer.lost(self, Loss(self._last_words(status), self._was_ready, deliberate))

    def _release(self, child: Child, link: Link) -> None:
        self._cancel_timer()
        link.close()
        if self._capture is not None:
            self._capture.close()
        if self._orphaned:
            self._loop.remove_reader(child.pidfd)
        # Whatever the child had started goes with it, however it ended itself.
        child.signal_group(signal.SIGKILL)
        child.let_go()

    def _last_words(self, status: int | None) -> str:
        why = self._handling.distrust
        return f"{outcomes.in_words(status)}, by the pool: {why}" if why else outcomes.in_words(status)

    def _kill_after(self, grace_s: float) -> None:
        self._handling.grace_s = grace_s
        self._kill()

    def _kill(self) -> None:
        if self._child is not None:
            self._child.signal_group(signal.SIGKILL)

    def _turn(self, state: State) -> None:
        was, self.state = self.state, state
        if was is State.IDLE:
            self._observer.taken(self)

    def _set_timer(self, delay_s: float, call: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(delay_s, call)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
