"""The request handlers, one for each verb: what is asked for, decided, committed and answered.

Touches the ledger and the runner; called by the listener, one call a request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.deliveries import Deliveries
from kazoo_tasks.core.explanation import Explanation
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.order import NOT_SAID, Draft, Excerpt, Order, Reading, When
from kazoo_tasks.core.registry import Page, Query
from kazoo_tasks.core.runner import Launch, Runner
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.audit import AuditEntry, AuditPage, AuditQuery
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import (
    BadArguments,
    NotFound,
    NotRunning,
    QuotaExceeded,
    Refused,
    StoreUnavailable,
)
from kazoo_tasks.model.identity import TASK_ID_BYTES, task_id
from kazoo_tasks.model.outcome import STOPPED_WAITING
from kazoo_tasks.model.task import Retrying, Task
from kazoo_tasks.ports import SlotReport
from kazoo_tasks.wire.attempt import retry_text
from kazoo_tasks.wire.body import task_text, tasks_text

#: Below the 2 s that a caller waits.
_STOP_WAIT_S: Final = 1.0


class _Step(NamedTuple):
    """What becomes true together when tasks are added or started."""

    launches: Sequence[Launch]
    changes: Sequence[Change]
    audited: Sequence[AuditEntry]


class Handlers:
    """Decides. Reads are answered from memory; every change holds its task's lock and is on disk before the reply.

    The verbs that change something give back the JSON text of the reply's value, since it may be a remembered one.
    All may raise `StoreUnavailable` (nothing was changed) or `StoreBroken`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        ledger: Ledger,
        runner: Runner,
        logs: TaskLogs,
        random: Callable[[int], bytes],
    ) -> None:
        """Decide over what is in the ledger; `random` gives so many random bytes."""
        self._catalogue = catalogue
        self._ledger = ledger
        self._runner = runner
        self._logs = logs
        self._random = random
        self._explanation = Explanation(ledger, runner, logs)
        #: Which messages the service ended with.
        self.deliveries = Deliveries(ledger)

    def look_up(self, module: str | None, function: str | None) -> dict[str, dict[str, Any]]:
        """What can be run."""
        return self._catalogue.help(module, function)

    def read(self, wanted: str, account_id: str | None) -> Task:
        """One task.

        Raises:
            NotFound: There is none, or it is another account's.
        """
        return self._ledger.registry.get(wanted, account_id)

    def list(self, account_id: str, query: Query) -> Page:
        """A page of an account's tasks."""
        return self._ledger.registry.page(account_id, query)

    def explain(self, task: Task) -> dict[str, Any]:
        """Why it does not run, or what its run takes."""
        return self._explanation.of(task)

    async def stack(self, wanted: str, account_id: str | None) -> str:
        """Where the run of a task is; empty if it does not answer, since it blocks signals.

        Raises:
            NotFound: There is no such task, as far as the account may know.
            NotRunning: No child has begun it, or it is over.
        """
        stack = await self._runner.stack(self.read(wanted, account_id).id)
        if stack is None:
            raise NotRunning
        return stack

    async def log(self, wanted: str, account_id: str | None, reading: Reading) -> Excerpt:
        """What a task printed and logged.

        Raises:
            NotFound: There is no such task, as far as the account may know.
            StoreUnavailable: It cannot be read.
        """
        task = self.read(wanted, account_id)
        attempt = task.attempt if reading.attempt is None else reading.attempt
        wait_s = 0.0 if _is_over(task, attempt) else reading.wait_s
        page = await self._logs.read((task.id, attempt), reading.place, wait_s)
        # Asked only now: what ended while it was read says no more than what was read.
        with suppress(NotFound):
            task = self.read(wanted, account_id)
            return Excerpt(attempt, task.attempt, page, _is_over(task, attempt))
        return Excerpt(attempt, task.attempt, page, is_over=True)

    async def audit(self, query: AuditQuery) -> AuditPage:
        """What the audit says of an account, or of one of its tasks, which may be gone.

        Raises:
            NotFound: The account has no such task, and nothing is told of one.
            StoreUnavailable: It cannot be read.
        """
        page = await self._ledger.audit(query)
        if query.task_id is not None and not page.entries:
            self.read(query.task_id, query.account_id)
        return page

    def slots(self) -> Sequence[SlotReport]:
        """Every slot of the pool, and what its child takes."""
        return self._runner.slots()

    def breakers(self) -> Sequence[dict[str, Any]]:
        """The functions that are left alone, since their runs died or an operator wants it."""
        return self._explanation.breakers()

    def switch_breaker(self, module: str, function: str, *, is_open: bool) -> None:
        """Leave a function alone, or run it again.

        Raises:
            NoModule: There is none.
            NoFunction: The module has no such function.
        """
        self._catalogue.check_name(module, function)
        self._runner.switch_breaker(f"{module}.{function}", is_open=is_open)

    async def add(self, requester: Requester, order: Order) -> bytes:
        """Add tasks, all or none.

        Raises:
            NoModule: One of them names no module of the catalogue; `detail` says which, as for the next two.
            NoFunction: Its module has no such function of that arity.
            BadArguments: Its function takes others.
            QuotaExceeded: The account has as much as it may; `detail` says of what.
            MsgIdConflict: As every verb that changes something.
        """
        return await self._ledger.once(requester, partial(self._add, requester, order))

    async def start(
        self, requester: Requester, wanted: str, account_id: str | None, when: When = NOT_SAID
    ) -> bytes:
        """Run a pending task, now or later.

        Raises:
            NotFound: As `read`.
            AlreadyStarted: It is not pending.
            QuotaExceeded: As `add`.
        """
        return await self._ledger.once(requester, partial(self._start, requester, wanted, account_id, when))

    async def retry(self, requester: Requester, wanted: str, account_id: str | None) -> bytes:
        """Run a failed task once more: the same one, its next attempt.

        Raises:
            NotFound: As `read`.
            NotFailed: It has not failed.
            QuotaExceeded: As `add`.
        """
        return await self._ledger.once(requester, partial(self._retry, requester, wanted, account_id))

    async def stop(self, requester: Requester, wanted: str, account_id: str | None) -> bytes:
        """End a waiting or running task; the reply shows it ended, unless that takes longer than a caller waits.

        Raises:
            NotFound: As `read`.
            NotRunning: It is neither waiting nor running.
        """
        return await self._ledger.once(requester, partial(self._stop, requester, wanted, account_id))

    async def remove(self, requester: Requester, wanted: str, account_id: str | None) -> bytes:
        """Forget a task; the reply shows it as it was last.

        Raises:
            NotFound: As `read`.
            TaskRunning: It is waiting or running.
        """
        return await self._ledger.once(requester, partial(self._remove, requester, wanted, account_id))

    async def _add(self, requester: Requester, order: Order) -> bytes:
        arguments = [self._checked(order, index) for index in range(len(order.drafts))]
        submitted_at = self._ledger.submission_time()
        # The same for all, so that one entry of the audit can tell of each by its id.
        random = self._random(TASK_ID_BYTES)
        added = [
            self._new(order, draft, text, submitted_at, random)
            for draft, text in zip(order.drafts, arguments, strict=True)
        ]
        now = self._ledger.now()
        begun = [task.start(submitted_at) for task in added if _begins(task, now, asked=order.start)]
        launches = self._runner.prepare(begun)
        changes = [Change(Kind.ADDED, task) for task in added]
        changes += [change for launch in launches for change in launch.changes]
        launched = {launch.task.id: launch.task for launch in launches}
        shown = [launched.get(task.id, task) for task in added]
        reply = tasks_text(shown) if order.bulk else task_text(shown[0])
        told = self._ledger.deeds_done(requester, shown)
        await self._launch(_Step(launches, changes, told), requester, reply)
        return reply

    async def _start(self, requester: Requester, wanted: str, account_id: str | None, when: When) -> bytes:
        async with self._ledger.locks.hold(wanted):
            task, now = self.read(wanted, account_id), self._ledger.now()
            start_at = when.after(now)
            if start_at is not None and start_at > now:
                return await self._put_off(requester, task.put_off(start_at))
            (launch,) = self._runner.prepare([task.start(now)])
            reply = task_text(launch.task)
            told = self._ledger.deeds_done(requester, [task])
            await self._launch(_Step([launch], launch.changes, told), requester, reply)
        return reply

    async def _retry(self, requester: Requester, wanted: str, account_id: str | None) -> bytes:
        async with self._ledger.locks.hold(wanted):
            task = self.read(wanted, account_id)
            (launch,) = self._runner.prepare([self._runner.once_more(task)], Kind.RETRIED)
            reply = task_text(launch.task)
            told = self._ledger.deeds_done(requester, [task])
            await self._launch(_Step([launch], launch.changes, told), requester, reply)
        return reply

    async def _put_off(self, requester: Requester, task: Task) -> bytes:
        reply = task_text(task)
        answer = requester.answered(reply, self._ledger.answer_time())
        told = self._ledger.deeds_done(requester, [task])
        await self._ledger.commit([Change(Kind.PUT_OFF, task)], [answer], audited=told)
        return reply

    async def _stop(self, requester: Requester, wanted: str, account_id: str | None) -> bytes:
        if self._ledger.was_asked(requester):
            return await self._stopped(requester, self.read(wanted, account_id))
        async with self._ledger.locks.hold(wanted):
            task = self.read(wanted, account_id).ask_stop()
            if self._runner.scheduler.withdraw(wanted):
                return await self._end_waiting(requester, task)
            asked = Change(Kind.STOP_ASKED, task)
            answer = requester.answered(b"", self._ledger.answer_time())
            await self._ledger.commit([asked], [answer], audited=self._ledger.deeds_done(requester, [task]))
        return await self._stopped(requester, task)

    async def _end_waiting(self, requester: Requester, task: Task) -> bytes:
        over = task.fail(self._ledger.end_time(task), STOPPED_WAITING.text())
        reply = task_text(over)
        answer = requester.answered(reply, self._ledger.answer_time())
        told = self._ledger.deeds_done(requester, [task])
        try:
            await self._ledger.commit([Change(Kind.ENDED, over)], [answer], audited=told)
        except StoreUnavailable:
            self._runner.wait_again(self._ledger.registry.get(task.id))
            raise
        return reply

    async def _stopped(self, requester: Requester, task: Task) -> bytes:
        """Without the task's lock, which its end needs."""
        if task.is_active:
            await self._runner.end(task.id, _STOP_WAIT_S)
        reply = task_text(self._ledger.registry.get(task.id))
        await self._ledger.commit([], [requester.answered(reply, self._ledger.answer_time())])
        return reply

    async def _remove(self, requester: Requester, wanted: str, account_id: str | None) -> bytes:
        async with self._ledger.locks.hold(wanted):
            task = self.read(wanted, account_id)
            task.check_removable()
            reply = task_text(task)
            removed = Change(Kind.REMOVED, task)
            answer = requester.answered(reply, self._ledger.answer_time())
            told = self._ledger.deeds_done(requester, [task])
            await self._ledger.commit([removed], [answer], audited=told)
            self._logs.removed(task)
        return reply

    async def _launch(self, step: _Step, requester: Requester, reply: bytes) -> None:
        try:
            place = self._ledger.quotas.take(step.changes)
        except QuotaExceeded:
            self._runner.launch(step.launches, written=False)
            raise

        def settled(written: bool) -> None:  # noqa: FBT001 - as the ledger tells it
            self._ledger.quotas.settled(place)
            self._runner.launch(step.launches, written=written)

        answer = requester.answered(reply, self._ledger.answer_time())
        await self._ledger.commit(step.changes, [answer], settled, step.audited)

    def _checked(self, order: Order, index: int) -> bytes:
        draft = order.drafts[index]
        try:
            arguments = self._catalogue.check(draft.module, draft.function, draft.arguments)
            self._runner.retries.check(draft.module, draft.function, draft.retry)
        except BadArguments as error:
            raise _in_bulk(error, index) if order.bulk else error from error
        except Refused as error:
            raise type(error)(str(error), _which(index, draft)) from error
        return arguments

    def _new(self, order: Order, draft: Draft, arguments: bytes, submitted_at: int, random: bytes) -> Task:
        seq = self._ledger.take_seq()
        return Task(
            seq=seq,
            id=task_id(random, seq),
            account_id=order.account_id,
            module=draft.module,
            function=draft.function,
            arguments=arguments,
            submitted_at=submitted_at,
            priority=draft.priority,
            start_at=draft.when.after(submitted_at),
            concurrency_key=draft.concurrency_key,
            retrying=None if draft.retry is None else Retrying(retry_text(draft.retry)),
        )


def _begins(task: Task, now: int, *, asked: bool) -> bool:
    """Whether a task that is being added is started with it."""
    return asked if task.start_at is None else task.start_at <= now


def _is_over(task: Task, attempt: int) -> bool:
    return task.ended_at is not None or attempt < task.attempt


def _which(index: int, draft: Draft) -> dict[str, object]:
    arity = len(draft.arguments)
    return {"index": index, "module": draft.module, "function": draft.function, "arity": arity}


def _in_bulk(error: BadArguments, index: int) -> BadArguments:
    """In a bulk request the paths of the problems begin with the task's place."""
    return BadArguments(
        str(error), {f"{index}.{path}": rules for path, rules in (error.detail or {}).items()}
    )
