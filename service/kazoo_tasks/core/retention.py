"""Which finished tasks have been kept for long enough, and their removal a few at a time.

Touches the ledger and the logs; told of changes by the service, which also asks it on and on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

from kazoo_tasks.core.audit import subject_of
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.registry import Query
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.audit import OK, AuditEntry, Origin
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.task import FINISHED, Task

#: What one step looks at, and what it removes, so that it takes the loop no more than some milliseconds.
_LOOKED_AT: Final = 500
_REMOVED: Final = 100
_DAY_S: Final = 86_400
#: So the audit tells it from what somebody asked for.
_DETAIL: Final = b'{"by":"retention"}'


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days finished tasks stay, and how many of an account; 0 is without end."""

    days: int = 30
    number: int = 100_000


class _Search(NamedTuple):
    """What was found in a part of an account's tasks.

    Attributes:
        looked_at: How many tasks there were.
        next_seq: Where the next part begins; `None` at the end.
    """

    found: list[Task]
    looked_at: int
    next_seq: int | None


class Retention:
    """Goes through the tasks of one account after the other, from the oldest on, and begins again at the end.

    Nothing is kept in order for it: to look at some hundred tasks costs less than a commit. Where there are too many,
    the search is for those alone. What waits, runs or was never started is not touched.
    """

    def __init__(self, ledger: Ledger, logs: TaskLogs, keep: Keep, node: str) -> None:
        """Remove in the name of `node`."""
        self._ledger = ledger
        self._logs = logs
        self._keep = keep
        self._origin = Origin(node=node)
        # Accounts with too many finished tasks, and where the search for the oldest goes on.
        self._crowded: dict[str, int] = {}
        self._round: Iterator[str] = iter(())
        self._account_id: str | None = None
        self._start_seq = 0
        # They take turns, so that neither waits for the other to be through.
        self._searches: list[Callable[[], list[Task]]] = [self._too_many, self._too_old]

    def told(self, change: Change) -> None:
        """Take notice of a change that has become true."""
        if change.kind is Kind.ENDED:
            self._notice(change.task.account_id)

    async def step(self) -> bool:
        """Remove a few tasks that are due; gives whether more are likely to be.

        Raises:
            StoreUnavailable: None was removed.
        """
        self._searches.reverse()
        due = self._searches[0]() or self._searches[1]()
        # Whoever holds a task's lock is not waited for: two who take several could wait for each other.
        free = [task for task in due if task.id not in self._ledger.locks]
        if free:
            await self._remove(free)
        return bool(free or self._crowded)

    async def _remove(self, tasks: list[Task]) -> None:
        by_account = groupby(tasks, lambda task: task.account_id)
        audited = [self._entry(account_id, list(together)) for account_id, together in by_account]
        async with self._ledger.locks.hold(*(task.id for task in tasks)):
            await self._ledger.commit([Change(Kind.REMOVED, task) for task in tasks], audited=audited)
            self._logs.removed(*tasks)

    def _entry(self, account_id: str, tasks: list[Task]) -> AuditEntry:
        # It names none of them: their numbers tell which they were.
        subject = subject_of(tasks)._replace(task_id=None)
        return AuditEntry(account_id, self._ledger.now(), "remove", OK, subject, self._origin, _DETAIL)

    def _too_many(self) -> list[Task]:
        """Some of the oldest finished tasks of an account that has too many."""
        while self._crowded:
            account_id = next(iter(self._crowded))
            start_seq = self._crowded.pop(account_id)
            excess = self._excess(account_id)
            if excess > 0:
                found, _, next_seq = self._search(account_id, start_seq, min(excess, _REMOVED), _has_ended)
                # At the end, so that the others have their turn.
                self._crowded[account_id] = next_seq or 0
                return found
        return []

    def _too_old(self) -> list[Task]:
        """Tasks that ended long ago, among the next ones of all."""
        if not self._keep.days:
            return self._look_round()
        # The time that only goes on: a clock that is set ahead for a while must not cost tasks.
        cutoff = self._ledger.answer_time() - self._keep.days * _DAY_S
        return self._look_round(lambda task: task.ended_at is not None and task.ended_at < cutoff)

    def _look_round(self, is_due: Callable[[Task], bool] = lambda _: False) -> list[Task]:
        due: list[Task] = []
        looked_at = 0
        while looked_at < _LOOKED_AT and len(due) < _REMOVED:
            account_id = self._next_account()
            if account_id is None:
                break
            search = self._search(account_id, self._start_seq, _REMOVED - len(due), is_due)
            due += search.found
            # An account costs something by itself.
            looked_at += 1 + search.looked_at
            if search.next_seq is None:
                self._account_id = None
            else:
                self._start_seq = search.next_seq
        return due

    def _next_account(self) -> str | None:
        """Where the round is; nowhere at its end, and the next one begins with the next step."""
        if self._account_id is None:
            self._account_id = next(self._round, None)
            self._start_seq = 0
            if self._account_id is None:
                self._round = iter(self._ledger.registry.accounts())
            else:
                self._notice(self._account_id)
        return self._account_id

    def _search(
        self, account_id: str, start_seq: int, wanted: int, is_due: Callable[[Task], bool]
    ) -> _Search:
        page = self._ledger.registry.page(account_id, Query(_LOOKED_AT, start_seq))
        due: list[Task] = []
        for number, task in enumerate(page.tasks, start=1):
            if is_due(task):
                due.append(task)
                if len(due) == wanted:
                    return _Search(due, number, task.seq + 1)
        return _Search(due, len(page.tasks), page.next_seq)

    def _notice(self, account_id: str) -> None:
        if self._excess(account_id) > 0:
            self._crowded.setdefault(account_id, 0)

    def _excess(self, account_id: str) -> int:
        number = self._keep.number
        return self._ledger.registry.count(account_id, *FINISHED) - number if number else 0


def _has_ended(task: Task) -> bool:
    return task.ended_at is not None
