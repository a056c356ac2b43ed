"""Journal first, memory second: the one place where changes become true.

Touches the journal through its port; used by the handlers and the runner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from kazoo_tasks.core.answers import Answers, Requester
from kazoo_tasks.core.keyed_lock import KeyedLocks
from kazoo_tasks.core.quotas import Quotas
from kazoo_tasks.core.registry import Registry
from kazoo_tasks.model.audit import AuditEntry, AuditPage, AuditQuery
from kazoo_tasks.model.change import Change, Kind, Remembered
from kazoo_tasks.model.errors import KazooTasksError, Refused, StoreBroken, StoreUnavailable
from kazoo_tasks.model.quota import NO_QUOTA, Quota
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Clock, Journal, Loaded

#: Clocks are put right by seconds all the time; by more only when something was wrong.
_SMALL_STEP_S: Final = 5


@dataclass(frozen=True, slots=True)
class DedupeWindow:
    """For how long, and for how many bytes of replies, a repeated request is recognised."""

    window_s: int = 600
    max_bytes: int = 64 * 2**20


@dataclass(slots=True)
class _Flight:
    """A request that is being worked on, and whoever asked the same meanwhile."""

    requester: Requester
    joined: list[asyncio.Future[bytes]]


class Ledger:
    """The registry and the remembered answers, which nothing enters that is not on disk."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        dedupe: DedupeWindow,
        announce: Callable[[Change], None],
        quota_of: Callable[[str], Quota] = lambda _: NO_QUOTA,
    ) -> None:
        """Tell `announce` each change once it is true; `quota_of` an account is what it may have."""
        self.quotas = Quotas(lambda: self.registry, quota_of)
        self._journal = journal
        self._clock = clock
        self._dedupe = dedupe
        self._announce = announce
        self._answers = Answers(dedupe.window_s, dedupe.max_bytes)
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._next_seq = 1
        self._latest = 0
        # When tasks were started by the time that only goes on, and where the scale of answers begins on it.
        self._started: dict[str, float] = {}
        self._zero = float(clock.now()) - clock.monotonic()
        self.registry = Registry()
        #: Whoever changes a task holds the one of its id.
        self.locks = KeyedLocks()
        self.epoch = 0
        #: Why the last commit was refused, if it was.
        self.refused: str | None = None
        #: Done as soon as something has failed in a way that leaves nothing to trust.
        self.broken: asyncio.Future[KazooTasksError] = asyncio.get_running_loop().create_future()

    def load(self, loaded: Loaded) -> None:
        """Take what the journal held."""
        self.epoch = loaded.epoch
        self._next_seq = loaded.next_seq
        self.registry = Registry(loaded.tasks)
        self._latest = max((task.submitted_at for task in self.registry), default=0)
        remembered = list(loaded.remembered)
        latest = max((answer.at for answer in remembered), default=0)
        self._zero = max(self._clock.now(), latest) - self._clock.monotonic()
        self._answers = Answers(self._dedupe.window_s, self._dedupe.max_bytes, remembered)

    def now(self) -> int:
        """Gregorian seconds."""
        return self._clock.now()

    def submission_time(self) -> int:
        """Gregorian seconds; a clock that is set back a little waits, so that lists stay ascending.

        Set back by more it is believed: order comes from `seq`, and a time that was wrong once must not stay wrong.
        """
        now = self._clock.now()
        if not now < self._latest <= now + _SMALL_STEP_S:
            self._latest = now
        return self._latest

    def end_time(self, task: Task) -> int:
        """Gregorian seconds of a task's end now: as long after its start as it took, if the clock was set meanwhile."""
        now, began = self._clock.now(), self._started.get(task.id)
        if began is None or task.started_at is None:
            return now
        took_s = self._clock.monotonic() - began
        if abs(now - task.started_at - took_s) <= _SMALL_STEP_S:
            return now
        return task.started_at + round(took_s)

    def answer_time(self) -> int:
        """Where an answer that is given now stands among others.

        Gregorian seconds at the start of the service, or the latest answer that it found; from there on the time that
        only goes on. So a clock that is set neither makes a repetition look new nor keeps an answer for ever.
        """
        return int(self._zero + self._clock.monotonic())

    def take_seq(self) -> int:
        """The next place in the order of submission."""
        self._next_seq += 1
        return self._next_seq - 1

    async def commit(
        self,
        changes: Sequence[Change],
        remembered: Sequence[Remembered] = (),
        settled: Callable[[bool], None] | None = None,
        audited: Sequence[AuditEntry] = (),
        documents: Sequence[Document] = (),
    ) -> None:
        """Make changes true: on disk, then in memory, then told to whoever listens.

        What is on disk is folded in even if the caller no longer waits for it.

        Args:
            changes: In order.
            remembered: Answers that become durable with them.
            settled: Told whether they became true, in the same breath.
            audited: What the audit says of them, durable with them and nowhere else.
            documents: Durable with them; whoever has them takes them in when `settled` says so.

        Raises:
            StoreUnavailable: Nothing was changed.
            StoreBroken: Nothing is certain any more.
        """
        written = self._journal.commit(changes, remembered, audited, documents)
        # Callbacks run in the order of their registration: whoever awaits this sees the changes folded in.
        written.add_done_callback(partial(self._fold, changes, remembered))
        if settled is not None:
            written.add_done_callback(lambda _: settled(written.exception() is None))
        await asyncio.shield(written)

    async def once(self, requester: Requester, effect: Callable[[], Awaitable[bytes]]) -> bytes:
        """The reply to a request: from `effect` the first time, from memory ever after.

        `effect` must commit `requester.answered(…)` and `deeds_done(…)` with what it changes.

        Raises:
            MsgIdConflict: The id was used to ask for something else.
            Refused: By `effect`, now or the first time.
        """
        flight = self._flights.get(requester.key)
        if flight is not None:
            return await self._join(flight, requester)
        if reply := self._answers.recall(requester):
            return reply
        flight = self._flights[requester.key] = _Flight(requester, [])
        try:
            reply = await effect()
        except BaseException as error:
            if isinstance(error, Refused):
                await self._remember(requester, error)
            self._land(flight, error)
            raise
        self._land(flight, reply)
        return reply

    def deeds_done(self, requester: Requester, tasks: Sequence[Task]) -> list[AuditEntry]:
        """What the audit says of a request that does what it asks for to these tasks, now."""
        return [requester.deed.done(tasks, self.now())] if requester.deed and tasks else []

    async def audit(self, query: AuditQuery) -> AuditPage:
        """See `ports.Journal`."""
        return await self._journal.audit(query)

    def was_asked(self, requester: Requester) -> bool:
        """Whether the request was taken on before, and its answer is not yet known."""
        return self._answers.recall(requester) == b""

    def recall(self, requester: Requester) -> bytes | None:
        """What is remembered of a request, if anything is."""
        return self._answers.recall(requester)

    def expire(self) -> None:
        """Forget answers that are too old, here and on disk."""
        self._journal.forget(self._answers.expire(self.answer_time()), self._dedupe.max_bytes)

    async def probe(self) -> None:
        """Find out whether a store that refused would take something now: an answer that nobody will ask for."""
        probe = Remembered("", "probe", b"", b"true", self.answer_time())
        with suppress(KazooTasksError):
            await self.commit([], [probe])

    def _fold(
        self, changes: Sequence[Change], remembered: Sequence[Remembered], written: asyncio.Future[None]
    ) -> None:
        if (error := written.exception()) is not None:
            self._failed(error)
            return
        self.refused = None
        for answer in remembered:
            self._answers.keep(answer)
        self.registry.apply_all(changes)
        for change in changes:
            self._time(change)
        for change in changes:
            self._announce(change)

    def _time(self, change: Change) -> None:
        if change.kind in (Kind.STARTED, Kind.RETRIED):
            self._started[change.task.id] = self._clock.monotonic()
        elif change.kind is Kind.ENDED:
            self._started.pop(change.task.id, None)

    def _failed(self, error: BaseException) -> None:
        self.refused = str(error)
        if isinstance(error, StoreBroken) and not self.broken.done():
            self.broken.set_result(error)

    async def _remember(self, requester: Requester, refused: Refused) -> None:
        refusal = requester.refused(refused, self.answer_time())
        deed = requester.deed
        told = deed and deed.refused(self.registry, refused.reply, self.now())
        # A store that cannot take it now is no reason for another answer: nothing was to be changed.
        with suppress(StoreUnavailable):
            await self.commit([], [refusal], audited=[told] if told else [])

    async def _join(self, flight: _Flight, requester: Requester) -> bytes:
        flight.requester.check(requester.digest)
        joined: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        flight.joined.append(joined)
        return await joined

    def _land(self, flight: _Flight, outcome: bytes | BaseException) -> None:
        del self._flights[flight.requester.key]
        for joined in flight.joined:
            if joined.done():
                continue
            if isinstance(outcome, bytes):
                joined.set_result(outcome)
            elif isinstance(outcome, Refused):
                joined.set_exception(outcome.again())
            else:
                joined.set_exception(outcome)
