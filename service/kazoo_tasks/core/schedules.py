"""Schedules: what is started again and again, added, changed, removed, and started when it is due.

Touches the ledger and the runner; asked by the listener, told of every change, and kept going by the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.audit import subject_of
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.occurrence import occur
from kazoo_tasks.core.runner import Launch, Runner
from kazoo_tasks.core.timers import Timers
from kazoo_tasks.model.audit import OK, AuditEntry, Origin
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import (
    BadArguments,
    NoSchedule,
    NotFound,
    QuotaExceeded,
    Refused,
    StoreUnavailable,
    TaskRunning,
)
from kazoo_tasks.model.identity import TASK_ID_BYTES, task_id
from kazoo_tasks.model.schedule import Document, Rule, Schedule
from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.codec import decode_stored, encode
from kazoo_tasks.wire.cron import next_time
from kazoo_tasks.wire.schedule import (
    SHOWN_TIMES,
    NewSchedule,
    ScheduleChanges,
    changed,
    schedule_object,
    schedule_of,
    schedule_text,
)
from kazoo_tasks.wire.validation import problem

KIND: Final = "schedule"
_ID_BYTES: Final = 16
#: So that a list of as many schedules as an account may have fits a message.
_MAX_ARGUMENTS: Final = 4_096
#: How long what the store refuses (full disk), or what a quota holds up, waits before it is tried again.
_RETRY_S: Final = 1.0
_QUOTA_RETRY_S: Final = 60


@dataclass(frozen=True, slots=True)
class _Step:
    """What becomes true together when schedules are due."""

    schedules: list[Schedule]
    tasks: list[Task]


class Schedules:
    """By id, with a timer for each that is not paused; a schedule moves on in the commit that starts its task."""

    def __init__(
        self, ledger: Ledger, runner: Runner, catalogue: Catalogue, random: Callable[[int], bytes], most: int
    ) -> None:
        """There are none; an account may have `most`, and `random` gives so many random bytes."""
        self._ledger = ledger
        self._runner = runner
        self._catalogue = catalogue
        self._random = random
        self._most = most
        self._schedules: dict[str, Schedule] = {}
        self._accounts: dict[str, dict[str, None]] = {}
        self._timers = Timers(ledger.now)
        # By the task whose end a schedule waits for.
        self._awaited: dict[str, str] = {}
        # Those that wait for their function, and why.
        self._parked: dict[str, str] = {}

    def load(self, documents: Iterable[Document]) -> None:
        """Take those of a former start."""
        for document in documents:
            if document.kind == KIND and document.text is not None:
                self._keep(schedule_of(document.text))

    def list(self, account_id: str) -> list[Schedule]:
        """Those of an account, as they were added."""
        own = (self._schedules[schedule_id] for schedule_id in self._accounts.get(account_id, ()))
        return sorted(own, key=lambda schedule: (schedule.created_at, schedule.id))

    def get(self, schedule_id: str, account_id: str | None) -> Schedule:
        """The one of an id.

        Raises:
            NoSchedule: There is none, or it is another account's.
        """
        schedule = self._schedules.get(schedule_id)
        if schedule is None or account_id not in (None, schedule.account_id):
            raise NoSchedule
        return schedule

    def shown(self, schedule: Schedule, times: int = SHOWN_TIMES) -> dict[str, Any]:
        """One as it is shown, with its next few times, and why it starts nothing if its function is gone."""
        shown = schedule_object(schedule, times)
        if (why := self._parked.get(schedule.id) or self._absence(schedule)) is not None:
            shown["parked"] = why
        return shown

    async def add(self, requester: Requester, account_id: str, wanted: NewSchedule) -> bytes:
        """Add one.

        Raises:
            NoModule, NoFunction, BadArguments: As when a task is added.
            QuotaExceeded: The account has as many as it may.
        """
        return await self._ledger.once(requester, partial(self._add, requester, account_id, wanted))

    async def change(
        self, requester: Requester, account_id: str | None, wanted: str, changes: ScheduleChanges
    ) -> bytes:
        """Change one, pause it or resume it; what is said of its times counts from now on.

        Raises:
            NoSchedule: As `get`.
        """
        return await self._ledger.once(
            requester, partial(self._change, requester, account_id, wanted, changes)
        )

    async def remove(self, requester: Requester, account_id: str | None, wanted: str) -> bytes:
        """Remove one; what it started goes on.

        Raises:
            NoSchedule: As `get`.
        """
        return await self._ledger.once(requester, partial(self._remove, requester, account_id, wanted))

    async def run_now(self, requester: Requester, account_id: str | None, wanted: str) -> bytes:
        """Start one's task now, whatever its times are, and also while it is paused.

        Raises:
            NoSchedule: As `get`.
            TaskRunning: Its last task has not ended.
            NoModule, NoFunction, BadArguments: Its function is gone or takes others by now.
            QuotaExceeded: As when a task is started.
        """
        return await self._ledger.once(requester, partial(self._run_now, requester, account_id, wanted))

    def changed(self, change: Change) -> None:
        """Learn what has become true."""
        if change.kind in (Kind.ENDED, Kind.REMOVED) and change.task.id in self._awaited:
            schedule = self._schedules.get(self._awaited.pop(change.task.id))
            if schedule is not None:
                self._set_timer(schedule)

    def review(self) -> None:
        """Look again at what waits for its function, since the catalogue is another."""
        for schedule_id in list(self._parked):
            del self._parked[schedule_id]
            if (schedule := self._schedules.get(schedule_id)) is not None:
                self._set_timer(schedule)

    async def run(self) -> None:
        """Start what is due, for ever; what a turn that failed had in hand is due again."""
        self._timers.begin()
        while True:
            await self._fire(await self._timers.due())

    async def start_due(self) -> None:
        """Start what is due now."""
        while due := self._timers.take_due():
            await self._fire(due)

    async def _add(self, requester: Requester, account_id: str, wanted: NewSchedule) -> bytes:
        arguments = self._catalogue.check(wanted.module, wanted.function, wanted.arguments)
        if len(arguments) > _MAX_ARGUMENTS:
            said = f"Arguments must not be more than {_MAX_ARGUMENTS} bytes of JSON"
            value = len(arguments)
            raise BadArguments(
                detail=dict(problem("arguments", "maxBytes", said, target=_MAX_ARGUMENTS, value=value))
            )
        # Of adds at one moment each counts those before it.
        async with self._ledger.locks.hold(f"schedules of {account_id}"):
            return await self._add_one_more(requester, account_id, arguments, wanted)

    async def _add_one_more(
        self, requester: Requester, account_id: str, arguments: bytes, wanted: NewSchedule
    ) -> bytes:
        used = len(self._accounts.get(account_id, ()))
        if used >= self._most:
            detail: dict[str, object] = {"quota": "schedules", "limit": self._most, "used": used}
            raise QuotaExceeded(f"the account may have {self._most} schedules, and has {used}", detail)
        now = self._ledger.now()
        names = (self._random(_ID_BYTES).hex(), account_id, wanted.module, wanted.function)
        new = changed(Schedule(*names, arguments, Rule(), now), wanted)
        return await self._put(requester, self._timed(new))

    async def _change(
        self, requester: Requester, account_id: str | None, wanted: str, changes: ScheduleChanges
    ) -> bytes:
        async with self._ledger.locks.hold(wanted):
            was = self.get(wanted, account_id)
            new = changed(was, changes)
            is_timed_anew = (new.rule, new.paused) != (was.rule, was.paused)
            return await self._put(requester, self._timed(new) if is_timed_anew else new)

    async def _remove(self, requester: Requester, account_id: str | None, wanted: str) -> bytes:
        async with self._ledger.locks.hold(wanted):
            schedule = self.get(wanted, account_id)
            reply = encode(schedule_object(schedule))
            document = Document(KIND, wanted, None)
            await self._commit(requester, schedule, reply, document)
            self._drop(schedule)
        return reply

    async def _run_now(self, requester: Requester, account_id: str | None, wanted: str) -> bytes:
        async with self._ledger.locks.hold(wanted):
            schedule = self.get(wanted, account_id)
            if self._is_going(schedule):
                raise TaskRunning
            now = self._ledger.now()
            task = self._task(schedule, now)
            moved = schedule._replace(last_due_at=now, last_task=task.id)
            reply = encode(schedule_object(moved))
            await self._launch(_Step([moved], [task]), requester, reply)
        return reply

    async def _put(self, requester: Requester, schedule: Schedule) -> bytes:
        reply = encode(schedule_object(schedule))
        await self._commit(requester, schedule, reply, _document(schedule))
        self._keep(schedule)
        return reply

    async def _commit(
        self, requester: Requester, schedule: Schedule, reply: bytes, document: Document
    ) -> None:
        answer = requester.answered(reply, self._ledger.answer_time())
        deed = requester.deed
        told = [deed.done_otherwise(schedule.account_id, self._ledger.now())] if deed else []
        await self._ledger.commit([], [answer], audited=told, documents=[document])

    async def _fire(self, ids: Sequence[str]) -> None:
        async with self._ledger.locks.hold(*ids):
            # What was changed or removed while the locks were waited for has no timer, or another.
            due = [self._schedules[each] for each in ids if self._timers.is_due(each)]
            # Each has a commit of its own, so that a quota holds up only what is over it; they are written together.
            await asyncio.gather(*(self._try(schedule) for schedule in due))

    async def _try(self, schedule: Schedule) -> None:
        try:
            await self._occur(schedule)
        except QuotaExceeded:
            self._timers.set(schedule.id, self._ledger.now() + _QUOTA_RETRY_S)
        except StoreUnavailable:
            self._timers.again(schedule.id)
            await asyncio.sleep(_RETRY_S)

    async def _occur(self, schedule: Schedule) -> None:
        now, is_going, why = self._ledger.now(), self._is_going(schedule), self._hindrance(schedule)
        occurrence = occur(schedule, now, can_start=not is_going and why is None)
        if occurrence is None:
            self._timers.unset(schedule.id)
            if is_going and schedule.last_task is not None:
                self._awaited[schedule.last_task] = schedule.id
            elif why is not None:
                self._parked[schedule.id] = why
            return
        moved, tasks = occurrence.schedule, []
        if occurrence.due_at is not None:
            tasks = [self._task(schedule, now)]
            moved = moved._replace(last_due_at=occurrence.due_at, last_task=tasks[0].id)
        await self._launch(_Step([moved], tasks))

    async def _launch(self, step: _Step, requester: Requester | None = None, reply: bytes = b"") -> None:
        now = self._ledger.now()
        launches: Sequence[Launch] = self._runner.prepare([task.start(now) for task in step.tasks])
        changes = [Change(Kind.ADDED, task) for task in step.tasks]
        changes += [change for launch in launches for change in launch.changes]
        try:
            place = self._ledger.quotas.take(changes)
        except QuotaExceeded:
            self._runner.launch(launches, written=False)
            raise

        def settled(written: bool) -> None:  # noqa: FBT001 - as the ledger tells it
            self._ledger.quotas.settled(place)
            self._runner.launch(launches, written=written)
            for schedule in step.schedules if written else ():
                self._keep(schedule)

        answers = [] if requester is None else [requester.answered(reply, self._ledger.answer_time())]
        if requester is None:
            told = [_started(task, now) for task in step.tasks]
        else:
            told = self._ledger.deeds_done(requester, step.tasks)
        documents = [_document(schedule) for schedule in step.schedules]
        await self._ledger.commit(changes, answers, settled, told, documents)

    def _task(self, schedule: Schedule, now: int) -> Task:
        """Its next task.

        Raises:
            NoModule, NoFunction, BadArguments: Its function is gone, or takes others by now.
        """
        given = decode_stored(schedule.arguments)
        arguments = self._catalogue.check(
            schedule.module, schedule.function, given if isinstance(given, list) else []
        )
        seq = self._ledger.take_seq()
        return Task(
            seq=seq,
            id=task_id(self._random(TASK_ID_BYTES), seq),
            account_id=schedule.account_id,
            module=schedule.module,
            function=schedule.function,
            arguments=arguments,
            submitted_at=now,
            priority=schedule.priority,
            concurrency_key=schedule.concurrency_key,
            schedule_id=schedule.id,
        )

    def _absence(self, schedule: Schedule) -> str | None:
        if self._catalogue.offer(schedule.module, schedule.function) is None:
            return f"{schedule.module}.{schedule.function} is no longer offered"
        return None

    def _hindrance(self, schedule: Schedule) -> str | None:
        """Why it can start nothing, if its function is gone or takes other arguments by now."""
        if (why := self._absence(schedule)) is not None:
            return why
        given = decode_stored(schedule.arguments)
        try:
            self._catalogue.check(
                schedule.module, schedule.function, given if isinstance(given, list) else []
            )
        except Refused:
            return f"{schedule.module}.{schedule.function} takes other arguments by now"
        return None

    def _timed(self, schedule: Schedule) -> Schedule:
        if schedule.paused:
            return schedule._replace(due_at=None)
        return schedule._replace(due_at=next_time(schedule.rule, self._ledger.now(), schedule.created_at))

    def _is_going(self, schedule: Schedule) -> bool:
        if schedule.last_task is None:
            return False
        try:
            return self._ledger.registry.get(schedule.last_task).is_active
        except NotFound:
            return False

    def _keep(self, schedule: Schedule) -> None:
        self._schedules[schedule.id] = schedule
        self._accounts.setdefault(schedule.account_id, {})[schedule.id] = None
        self._set_timer(schedule)

    def _set_timer(self, schedule: Schedule) -> None:
        if schedule.due_at is None:
            self._timers.unset(schedule.id)
        else:
            self._timers.set(schedule.id, schedule.due_at)

    def _drop(self, schedule: Schedule) -> None:
        del self._schedules[schedule.id]
        self._timers.unset(schedule.id)
        own = self._accounts[schedule.account_id]
        del own[schedule.id]
        if not own:
            del self._accounts[schedule.account_id]


def _started(task: Task, at: int) -> AuditEntry:
    detail = encode({"schedule_id": task.schedule_id, "start": True})
    return AuditEntry(task.account_id, at, "add", OK, subject_of([task]), Origin(), detail)


def _document(schedule: Schedule) -> Document:
    return Document(KIND, schedule.id, schedule_text(schedule))
