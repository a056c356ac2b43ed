"""The pool itself: keep every slot filled, hand runs to idle ones, and leave no process behind.

Touches the slots and the thread in which children are forked; called by core.handlers through ports.Pool.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields

import structlog

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.model.outcome import NOBODY, Failed, Failure, Outcome
from kazoo_tasks.model.task_log import LogPart
from kazoo_tasks.pool.fork_servers import ForkServers, Generation
from kazoo_tasks.pool.intensity import Intensity, Restart
from kazoo_tasks.pool.observer import Loss, State
from kazoo_tasks.pool.settings import PoolSettings
from kazoo_tasks.pool.slot import Slot
from kazoo_tasks.pool.usage import LOOK_S
from kazoo_tasks.pool.wear import Rules
from kazoo_tasks.ports import Assignment, PoolWatcher, SlotReport

_log = structlog.get_logger(__name__)
#: SIGKILL cannot be refused, but a process in a hung system call does not get it; the close is not to wait for that.
_DYING_S = 5.0
_HANG_UP_AGAIN_S = 0.1
#: Longer arguments go to an idle child only, and nothing is sent behind them: they would lie twice in our memory.
_MAX_AHEAD_BYTES = 16 * 1024
#: How often the next child gets a run because the one before died when it was to begin it.
_MAX_RETURNS = 3


class ProcessPool:
    """Slots with a process each; nothing is shared between them, so a death takes no more than its own run."""

    def __init__(self, settings: PoolSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Start nothing yet.

        Args:
            settings: What it is to be.
            clock: Monotonic seconds, for the restart intensity.
        """
        self._settings = settings
        self._clock = clock
        self._slots: list[Slot] = []
        self._idle: dict[Slot, None] = {}
        self._given: dict[str, Slot] = {}
        self._returns: Counter[str] = Counter()
        self._intensities: dict[Slot, Intensity] = {}
        self._awaited: dict[Slot, asyncio.Future[None]] = {}
        self._forks: set[asyncio.Task[None]] = set()
        self._timers: dict[Slot, asyncio.TimerHandle] = {}
        #: How many children each function has used up by what it changed of the process.
        self.retirements: Counter[str] = Counter()
        self._emptied = asyncio.Event()
        self._closing = False
        self._watcher: PoolWatcher
        self._loop: asyncio.AbstractEventLoop
        self._servers: ForkServers
        self._generations: dict[Slot, Generation] = {}
        self._watching: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """How many slots there are."""
        return self._settings.size

    def room(self, ahead: int = 0) -> int:
        """How many assignments would be taken now; without `ahead` those for which a slot is idle."""
        return sum(slot.room(ahead) for slot in self._slots) if ahead else len(self._idle)

    @property
    def resting_slots(self) -> int:
        """How many slots have no child because too many of theirs died; more than none is unhealthy."""
        return sum(slot.state is State.RESTING for slot in self._slots)

    @property
    def pids(self) -> dict[int, int]:
        """The process id of each slot's child, by the slot's number; slots without one are left out."""
        return {slot.number: slot.pid for slot in self._slots if slot.pid is not None}

    async def start(self, watcher: PoolWatcher) -> None:
        """Have every slot ready; if one cannot be, the pool is closed again.

        Raises:
            CannotStart: A child does not come up; the message says why.
        """
        self._watcher, self._loop = watcher, asyncio.get_running_loop()
        self._servers = ForkServers(self._loop, self._settings)
        for number in range(1, self.size + 1):
            self._open_slot(number)
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                await asyncio.gather(*self._awaited.values())
        except TimeoutError:
            await self.close()
            message = (
                f"expected the pool to be ready within {self._settings.start_timeout_s:g} s, and it is not"
            )
            raise CannotStart(message) from None
        except BaseException:
            await self.close()
            raise
        self._awaited.clear()
        self._watch()

    def assign(self, assignments: Iterable[Assignment], ahead: int = 0) -> int:
        """Give runs to idle slots, the one first that was busy last, since its memory is still warm; then send ahead.

        Args:
            assignments: In the order in which they are to begin.
            ahead: How many runs may be sent to a child behind one that it has only just begun.

        Returns:
            How many were taken, from the front.
        """
        portions: dict[Slot, list[Assignment]] = {}
        room = {slot: slot.room(ahead) for slot in (*reversed(self._idle), *(self._slots if ahead else ()))}
        taken = 0
        for assignment in assignments:
            slot = max(room, key=room.__getitem__, default=None)
            if slot is None or not room[slot]:
                break
            room[slot] -= 1
            if len(assignment.arguments) > _MAX_AHEAD_BYTES:
                if slot not in self._idle or slot in portions:
                    break
                room[slot] = 0
            taken += 1
            self._given[assignment.task_id] = slot
            portions.setdefault(slot, []).append(assignment)
        for slot, portion in portions.items():
            slot.assign(portion)
        return taken

    def take_back(self, task_ids: Collection[str]) -> list[Assignment]:
        """Take back the runs of these tasks that no child has begun; they are not heard of again."""
        slots = {self._given[task_id] for task_id in task_ids if task_id in self._given}
        taken = [assignment for slot in slots for assignment in slot.take_back(task_ids)]
        for assignment in taken:
            self._forget(assignment.task_id)
        return taken

    def stop(self, task_id: str) -> None:
        """End a run as `stopped`, with all processes of its group; unknown ids are ignored.

        An answer that is read before the child is dead is still the outcome: then the function did return.
        """
        slot = self._given.get(task_id)
        if slot is not None:
            slot.stop(task_id)

    async def stack(self, task_id: str) -> str | None:
        """Where a run is; empty if it does not answer, `None` if no child has begun it."""
        slot = next((slot for slot in self._slots if slot.running == task_id), None)
        return await slot.stack() if slot is not None else None

    def reports(self) -> list[SlotReport]:
        """Every slot, and what its child takes."""
        return [slot.report() for slot in self._slots]

    async def prepare_reload(self) -> None:
        """See `ports.Pool`."""
        await self._servers.prepare()

    def discard_reload(self) -> None:
        """See `ports.Pool`."""
        self._servers.discard()

    def reload(self) -> None:
        """See `ports.Pool`."""
        self._servers.switch()
        for slot in self._slots:
            slot.outdate()

    async def close(self) -> None:
        """End all children and whatever they started, then the fork server; runs under way are not reported.

        Closing again, or before the start, does nothing.
        """
        if self._closing or not self._slots:
            self._closing = True
            return
        self._closing = True
        for timer in (self._watching, *self._timers.values()):
            if timer is not None:
                timer.cancel()
        if self._forks:
            await asyncio.wait(self._forks, timeout=self._settings.close_grace_s)
        await self._end_children()
        await self._end_fork_servers()

    # --- what the slots tell ---

    def began(self, task_id: str) -> None:
        """Pass it on."""
        if not self._closing:
            self._watcher.began(task_id)

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """Pass it on; the slot is not idle yet."""
        self._forget(task_id)
        if not self._closing:
            self._watcher.ended(task_id, outcome)

    def returned(self, assignments: Sequence[Assignment], *, first: bool) -> None:
        """Pass it on, but for a run that no child lives long enough to begin."""
        returns = self._returns[assignments[0].task_id] + first
        for assignment in assignments:
            self._given.pop(assignment.task_id, None)
        if self._closing:
            return
        if returns > _MAX_RETURNS:
            unlucky, *assignments = assignments
            reason = "no child lived long enough to begin it"
            self.ended(unlucky.task_id, Failed(NOBODY, Failure.KILLED, reason))
        elif first:
            self._returns[assignments[0].task_id] = returns
        self._watcher.returned(assignments)

    def progressed(self, task_id: str, progress: bytes) -> None:
        """Pass it on."""
        if not self._closing:
            self._watcher.progressed(task_id, progress)

    def checkpointed(self, task_id: str, checkpoint: bytes) -> None:
        """Pass it on."""
        if not self._closing:
            self._watcher.checkpointed(task_id, checkpoint)

    def said(self, task_id: str, part: LogPart) -> None:
        """Pass it on."""
        if not self._closing:
            self._watcher.said(task_id, part)

    def leaves(self, function: str, changed: str) -> None:
        """Count it, and tell the function's author once."""
        self.retirements[function] += 1
        if self.retirements[function] == 1:
            _log.warning(
                "pool.child_retired", function=function, changed=changed, hint="each such run costs a child"
            )

    def freed(self, slot: Slot) -> None:
        """Have the slot at hand for an assignment."""
        if not self._closing:
            self._idle[slot] = None
            self._watcher.idle()

    def taken(self, slot: Slot) -> None:
        """Have it at hand no more."""
        self._idle.pop(slot, None)

    def ready(self, slot: Slot) -> None:
        """Let the start go on."""
        self._intensities[slot].ready()
        awaited = self._awaited.get(slot)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)

    def broken(self, slot: Slot, reason: str) -> None:
        """Fail the start, or say why the replacement will not come up."""
        if not self._fail_start(slot, reason):
            _log.error("pool.child_broken", slot=slot.number, reason=reason)

    def lost(self, slot: Slot, loss: Loss) -> None:
        """Have the slot filled again, when its restart intensity allows."""
        if (generation := self._generations.pop(slot, None)) is not None:
            self._servers.left(generation)
        if self._closing:
            self._note_emptied()
        elif not self._fail_start(slot, f"child {slot.number} ended before it was ready: {loss.status}"):
            self._refill(slot, loss)

    def _watch(self) -> None:
        """Hold all runs to their limits, and look again when that is due for the first of them."""
        now = self._loop.time()
        again = now + LOOK_S
        try:
            again = min(slot.enforce(now) for slot in self._slots)
        finally:
            # Whatever went wrong with one of them, limits must not end with it.
            self._watching = self._loop.call_at(again, self._watch)

    def _forget(self, task_id: str) -> None:
        self._given.pop(task_id, None)
        self._returns.pop(task_id, None)

    # --- children come ---

    def _open_slot(self, number: int) -> None:
        settings = self._settings
        rules = Rules(**{field.name: getattr(settings, field.name) for field in fields(Rules)})
        slot = Slot(number, self._loop, self, rules)
        self._slots.append(slot)
        self._intensities[slot] = Intensity(settings.max_restarts, settings.restart_period_s)
        self._awaited[slot] = self._loop.create_future()
        self._fill(slot)

    def _refill(self, slot: Slot, loss: Loss) -> None:
        if loss.deliberate:
            self._fill(slot)
            return
        intensity, now = self._intensities[slot], self._clock()
        restart = intensity.died(now) if loss.was_ready else intensity.stillborn(now)
        _log.warning("pool.child_died", slot=slot.number, status=loss.status, restart_in_s=restart.delay_s)
        self._wait_to_fill(slot, restart)

    def _wait_to_fill(self, slot: Slot, restart: Restart) -> None:
        if restart.rests:
            _log.error("pool.slot_rests", slot=slot.number, for_s=restart.delay_s)
            slot.state = State.RESTING
        if restart.delay_s:
            self._timers[slot] = self._loop.call_later(restart.delay_s, self._fill, slot)
        else:
            self._fill(slot)

    def _fill(self, slot: Slot) -> None:
        self._timers.pop(slot, None)
        slot.state = State.STARTING
        fork = self._loop.create_task(self._fork(slot), name=f"pool-fork-{slot.number}")
        self._forks.add(fork)
        fork.add_done_callback(self._forks.discard)

    async def _fork(self, slot: Slot) -> None:
        generation = self._servers.present
        try:
            child = await generation.fork(slot.number)
        except (OSError, EOFError) as error:
            why = f"it could not be forked: {type(error).__name__}: {error}"
            self.lost(slot, Loss(why, was_ready=False, deliberate=False))
            return
        if self._closing:
            # Born too late to be of use; without its lifeline it dies.
            child.let_go()
            return
        self._generations[slot] = generation
        slot.adopt(child)
        if generation is not self._servers.present:
            slot.outdate()

    def _fail_start(self, slot: Slot, reason: str) -> bool:
        """Tell whether this was part of the start, which it then ends."""
        awaited = self._awaited.get(slot)
        if awaited is None:
            return False
        if not awaited.done():
            awaited.set_exception(CannotStart(reason))
        # A slot that was ready while others still start is refilled as at any other time.
        return awaited.cancelled() or awaited.exception() is not None

    # --- children go ---

    async def _end_children(self) -> None:
        self._emptied.clear()
        for slot in self._slots:
            slot.retire(self._settings.close_grace_s)
        self._note_emptied()
        try:
            async with asyncio.timeout(self._settings.close_grace_s + _DYING_S):
                await self._emptied.wait()
        except TimeoutError:
            _log.error("pool.children_stuck", pids=self.pids)

    def _note_emptied(self) -> None:
        if not any(slot.pid is not None for slot in self._slots):
            self._emptied.set()

    async def _end_fork_servers(self) -> None:
        # Killing the server is what lets a fork end that hangs in it, and with it the thread; more than once, since
        # that fork may have been about to start the server anew.
        while self._forks:
            self._servers.hang_up()
            await asyncio.wait(self._forks, timeout=_HANG_UP_AGAIN_S)
        await self._servers.close()
