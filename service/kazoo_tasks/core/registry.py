"""Every task in memory: a pure fold over changes, with the indexes that reads need.

Touches nothing outside; written by the handlers after each commit, read by everybody.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Final

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import NotFound
from kazoo_tasks.model.task import IS, Status, Task

#: A page ends early rather than grow into a reply that nobody would take.
MAX_PAGE_BYTES: Final = 4 * 2**20
_by_seq = attrgetter("seq")
_by_time = attrgetter("submitted_at")


@dataclass(frozen=True, slots=True)
class Query:
    """Which tasks of an account are wanted; what is `None` does not matter.

    Attributes:
        start_seq: The lowest `seq` of the page.
        created_from: Gregorian seconds, included, like `created_to`.
    """

    page_size: int
    start_seq: int = 0
    status: Status | None = None
    module: str | None = None
    function: str | None = None
    created_from: int | None = None
    created_to: int | None = None

    def select(self, tasks: Iterator[Task]) -> Iterator[Task]:
        """Those of some tasks that are wanted, whatever their times."""
        for test in self._tests():
            tasks = filter(test, tasks)
        return tasks

    def _tests(self) -> Iterator[Callable[[Task], bool]]:
        if self.status is not None:
            yield IS[self.status]
        if (module := self.module) is not None:
            yield lambda task: task.module == module
        if (function := self.function) is not None:
            yield lambda task: task.function == function


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        next_seq: Where the next page begins; `None` on the last one.
    """

    tasks: list[Task]
    next_seq: int | None


class Registry:
    """Tasks by id, and by account in the order of submission; each task stands in both or in none."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        """Take the tasks that the journal held, ascending by `seq`."""
        self._by_id: dict[str, Task] = {}
        self._by_account: dict[str, list[Task]] = {}
        self._counts: Counter[tuple[str, Status]] = Counter()
        # Accounts whose times do not ascend with the order of submission, since a clock was set back.
        self._unordered: set[str] = set()
        for task in tasks:
            self._add(task)

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self._by_id)

    def __contains__(self, task_id: str) -> bool:
        """Whether there is such a task; any thread may ask."""
        return task_id in self._by_id

    def __iter__(self) -> Iterator[Task]:
        """All tasks, in no order that means anything."""
        return iter(self._by_id.values())

    def get(self, task_id: str, account_id: str | None = None) -> Task:
        """The task of an id.

        Raises:
            NotFound: There is none, or it is another account's.
        """
        task = self._by_id.get(task_id)
        if task is None or account_id not in (None, task.account_id):
            raise NotFound
        return task

    def page(self, account_id: str, query: Query) -> Page:
        """The wanted tasks of an account from one `seq` on, in order of submission: no more than fit a page."""
        tasks = self._by_account.get(account_id, [])
        candidates = _from(tasks, query) if account_id in self._unordered else _between(tasks, query)
        found: list[Task] = []
        room = MAX_PAGE_BYTES
        for task in query.select(candidates):
            if len(found) == query.page_size or room < 0:
                return Page(found, task.seq)
            found.append(task)
            room -= _weight(task)
        return Page(found, None)

    def accounts(self) -> list[str]:
        """Those that have tasks."""
        return list(self._by_account)

    def count(self, account_id: str, *statuses: Status) -> int:
        """How many tasks of an account are at one of these points of their lives."""
        return sum(self._counts[account_id, status] for status in statuses)

    def stored(self, account_id: str) -> int:
        """How many tasks of an account there are."""
        return len(self._by_account.get(account_id, ()))

    def apply_all(self, changes: Iterable[Change]) -> None:
        """Fold changes in; many removals together, since each costs as much as the account is long."""
        for is_removal, together in groupby(changes, lambda change: change.kind is Kind.REMOVED):
            if is_removal:
                self._remove_all([change.task for change in together])
            else:
                for change in together:
                    self.apply(change)

    def apply(self, change: Change) -> None:
        """Fold one change in; a change of a task that is not there is an addition."""
        if change.kind is Kind.REMOVED:
            self._remove_all([change.task])
        elif change.task.id in self._by_id:
            self._replace(change.task)
        else:
            self._add(change.task)

    def _add(self, task: Task) -> None:
        self._by_id[task.id] = task
        self._counts[task.account_id, task.status] += 1
        tasks = self._by_account.setdefault(task.account_id, [])
        if tasks and tasks[-1].seq > task.seq:
            tasks.insert(bisect_left(tasks, task.seq, key=_by_seq), task)
            self._unordered.add(task.account_id)
        else:
            if tasks and tasks[-1].submitted_at > task.submitted_at:
                self._unordered.add(task.account_id)
            tasks.append(task)

    def _replace(self, task: Task) -> None:
        tasks = self._by_account[task.account_id]
        place = bisect_left(tasks, task.seq, key=_by_seq)
        self._counts[task.account_id, tasks[place].status] -= 1
        self._counts[task.account_id, task.status] += 1
        tasks[place] = task
        self._by_id[task.id] = task

    def _remove_all(self, removed: list[Task]) -> None:
        for task in removed:
            was = self._by_id.pop(task.id)
            self._counts[was.account_id, was.status] -= 1
        for account_id, together in groupby(removed, lambda task: task.account_id):
            self._cut(account_id, {task.seq for task in together})

    def _cut(self, account_id: str, seqs: set[int]) -> None:
        """Take tasks out of an account's list, which is touched from the first of them to the last."""
        tasks = self._by_account[account_id]
        begin = bisect_left(tasks, min(seqs), key=_by_seq)
        end = bisect_right(tasks, max(seqs), key=_by_seq)
        tasks[begin:end] = [task for task in tasks[begin:end] if task.seq not in seqs]
        if not tasks:
            del self._by_account[account_id]
            for status in Status:
                del self._counts[account_id, status]
            self._unordered.discard(account_id)


def _between(tasks: list[Task], query: Query) -> Iterator[Task]:
    """The tasks of a list from a `seq` on and within times; where both ascend nothing has to be looked at for it."""
    begin = bisect_left(tasks, query.start_seq, key=_by_seq)
    if query.created_from is not None:
        begin = max(begin, bisect_left(tasks, query.created_from, key=_by_time))
    end = len(tasks)
    if query.created_to is not None:
        end = bisect_right(tasks, query.created_to, key=_by_time)
    return islice(tasks, begin, end)


def _from(tasks: list[Task], query: Query) -> Iterator[Task]:
    """The same where times do not ascend."""
    found: Iterator[Task] = islice(tasks, bisect_left(tasks, query.start_seq, key=_by_seq), None)
    if (earliest := query.created_from) is not None:
        found = (task for task in found if task.submitted_at >= earliest)
    if (latest := query.created_to) is not None:
        found = (task for task in found if task.submitted_at <= latest)
    return found


def _weight(task: Task) -> int:
    """About how many bytes it takes in a reply, beyond what every task takes."""
    return (
        len(task.arguments)
        + len(task.error or "")
        + len(task.result or b"")
        + len(task.progress or b"")
        + len(task.checkpoint or b"")
    )
