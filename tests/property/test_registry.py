"""The registry against the plainest model of it: a list of what was submitted."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kazoo_tasks.core.registry import Query, Registry
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.task import Status, Task
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT, a_task


class RegistryMachine(RuleBasedStateMachine):
    """Any sequence of changes leaves both with the same tasks in the same order."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self.registry = Registry()
        self.model: dict[int, Task] = {}
        self.seq = 0
        self.at = NOW

    @rule(
        target=tasks,
        account=st.sampled_from([ACCOUNT, OTHER_ACCOUNT]),
        module=st.sampled_from("ab"),
        later=st.integers(-2, 5),
    )
    def add(self, account: str, module: str, later: int) -> int:
        """Submit a task; now and then the clock was set back."""
        self.seq += 1
        self.at += later
        self.change(Kind.ADDED, a_task(self.seq, account_id=account, module=module, submitted_at=self.at))
        return self.seq

    @rule(seq=tasks)
    def start(self, seq: int) -> None:
        """Start one, again and again if need be."""
        self.change(Kind.STARTED, self.model[seq]._replace(started_at=NOW))

    @rule(seq=consumes(tasks))
    def remove(self, seq: int) -> None:
        """Remove one for good."""
        self.change(Kind.REMOVED, self.model[seq])

    @rule(
        size=st.integers(1, 4),
        start=st.integers(0, 12),
        status=st.sampled_from([None, Status.PENDING, Status.WAITING]),
        module=st.sampled_from([None, "a"]),
        times=st.tuples(*[st.none() | st.integers(NOW - 5, NOW + 20)] * 2),
    )
    def page(
        self,
        size: int,
        start: int,
        status: Status | None,
        module: str | None,
        times: tuple[int | None, int | None],
    ) -> None:
        """Any page is what a scan over everything finds."""
        earliest, latest = times
        query = Query(size, start, status, module, created_from=earliest, created_to=latest)
        expected = [
            task
            for task in self.account(ACCOUNT)
            if task.seq >= start and status in (None, task.status) and module in (None, task.module)
            if (earliest or 0) <= task.submitted_at <= (latest or task.submitted_at)
        ]
        page = self.registry.page(ACCOUNT, query)

        assert page.tasks == expected[:size]
        assert page.next_seq == (expected[size].seq if len(expected) > size else None)

    @invariant()
    def the_same_tasks_are_there(self) -> None:
        """By id and by account."""
        assert {task.seq: task for task in self.registry} == self.model
        for account in (ACCOUNT, OTHER_ACCOUNT):
            assert self.registry.page(account, Query(1000)).tasks == self.account(account)

    def account(self, account: str) -> list[Task]:
        """The model's list."""
        return [task for _, task in sorted(self.model.items()) if task.account_id == account]

    def change(self, kind: Kind, task: Task) -> None:
        """Tell both."""
        self.registry.apply(Change(kind, task))
        if kind is Kind.REMOVED:
            del self.model[task.seq]
        else:
            self.model[task.seq] = task


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
